"""Queries that run all night find their rows by an index, even among 100,000 tickets (data model 3.1).

The plans are the ones Postgres really used, including those of statements inside functions (auto_explain).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from demo.servers import Postgres
from hub.db.connection import Connection, connect
from hub.db.statements import query
from tests.integration.hub.shop import lines, order

LARGE = 2_000
"""From this many rows on, no table may be read as a whole."""

FILL = """
SET session_replication_role = replica;  -- no triggers: rows are all there is to be
INSERT INTO events (id, name, code, event_date, doors_open_at, ends_at, venue_capacity, admission_version)
SELECT md5('event ' || n)::uuid, 'Night ' || n, 'N' || chr(65 + n / 26) || chr(65 + n % 26), current_date + n,
    now() + n * interval '1 day', now() + n * interval '1 day' + interval '8 hours', 5000, 2000
FROM generate_series(0, 49) n;
INSERT INTO orders (id, stripe_payment_intent_id, stripe_session_id, customer_email, status, event_id,
    total_amount_cents, ticket_count)
SELECT md5('order ' || n)::uuid, 'pi_old_' || n, 'cs_old_' || n, 'Guest' || n / 2 || '@Example.com',
    'completed', md5('event ' || n % 50)::uuid, 5000, 2
FROM generate_series(1, 50000) n;
INSERT INTO payments (order_id, stripe_payment_intent_id, amount_cents, status)
SELECT id, stripe_payment_intent_id, 5000, 'succeeded' FROM orders;
INSERT INTO tickets (id, ticket_id, order_id, event_id, qr_code_data, code_hash, stripe_payment_intent_id,
    line_number)
SELECT md5('ticket ' || n)::uuid, 'T-' || n, md5('order ' || n / 2 + 1)::uuid,
    md5('event ' || n / 2 % 50)::uuid, 'MGY-OLD-' || n, hash_of_code('MGY-OLD-' || n), 'pi_old_' || n / 2 + 1,
    n % 2 + 1
FROM generate_series(0, 99999) n;
INSERT INTO admission_changes (event_id, version, row)
SELECT md5('event ' || n % 50)::uuid, n / 50 + 1, '{"t": "removed"}' FROM generate_series(0, 99999) n;
INSERT INTO scan_logs (scan_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict, reason,
    rule, kind, clock, subject_id, code_hash, scan_method, released, record, payload_hash, corrected_at)
SELECT md5('scan ' || n)::uuid, 'gate-' || n % 4, 'e1', n / 4 + 1, 'boot', now(), n, 'admit', 'first_entry',
    11, 'ga', 'synced', md5('ticket ' || n)::uuid, hash_of_code('MGY-OLD-' || n), 'camera', true, 'scan', '',
    now()
FROM generate_series(0, 99999) n;
INSERT INTO scan_places (gate_id, epoch, seq, scan_id, received_at)
SELECT gate_id, epoch, seq, scan_id, received_at FROM scan_logs;
INSERT INTO refunds (event_id, stripe_payment_intent_id, amount_cents, reason, status)
SELECT md5('event ' || n % 50)::uuid, 'pi_refund_' || n, 5000, 'storm',
    CASE WHEN n % 100 = 0 THEN 'queued' ELSE 'done' END FROM generate_series(1, 20000) n;
INSERT INTO email_queue (recipient, kind, sent_at)
SELECT 'guest@example.com', 'ticket', CASE WHEN n % 100 > 0 THEN now() END FROM generate_series(1, 50000) n;
ANALYZE;
"""


@pytest.fixture(scope="module")
def full(server: Postgres) -> Iterator[Connection]:
    """A hub's database after some years, which reports its plans to the hub's own login."""
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute("CREATE DATABASE hub_full TEMPLATE template_hub")
    with connect(server.database("hub_full"), autocommit=True) as conn:
        conn.execute(FILL.encode())
        conn.execute("RESET session_replication_role")
        for setting in ("log_min_duration = 0", "log_nested_statements = on", "log_format = json"):
            conn.execute(f"LOAD 'auto_explain'; SET auto_explain.{setting}".encode())
        conn.execute("SET ROLE maguey_hub")
        yield conn


def plans(conn: Connection, sql: bytes, values: Any = None) -> list[dict[str, Any]]:
    """The plan of this statement and of each within the functions it calls."""
    told: list[str] = []

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        told.append(notice.message_primary or "")

    conn.add_notice_handler(hear)
    try:
        with conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL client_min_messages = log")
            conn.execute(sql, values)
    finally:
        conn.remove_notice_handler(hear)
    return [json.loads(one[one.index("{") :]) for one in told if "plan:" in one]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def check(conn: Connection, sql: bytes, values: Any, index: str) -> None:
    """Assert that it finds its rows by this index, and reads no large table as a whole."""
    rows = conn.execute("SELECT relname, reltuples FROM pg_class WHERE relkind = 'r'").fetchall()
    large = {row["relname"] for row in rows if row["reltuples"] > LARGE}
    found = [node for one in plans(conn, sql, values) for node in nodes(one["Plan"])]
    assert found
    whole = [node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"]
    assert not large.intersection(whole)
    used = {node.get("Index Name", "") for node in found}
    assert any(re.search(index, name) for name in used), used


EVENT = "md5('event 7')::uuid"
PLACE = "place|epoch_seq"
"""A month's partition of scan_logs names its index by the columns."""


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (
            "SELECT at FROM scan_times WHERE gate_id = 'gate-1' AND epoch = 'e1' AND seq > 24990 ORDER BY seq"
            " LIMIT 1000",
            PLACE,
        ),
        ("SELECT advance_watermark('gate-1', 'e1')", PLACE),
        ("SELECT * FROM scan_logs WHERE subject_id = md5('ticket 5')::uuid ORDER BY occurred_at", "subject"),
        ("SELECT * FROM ticket_entries(array[md5('ticket 5')::uuid])", "subject"),
        ("SELECT * FROM tickets WHERE code_hash = hash_of_code('MGY-OLD-77')", "tickets_code_hash"),
        ("SELECT * FROM claim_subject(hash_of_code('MGY-OLD-77'))", "tickets_code_hash"),
        (f"SELECT event_availability({EVENT})", "tickets_event"),
        (
            "SELECT * FROM orders WHERE lower(customer_email) = 'guest77@example.com' ORDER BY created_at",
            "orders_customer",
        ),
        ("SELECT * FROM tickets WHERE lower(guest_email) = 'guest77@example.com'", "tickets_guest"),
        ("SELECT * FROM next_refunds(10)", "refunds_due"),
        (
            "SELECT * FROM email_queue WHERE sent_at IS NULL AND attempts < 5 AND next_attempt_at <= now()"
            " ORDER BY next_attempt_at LIMIT 10 FOR UPDATE SKIP LOCKED",
            "email_queue_due",
        ),
        ("SELECT refund_order(md5('order 99')::uuid, 'ill', 'Rosa')", "tickets_order"),
    ],
)
def test_queries_that_run_all_night_use_an_index(full: Connection, sql: str, index: str) -> None:
    check(full, sql.encode(), None, index)


def test_changes_of_a_night_are_found_by_its_version(full: Connection) -> None:
    event = full.execute(f"SELECT {EVENT} AS id".encode()).fetchone()
    assert event is not None
    wanted = {"event_id": event["id"], "since": 1990, "limit": 500}
    check(full, query("changes_since"), wanted, "admission_changes_pkey")


def test_an_order_is_recorded_and_recognised_by_indexes(full: Connection) -> None:
    event = full.execute(f"SELECT {EVENT}::text AS id".encode()).fetchone()
    assert event is not None
    told = {"lines": msgspec.json.encode(lines(3)).decode()}
    new = told | {"order": msgspec.json.encode(order(event["id"])).decode()}
    record = b"SELECT record_ticket_order(p_order => %(order)s, p_lines => %(lines)s)"
    check(full, record, new, "orders_stripe_payment_intent_id_key")
    again = order(event["id"], stripe_payment_intent_id="pi_old_57", stripe_session_id="cs_old_57")
    known = told | {"order": msgspec.json.encode(again).decode()}
    check(full, record, known, "tickets_order")
