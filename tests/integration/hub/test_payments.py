"""Payments that fail, messages that come twice, and constraints that are really tried (domain 2.2)."""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg
import pytest

from demo.servers import Postgres
from hub.db.connection import Connection, connect
from hub.db.migrate import migrate
from hub.db.statements import sql_folder
from hub.ticketing.orders import (
    PaymentFailure,
    record_payment_failure,
    record_ticket_order,
    webhook_begin,
    webhook_done,
)
from tests.integration.hub.shop import CROWD, crowd, lines, night, order
from tests.integration.hub.world import World, call

MIGRATION = "20260130000000_add_payment_constraints_and_failures.sql"


def verification() -> bytes:
    """The block at the end of the migration."""
    text = (sql_folder() / "migrations" / MIGRATION).read_text(encoding="utf-8")
    return text[text.index("-- Verify the constraints:") :].encode()


# --- the constraints ---

DROP = {
    "unique_ticket_stripe_payment": "ALTER TABLE tickets DROP CONSTRAINT unique_ticket_stripe_payment",
    "unique_vip_stripe_payment": "DROP INDEX unique_vip_stripe_payment",
    "unique_order_stripe_session": "DROP INDEX unique_order_stripe_session",
}


def unique_indexes(world: World) -> set[str]:
    """Those of the constraints' indexes that exist."""
    found = world.all("SELECT indexname FROM pg_indexes WHERE indexname = ANY (%s)", list(DROP))
    return {name for (name,) in found}


def test_the_verification_passes_and_leaves_nothing(world: World) -> None:
    world.conn.execute(verification())
    for table in ("events", "event_vip_tables", "tickets", "vip_reservations", "orders", "admission_changes"):
        assert world.one(f"SELECT count(*) FROM {table}") == 0


@pytest.mark.parametrize("name", DROP)
def test_the_verification_fails_when_a_constraint_is_missing(world: World, name: str) -> None:
    world.conn.execute(DROP[name].encode())
    with pytest.raises(psycopg.errors.CheckViolation, match=f"{name} does not hold: a duplicate was taken"):
        world.conn.execute(verification())


def test_the_verification_is_not_satisfied_by_another_constraint(world: World) -> None:
    world.conn.execute("DROP INDEX unique_vip_stripe_payment")
    world.conn.execute("CREATE UNIQUE INDEX other ON vip_reservations (event_id, stripe_payment_intent_id)")
    with pytest.raises(psycopg.errors.CheckViolation, match="a duplicate was refused by other"):
        world.conn.execute(verification())


@pytest.mark.parametrize(
    "weaker",
    [
        "ALTER TABLE tickets DROP CONSTRAINT unique_ticket_stripe_payment, ADD CONSTRAINT"
        " unique_ticket_stripe_payment UNIQUE NULLS NOT DISTINCT (stripe_payment_intent_id, line_number)",
        "DROP INDEX unique_vip_stripe_payment; CREATE UNIQUE INDEX unique_vip_stripe_payment"
        " ON vip_reservations (stripe_payment_intent_id) NULLS NOT DISTINCT",
        "DROP INDEX unique_order_stripe_session; CREATE UNIQUE INDEX unique_order_stripe_session"
        " ON orders (stripe_session_id) NULLS NOT DISTINCT",
    ],
)
def test_the_verification_fails_when_nulls_conflict(world: World, weaker: str) -> None:
    world.conn.execute(weaker.encode())
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.conn.execute(verification())


def test_the_verification_runs_on_a_database_full_of_other_things(world: World) -> None:
    """Nights with the codes that the verification would use first."""
    nights = {night(world, code="QQQQQW"), night(world, code="ZZVRFY")}
    world.conn.execute(verification())
    assert {str(event) for (event,) in world.all("SELECT id FROM events")} == nights


def test_the_migration_restores_a_dropped_constraint(world: World) -> None:
    for drop in DROP.values():
        world.conn.execute(drop.encode())
    assert unique_indexes(world) == set()
    world.conn.execute((sql_folder() / "migrations" / MIGRATION).read_bytes())
    assert unique_indexes(world) == set(DROP)


def test_nulls_never_conflict(world: World) -> None:
    event = night(world)
    for _ in range(2):
        world.ticket(event)
        world.reservation(event)
        world.run("INSERT INTO orders (event_id) VALUES (%s)", event)
    for table, payment in (
        ("tickets", "stripe_payment_intent_id"),
        ("vip_reservations", "stripe_payment_intent_id"),
        ("orders", "stripe_session_id"),
    ):
        assert world.one(f"SELECT count(*) FROM {table} WHERE {payment} IS NULL") == 2


def test_a_paid_ticket_has_a_line_number(world: World) -> None:
    """Without one it would be null, which never conflicts: one payment could have any number of tickets."""
    world.ticket(night(world))
    with pytest.raises(psycopg.errors.CheckViolation, match="tickets_paid_line"):
        world.run("UPDATE tickets SET stripe_payment_intent_id = 'pi_1'")


def test_paid_tickets_of_an_old_database_get_line_numbers(world: World) -> None:
    event = night(world)
    world.conn.execute("ALTER TABLE tickets DROP CONSTRAINT tickets_paid_line")
    for line in (None, 4, None):
        ticket = world.ticket(event)
        world.run(
            "UPDATE tickets SET stripe_payment_intent_id = 'pi_1', line_number = %s WHERE id = %s",
            line,
            ticket,
        )
    world.conn.execute((sql_folder() / "migrations" / MIGRATION).read_bytes())
    numbers = world.all("SELECT line_number FROM tickets ORDER BY line_number")
    assert numbers == [(4,), (5,), (6,)]


# --- failures, for the owner ---


def failure(**changes: Any) -> PaymentFailure:
    made: dict[str, Any] = {
        "payment_type": "ga_ticket",
        "amount_cents": 5000,
        "error_message": "Your card was declined.",
        "error_code": "card_declined",
        "stripe_event_id": "evt_1",
        "stripe_payment_intent_id": "pi_1",
        "customer_email": "ana@example.com",
    }
    return PaymentFailure(**(made | changes))


def test_a_failure_is_written_down_once_for_each_message(world: World, conn: Connection) -> None:
    event = night(world)
    first = record_payment_failure(conn, failure(event_id=event, metadata={"try": 1}))
    again = record_payment_failure(conn, failure(amount_cents=1))
    assert (first.success, first.already) == (True, False)
    assert again == msgspec.structs.replace(first, already=True)
    assert world.all(
        "SELECT id::text, amount_cents, error_code, event_id::text, resolved, metadata FROM payment_failures"
    ) == [(first.failure_id, 5000, "card_declined", event, False, {"try": 1})]
    told = world.one("SELECT record_payment_failure('evt_1', '', '', 1, '', '', 'ga_ticket')")
    assert told == {"success": True, "already": True, "failure_id": first.failure_id}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"payment_type": "tip"}, "INVALID_ARGUMENT"),
        ({"amount_cents": -1}, "INVALID_AMOUNT"),
        ({"event_id": str(uuid.uuid4())}, "EVENT_NOT_FOUND"),
    ],
)
def test_an_invalid_failure_report_is_refused(
    world: World, conn: Connection, changes: dict[str, Any], error: str
) -> None:
    assert record_payment_failure(conn, failure(**changes)).error == error
    assert world.one("SELECT count(*) FROM payment_failures") == 0


def test_an_amount_too_large_for_the_database_is_named_as_such(conn: Connection) -> None:
    told = record_payment_failure(conn, failure(amount_cents=2**31))
    assert (told.error, "out of range" in told.message) == ("RPC_ERROR", True), told


@contextlib.contextmanager
def acting(conn: Connection, role: str, user: str | None = None) -> Iterator[None]:
    """A transaction as somebody else."""
    with conn.transaction():
        claims = msgspec.json.encode({"sub": user, "role": role}).decode()
        conn.execute("SELECT set_config('request.jwt.claims', %s, true)", [claims])
        conn.execute(f"SET LOCAL ROLE {role}".encode())
        yield


@pytest.fixture
def owner(world: World, conn: Connection) -> str:
    """An owner's user id; there is a failure to see."""
    record_payment_failure(conn, failure())
    user = str(uuid.uuid4())
    world.run("INSERT INTO owner_assignments (user_id, role) VALUES (%s, 'owner')", user)
    return user


def test_an_owner_sees_failures_and_settles_them(world: World, owner: str) -> None:
    settle = "UPDATE payment_failures SET resolved = true, resolved_at = now(), resolved_by = 'me'"
    with acting(world.conn, "authenticated", owner):
        assert world.one("SELECT error_code FROM payment_failures") == "card_declined"
        world.run(settle)
    assert world.one("SELECT resolved_by FROM payment_failures WHERE resolved") == "me"


@pytest.mark.parametrize("column", ["amount_cents = 1", "error_message = ''", "metadata = '{}'", "id = id"])
def test_an_owner_does_not_change_what_failed(world: World, owner: str, column: str) -> None:
    for change in (f"UPDATE payment_failures SET {column}", "DELETE FROM payment_failures"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(world.conn, "authenticated", owner):
            world.run(change)


@pytest.mark.usefixtures("owner")
def test_nobody_else_sees_failures(world: World) -> None:
    stranger = str(uuid.uuid4())
    world.run("INSERT INTO staff (user_id, role) VALUES (%s, 'staff')", stranger)
    with acting(world.conn, "authenticated", stranger):
        assert world.one("SELECT count(*) FROM payment_failures") == 0
        world.run("UPDATE payment_failures SET resolved = true, resolved_at = now()")
    assert world.one("SELECT count(*) FROM payment_failures WHERE resolved") == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege), acting(world.conn, "anon"):
        world.one("SELECT count(*) FROM payment_failures")


def test_an_owner_changes_nothing_either_where_new_tables_are_given_to_everybody(server: Postgres) -> None:
    """As a Supabase project does."""
    name = f"generous_{uuid.uuid4().hex}"
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    dsn = server.database(name)
    with connect(dsn, autocommit=True) as conn:
        conn.execute("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO anon, authenticated, service_role")
        migrate(dsn)
        rights = "SELECT has_table_privilege('authenticated', 'payment_failures', 'UPDATE') AS may"
        row = conn.execute(rights.encode()).fetchone()
    assert row == {"may": False}


# --- messages ---


def test_a_message_is_processed_once_and_its_first_outcome_stays(world: World, conn: Connection) -> None:
    assert not webhook_begin(conn, "evt_1", "payment_intent.succeeded").already
    assert not webhook_begin(
        conn, "evt_1", "payment_intent.succeeded"
    ).already  # nobody has reported it as done
    done = webhook_done(conn, "evt_1", "order")
    assert (done.success, done.outcome) == (True, "order")
    told = webhook_begin(conn, "evt_1", "payment_intent.succeeded")
    assert (told.already, told.outcome) == (True, "order")
    assert webhook_done(conn, "evt_1", "other").outcome == "order"
    assert world.one("SELECT webhook_begin('evt_1', 'x')") == {
        "success": True,
        "already": True,
        "outcome": "order",
    }
    assert world.one("SELECT webhook_done('evt_1', 'x')") == {"success": True, "outcome": "order"}


def test_a_message_without_id_or_outcome_is_refused(conn: Connection) -> None:
    assert webhook_begin(conn, "", "x").error == "INVALID_ARGUMENT"
    assert webhook_done(conn, "evt_never", "x").error == "INVALID_ARGUMENT"
    webhook_begin(conn, "evt_1", "x")
    assert webhook_done(conn, "evt_1", "").error == "INVALID_ARGUMENT"


def test_a_message_that_comes_fifty_times_at_once_is_processed_once(world: World, dsn: str) -> None:
    event = night(world)

    def work(conn: Connection, message: str) -> bool:
        with conn.transaction():
            if webhook_begin(conn, message, "payment_intent.succeeded").already:
                return False
            record_ticket_order(conn, order(event), lines())
            webhook_done(conn, message, "order")
        return True

    with crowd(dsn) as webhooks:
        for run in range(1, 11):
            worked = webhooks.do(lambda _, conn: work(conn, f"evt_{run}"))  # noqa: B023
            assert Counter(worked) == {True: 1, False: CROWD - 1}
            assert world.one("SELECT count(*) FROM orders") == run


def test_messages_are_remembered_for_thirty_days_and_no_longer(world: World, conn: Connection) -> None:
    for name, age in (("old", "30 days 1 second"), ("month", "29 days 23:59"), ("new", "0 days")):
        world.run(
            "INSERT INTO webhook_events (stripe_event_id, processed_at) VALUES (%s, now() - %s::interval)",
            name,
            age,
        )
    assert call(conn, "cleanup_expired_webhook_idempotency()")["forgotten"] == 1
    assert world.all("SELECT stripe_event_id FROM webhook_events ORDER BY 1") == [("month",), ("new",)]
    assert call(conn, "cleanup_expired_webhook_idempotency()")["forgotten"] == 0
    exactly = (
        "SELECT cleanup_expired_webhook_idempotency(processed_at + interval '30 days') FROM webhook_events"
    )
    assert world.one(f"{exactly} WHERE stripe_event_id = 'new'")["forgotten"] == 1
    assert world.all("SELECT stripe_event_id FROM webhook_events") == [("new",)]
