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
from gate.rules.model import ScanRecord
from hub.db.connection import Connection, connect
from hub.db.statements import query
from hub.ingest.batch import Batch, _row, write_batch
from tests.integration.hub.shop import lines, order
from tests.integration.hub.world import World, record

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
    asked = {"lines": msgspec.json.encode(lines(3)).decode()}
    new = asked | {"order": msgspec.json.encode(order(event["id"])).decode()}
    sql = b"SELECT record_ticket_order(p_order => %(order)s, p_lines => %(lines)s)"
    check(full, sql, new, "orders_stripe_payment_intent_id_key")
    again = order(event["id"], stripe_payment_intent_id="pi_old_57", stripe_session_id="cs_old_57")
    known = asked | {"order": msgspec.json.encode(again).decode()}
    check(full, sql, known, "tickets_order")


# --- before anybody has counted the rows ---

BATCH = 500
SCANS = 20_000


def batches(event: str, codes: list[tuple[str, str]]) -> Iterator[list[ScanRecord]]:
    """First entries in order, of three gates."""
    for place in range(0, len(codes), BATCH):
        yield [
            record(
                number // 3 + 1,
                gate_id=f"gate-{number % 3}",
                clock="synced",
                clock_uncertainty_ms=5,
                event_id=event,
                subject_id=codes[number][0],
                code_hash=codes[number][1],
            )
            for number in range(place, place + BATCH)
        ]


def rows_touched(conn: Connection, records: list[ScanRecord]) -> int:
    """How many rows Postgres reads, makes and throws away for this batch, which it then forgets."""
    topics = {one.gate_id: f"maguey/v1/maguey/gates/{one.gate_id}/scans" for one in records}
    wanted = {"records": f"[{','.join(_row(one).decode() for one in records)}]"}
    wanted |= {"topics": msgspec.json.encode(topics).decode()}
    return sum(
        int(value * node["Actual Loops"])
        for one in plans(conn, query("ingest_scans"), wanted)
        for node in nodes(one["Plan"])
        for name, value in node.items()
        if name == "Actual Rows" or name.startswith("Rows Removed by")
    )


@pytest.fixture
def may_explain(server: Postgres) -> Iterator[None]:
    """The hub's own login says when plans are reported."""
    setting = "SET ON PARAMETER auto_explain.log_min_duration"
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute("LOAD 'auto_explain'")
        admin.execute(f"GRANT {setting} TO maguey_hub".encode())
        yield
        admin.execute(f"REVOKE {setting} FROM maguey_hub".encode())


@pytest.mark.usefixtures("may_explain")
@pytest.mark.parametrize("counted", [False, True], ids=["never analyzed", "analyzed while empty"])
def test_a_batch_costs_no_more_after_20_000_scans_than_at_the_beginning(
    server: Postgres, counted: bool
) -> None:
    """Plans are made once, in a fresh database: none may be quadratic in anything."""
    name = f"hub_fresh_{counted}".lower()
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template_hub".encode())
    with connect(server.database(name), autocommit=True) as conn:
        world = World(conn)
        event = world.event()
        world.run(
            "INSERT INTO tickets (ticket_id, event_id, qr_code_data) SELECT c, %s, c"
            " FROM (SELECT 'MGY-PF-' || n AS c FROM generate_series(1, %s) n) t",
            event,
            SCANS + BATCH,
        )
        if counted:
            conn.execute("ANALYZE")
        codes = world.all("SELECT id::text, code_hash FROM tickets")
        conn.execute("LOAD 'auto_explain'")
        for setting in ("nested_statements = on", "analyze = on", "timing = off", "format = json"):
            conn.execute(f"SET auto_explain.log_{setting}".encode())
        conn.execute("SET ROLE maguey_hub")
        touched = []
        for number, records in enumerate(batches(event, codes)):
            if number in (1, SCANS // BATCH):
                conn.execute("SET auto_explain.log_min_duration = 0")
                touched.append(rows_touched(conn, records))
                conn.execute("SET auto_explain.log_min_duration = -1")
            topics = {f"gate-{n}": f"maguey/v1/maguey/gates/gate-{n}/scans" for n in range(3)}
            write_batch(conn, Batch(records=tuple(records), topics=topics))
    assert touched[0] > 10 * BATCH
    assert touched[1] < 1.2 * touched[0], touched
