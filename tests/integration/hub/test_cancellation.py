"""A night is cancelled before it starts: once, as a whole, each payment refunded once (domain 2.2)."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gate.rules.model import Admission, Event, Table
from hub.db.connection import Connection
from hub.ticketing.cancellation import (
    Refund,
    cancel_event,
    next_refunds,
    preview_event_cancellation,
    refund_done,
    refund_failed,
    refund_order,
)
from tests.integration.hub.shop import buy, crowd, night
from tests.integration.hub.test_conflicts import admitted, send
from tests.integration.hub.world import World

RUNS = 10
NOBODY = "00000000-0000-0000-0000-000000000000"


def table(world: World, event: str, cents: int = 80_000, status: str = "confirmed", **paid: Any) -> str:
    """A reservation with two guest passes, and its table taken."""
    reservation = world.reservation(event, status)
    intent = paid.get("intent", f"pi_table_{reservation}")
    world.run(
        "UPDATE vip_reservations SET amount_paid_cents = %s, stripe_payment_intent_id = %s WHERE id = %s",
        cents,
        intent,
        reservation,
    )
    world.run("UPDATE event_vip_tables SET is_available = false")
    world.guest_pass(reservation, 1)
    world.guest_pass(reservation, 2)
    return reservation


def sold(world: World, conn: Connection, **changes: Any) -> str:
    """A night with two orders of 3 tickets in all, a paid table, one that is not, and a ticket given away."""
    event = night(world, **changes)
    buy(conn, event, 2, total_amount_cents=5500)
    buy(conn, event, 1, total_amount_cents=2500)
    table(world, event)
    table(world, event, 0, "pending", intent=None)
    world.ticket(event)
    return event


NUMBERS = {
    "orders": 2,
    "tickets": 4,
    "reservations": 2,
    "guest_passes": 4,
    "refunds": 3,
    "refund_total_cents": 88_000,
    "by_kind": {
        "orders": {"count": 2, "cents": 8000},
        "tables": {"count": 1, "cents": 80_000},
        "tickets": {"count": 0, "cents": 0},
    },
    "by_hand_cents": 0,
    "currency": "usd",
}


def statuses(world: World, table_name: str) -> dict[str, int]:
    return dict(world.all(f"SELECT status, count(*) FROM {table_name} GROUP BY 1"))


# --- the preview ---


def test_the_preview_shows_every_number_and_changes_nothing(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    before = world.one("SELECT admission_version FROM events")
    told = world.one("SELECT preview_event_cancellation(%s)", event)
    starts_at = told["event"].pop("starts_at")
    assert told == {
        "success": True,
        "can_cancel": True,
        "event": {"event_id": event, "code": "PF", "name": "Night PF"},
        **NUMBERS,
    }
    assert world.one("SELECT starts_at = %s::timestamptz FROM events", starts_at)
    assert world.one("SELECT admission_version FROM events") == before
    assert preview_event_cancellation(conn, event).by_kind.tables.cents == 80_000


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("doors_open_at = now() - interval '1 hour', starts_at = now()", "EVENT_STARTED"),
        ("doors_open_at = now(), starts_at = NULL", "EVENT_STARTED"),
        ("status = 'completed'", "EVENT_COMPLETED"),
    ],
)
def test_a_night_that_has_started_cannot_be_cancelled(
    world: World, conn: Connection, change: str, error: str
) -> None:
    event = sold(world, conn)
    world.run(f"UPDATE events SET {change}")
    preview = preview_event_cancellation(conn, event)
    assert (preview.success, preview.can_cancel, preview.error) == (True, False, error)
    refused = cancel_event(conn, event, "Rosa", "storm")
    assert (refused.success, refused.error) == (False, error)
    assert statuses(world, "tickets") == {"issued": 4}
    assert world.one("SELECT count(*) FROM refunds") == 0


def test_a_night_with_open_doors_that_has_not_started_can_be_cancelled(
    world: World, conn: Connection
) -> None:
    event = sold(world, conn)
    world.run("UPDATE events SET doors_open_at = now() - interval '1 hour'")
    assert cancel_event(conn, event, "Rosa", "storm").success


def test_cancelling_needs_a_reason_and_an_existing_night(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    assert cancel_event(conn, event, "Rosa", " ").error == "INVALID_ARGUMENT"
    assert cancel_event(conn, NOBODY, "Rosa", "storm").error == "EVENT_NOT_FOUND"
    assert preview_event_cancellation(conn, NOBODY).error == "EVENT_NOT_FOUND"


def test_a_total_that_changed_since_it_was_shown_cancels_nothing(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    buy(conn, event, total_amount_cents=2500)
    refused = cancel_event(conn, event, "Rosa", "storm", 88_000)
    assert (refused.error, refused.refund_total_cents) == ("INVALID_AMOUNT", 90_500)
    assert world.one("SELECT status FROM events") == "scheduled"
    assert cancel_event(conn, event, "Rosa", "storm", 90_500).success


# --- what it does ---


def test_everything_of_the_night_is_cancelled_and_the_tables_are_free(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    other = night(world, code="PS")
    theirs = buy(conn, other)
    told = world.one("SELECT cancel_event(%s, 'Rosa', 'storm', 88000)", event)
    assert set(told) == {
        "success", "already", "event", "cancelled_at", "cancelled_by", "reason", *NUMBERS,
    }  # fmt: skip
    assert {key: told[key] for key in NUMBERS} == NUMBERS
    assert (told["success"], told["already"], told["cancelled_by"]) == (True, False, "Rosa")
    assert world.all(
        "SELECT status, cancelled_by, cancellation_reason FROM events WHERE cancelled_at IS NOT NULL"
    ) == [("cancelled", "Rosa", "storm")]
    assert statuses(world, "tickets") == {"refunded": 4, "issued": 1}
    assert statuses(world, "vip_reservations") == {"cancelled": 2}
    assert statuses(world, "vip_guest_passes") == {"cancelled": 4}
    assert statuses(world, "orders") == {"refunded": 2, "completed": 1}
    assert world.all("SELECT DISTINCT is_available FROM event_vip_tables") == [(True,)]
    assert world.one("SELECT status FROM tickets WHERE id = %s", theirs.ticket_ids[0]) == "issued"
    assert world.all(
        "SELECT status, attempts, reason, sum(amount_cents)::integer FROM refunds GROUP BY 1, 2, 3"
    ) == [("queued", 0, "storm", 88_000)]
    assert world.all("SELECT actor, action, target, reason FROM audit_log") == [
        ("Rosa", "cancel_event", "PF", "storm")
    ]


def test_the_feed_carries_the_whole_cancellation_in_the_same_transaction(
    world: World, conn: Connection
) -> None:
    event = sold(world, conn)
    before = world.one("SELECT admission_version FROM events")
    with world.conn.transaction(force_rollback=True):
        assert cancel_event(world.conn, event, "Rosa", "storm").success
        rows = [change.row for change in world.changes(event, before)]
    assert [row.status for row in rows if isinstance(row, Event)] == ["cancelled"]
    assert Counter(row.status for row in rows if isinstance(row, Table)) >= Counter({"cancelled": 2})
    last = {row.subject_id: row.status for row in rows if isinstance(row, Admission)}
    assert Counter(last.values()) == {"refunded": 4, "cancelled": 4}
    assert world.changes(event, before) == []  # rolled back with the rest
    assert {row.status for row in world.feed(event) if isinstance(row, Admission)} == {"issued"}


def test_a_guest_already_inside_is_refunded_and_stays_in_the_books(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    world.run(
        "UPDATE tickets SET status = 'checked_in', checked_in_at = now(), checked_in_by = 'gate-1'"
        " WHERE order_id IS NOT NULL"
    )
    world.run("UPDATE vip_reservations SET status = 'checked_in' WHERE status = 'confirmed'")
    told = cancel_event(conn, event, "Rosa", "storm")
    assert (told.refunds, told.refund_total_cents) == (3, 88_000)
    assert statuses(world, "tickets") == {"refunded": 4}
    assert world.one("SELECT count(*) FROM tickets WHERE checked_in_at IS NOT NULL") == 3
    assert statuses(world, "vip_reservations") == {"cancelled": 1, "checked_in": 1}
    assert world.all("SELECT DISTINCT is_available FROM event_vip_tables") == [(True,)]


def test_a_table_and_its_hosts_ticket_paid_together_are_one_refund(world: World, conn: Connection) -> None:
    event = night(world)
    bought = buy(conn, event, total_amount_cents=82_500, stripe_payment_intent_id="pi_both")
    reservation = table(world, event, 80_000, intent="pi_both")
    world.link(reservation, bought.ticket_ids[0], host=True)
    told = cancel_event(conn, event, "Rosa", "storm")
    assert (told.refunds, told.refund_total_cents, told.by_kind.tables.cents) == (1, 82_500, 82_500)
    assert world.all("SELECT order_id::text, reservation_id::text, amount_cents FROM refunds") == [
        (bought.order_id, reservation, 82_500)
    ]


def test_what_was_refunded_already_is_not_refunded_again(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    world.run("UPDATE payments SET status = 'refunded' WHERE amount_cents = 5500")
    told = cancel_event(conn, event, "Rosa", "storm")
    assert (told.refunds, told.refund_total_cents) == (2, 82_500)
    assert statuses(world, "orders") == {"refunded": 2}


def test_payments_unknown_to_the_payment_service_are_listed_to_refund_by_hand(
    world: World, conn: Connection
) -> None:
    event = night(world)
    buy(conn, event, total_amount_cents=3000, stripe_payment_intent_id=None, stripe_session_id=None)
    table(world, event, 50_000, intent=None)
    old = world.ticket(event)
    world.run("UPDATE tickets SET price_paid = 25.50 WHERE id = %s", old)
    paid = world.ticket(event)
    world.run(
        "UPDATE tickets SET price_paid_cents = 2000, stripe_payment_intent_id = 'pi_old', line_number = 1"
        " WHERE id = %s",
        paid,
    )
    told = cancel_event(conn, event, "Rosa", "storm")
    assert (told.by_hand_cents, told.refund_total_cents, told.by_kind.tickets.count) == (55_550, 2000, 1)


def test_a_night_that_was_only_marked_as_cancelled_is_cancelled_properly(
    world: World, conn: Connection
) -> None:
    event = sold(world, conn)
    world.run("UPDATE events SET status = 'cancelled'")
    assert preview_event_cancellation(conn, event).can_cancel
    told = cancel_event(conn, event, "Rosa", "storm")
    assert (told.success, told.already, told.refunds) == (True, False, 3)
    assert statuses(world, "tickets") == {"refunded": 4}


# --- once ---


def test_a_second_click_gets_the_same_answer_and_does_nothing(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    first = world.one("SELECT cancel_event(%s, 'Rosa', 'storm')", event)
    version = world.one("SELECT admission_version FROM events")
    second = world.one("SELECT cancel_event(%s, 'Luis', 'too few came', 1)", event)
    assert second == first | {"already": True}
    assert world.one("SELECT admission_version FROM events") == version
    preview = preview_event_cancellation(conn, event)
    assert (preview.can_cancel, preview.error) == (False, "EVENT_CANCELLED")
    assert preview.refund_total_cents == 88_000


def test_owners_who_click_at_once_refund_once(world: World, dsn: str, conn: Connection) -> None:
    with crowd(dsn, 10) as owners:
        for run in range(RUNS):
            event = sold(world, conn, code=f"N{chr(65 + run)}")
            told = owners.do(lambda n, conn: cancel_event(conn, event, f"owner {n}", "storm"))  # noqa: B023
            assert Counter(one.already for one in told) == {False: 1, True: 9}
            assert len({(one.success, one.refund_total_cents, one.cancelled_by) for one in told}) == 1
            assert world.all(
                "SELECT count(*), sum(amount_cents)::integer FROM refunds WHERE event_id = %s", event
            ) == [(3, 88_000)]
    assert world.one("SELECT count(*) FROM audit_log") == RUNS


def test_a_purchase_during_the_cancellation_is_refunded_or_refused(
    world: World, dsn: str, conn: Connection
) -> None:
    with crowd(dsn, 10) as everybody:
        for run in range(RUNS):
            event = night(world, code=f"N{chr(65 + run)}")

            def act(number: int, conn: Connection, event: str = event) -> str | None:
                if number == 0:
                    return cancel_event(conn, event, "Rosa", "storm").error
                return buy(conn, event).error

            told = Counter(everybody.do(act)[1:])
            assert set(told) <= {None, "EVENT_CANCELLED"}
            states = "SELECT status, count(*) FROM tickets WHERE event_id = %s GROUP BY 1"
            assert dict(world.all(states, event)) == ({"refunded": told[None]} if told[None] else {})
            assert world.one("SELECT count(*) FROM refunds WHERE event_id = %s", event) == told[None]


def test_scans_during_the_cancellation_are_all_kept(world: World, dsn: str, conn: Connection) -> None:
    with crowd(dsn, 10) as everybody:
        for run in range(RUNS):
            event = sold(world, conn, code=f"N{chr(65 + run)}")
            tickets = [row[0] for row in world.all("SELECT id::text FROM tickets WHERE event_id = %s", event)]

            def act(number: int, conn: Connection, event: str = event, tickets: list[str] = tickets) -> bool:
                if number == 0:
                    return cancel_event(conn, event, "Rosa", "storm").success
                send(conn, *(admitted(f"g{event[:8]}-{number}", n, t, n + 1) for n, t in enumerate(tickets)))
                return True

            assert all(everybody.do(act))
            states = "SELECT status, count(*) FROM tickets WHERE event_id = %s GROUP BY 1"
            assert world.all(states, event) == [("refunded", 4)]
            kept = "SELECT count(*) FROM scan_logs WHERE gate_id LIKE %s"
            assert world.one(kept, f"g{event[:8]}%") == 9 * 4


def test_only_owners_cancel(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    user = "11111111-1111-1111-1111-111111111111"
    for role, allowed in (("staff", False), ("admin", True)):
        world.run("DELETE FROM staff")
        world.run("INSERT INTO staff (user_id, role) VALUES (%s, %s)", user, role)
        with world.conn.transaction():
            world.one("SELECT set_config('request.jwt.claims', %s, true)", f'{{"sub": "{user}"}}')
            world.run("SET LOCAL ROLE authenticated")
            preview = preview_event_cancellation(world.conn, event)
            told = cancel_event(world.conn, event, "somebody else", "storm")
        errors = (preview.error, told.error)
        assert errors == ((None, None) if allowed else ("NOT_ALLOWED", "NOT_ALLOWED"))
    assert world.one("SELECT cancelled_by FROM events") == user


# --- one order ---


def test_an_order_is_refunded_once_and_its_tickets_are_revoked(world: World, conn: Connection) -> None:
    event = night(world)
    bought = buy(conn, event, 2, total_amount_cents=5500)
    before = world.one("SELECT admission_version FROM events")
    told = world.one("SELECT refund_order(%s, 'ill', 'Rosa')", bought.order_id)
    assert told == {
        "success": True,
        "already": False,
        "order_id": bought.order_id,
        "refund_id": world.one("SELECT id::text FROM refunds"),
        "ticket_ids": list(bought.ticket_ids),
    }
    assert bought.order_id is not None
    assert refund_order(conn, bought.order_id, "ill", "Luis").already
    assert world.all("SELECT amount_cents, reason, status FROM refunds") == [(5500, "ill", "queued")]
    rows = [change.row for change in world.changes(event, before)]
    assert [row.status for row in rows if isinstance(row, Admission)] == ["refunded", "refunded"]
    assert world.all("SELECT actor, action FROM audit_log") == [("Rosa", "refund_order")]
    assert cancel_event(conn, event, "Rosa", "storm").refunds == 0


def test_an_order_with_a_used_ticket_is_not_refunded(world: World, conn: Connection) -> None:
    bought = buy(conn, night(world), 2)
    assert bought.order_id is not None
    world.run("UPDATE tickets SET status = 'checked_in', checked_in_at = now() WHERE line_number = 2")
    assert refund_order(conn, bought.order_id, "ill", "Rosa").error == "NOT_ALLOWED"
    assert refund_order(conn, bought.order_id, "", "Rosa").error == "INVALID_ARGUMENT"
    assert refund_order(conn, NOBODY, "ill", "Rosa").error == "ORDER_NOT_FOUND"
    assert world.one("SELECT count(*) FROM refunds") == 0


# --- the queue ---


def test_a_refund_is_given_to_one_worker_and_settles_the_payment(world: World, conn: Connection) -> None:
    event = sold(world, conn)
    cancel_event(conn, event, "Rosa", "storm")
    mine = next_refunds(conn, 2)
    rest = next_refunds(conn)
    assert (len(mine), len(rest), next_refunds(conn)) == (2, 1, [])
    for number, refund in enumerate([*mine, *rest]):
        assert refund.attempts == 1
        assert not refund_done(conn, refund.refund_id, f"re_{number}").already
    assert refund_done(conn, mine[0].refund_id, "re_other").already
    assert statuses(world, "refunds") == {"done": 3}
    assert statuses(world, "payments") == {"refunded": 2}
    assert world.all(
        "SELECT refund_amount_cents FROM vip_reservations"
        " WHERE stripe_refund_id ~ '^re_[012]$' AND refunded_at IS NOT NULL"
    ) == [(80_000,)]
    assert world.one("SELECT refund_done(%s, 're')", mine[0].refund_id) == {
        "success": True,
        "already": True,
        "refund_id": mine[0].refund_id,
    }
    assert refund_done(conn, NOBODY, "re").error == "REFUND_NOT_FOUND"


def test_workers_that_ask_at_once_never_get_the_same_refund(world: World, dsn: str) -> None:
    event = night(world)
    with crowd(dsn, 10) as workers:
        for run in range(RUNS):
            world.run(
                "INSERT INTO refunds (event_id, stripe_payment_intent_id, amount_cents, reason)"
                " SELECT %s, 'pi_' || %s || '_' || n, 100, 'storm' FROM generate_series(1, 40) n",
                event,
                str(run),
            )
            given = [refund.refund_id for some in workers.do(_take) for refund in some]
            assert len(given) == len(set(given))
            left = next_refunds(world.conn, 100)
            assert len(given) + len(left) == 40


def _take(_: int, conn: Connection) -> list[Refund]:
    return next_refunds(conn, 5)


def test_a_refund_that_failed_is_tried_five_times_and_then_left_to_a_person(
    world: World, conn: Connection
) -> None:
    event = night(world)
    buy(conn, event)
    cancel_event(conn, event, "Rosa", "storm")
    for attempt in range(1, 6):
        (refund,) = next_refunds(conn)
        told = refund_failed(conn, refund.refund_id, "card is gone")
        assert (told.status, told.attempts) == ("queued" if attempt < 5 else "failed", attempt)
        wait = world.one("SELECT extract(epoch FROM next_attempt_at - now()) / 60 FROM refunds")
        assert round(wait) == 4 ** (attempt - 1)
        assert next_refunds(conn) == []
        world.run("UPDATE refunds SET next_attempt_at = now()")
    assert next_refunds(conn) == []
    assert world.all("SELECT status, last_error FROM refunds") == [("failed", "card is gone")]
    assert world.one("SELECT refund_failed(%s, '')", refund.refund_id)["error"] == "ALREADY_PROCESSED"
    assert refund_failed(conn, NOBODY, "").error == "REFUND_NOT_FOUND"


def test_a_refund_whose_worker_died_is_due_again(world: World, conn: Connection) -> None:
    event = night(world)
    buy(conn, event)
    cancel_event(conn, event, "Rosa", "storm")
    (refund,) = next_refunds(conn)
    later = "SELECT count(*) FROM next_refunds(10, now() + interval %s)"
    assert world.one(later.replace("%s", "'9 minutes'")) == 0
    assert world.one(later.replace("%s", "'11 minutes'")) == 1
    assert not refund_done(conn, refund.refund_id, "re_1").already


# --- by command ---


def hub(*words: str | Path, said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hub.cli.main", "event", "cancel", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, input=said)


def test_the_command_shows_the_preview_and_asks(world: World, conn: Connection, config_file: Path) -> None:
    sold(world, conn)
    words: list[str | Path] = ["pf", "--config", config_file, "--reason", "storm", "--actor", "Rosa"]
    asked = hub(*words, said="n\n")
    assert (asked.returncode, "Nothing was cancelled" in asked.stderr) == (1, True)
    for told in ("Night PF (PF), starts ", "4 tickets", "4 guest passes", "3 refunds, together 880.00 USD"):
        assert told in asked.stdout
    assert "no way back" in asked.stdout
    assert statuses(world, "events") == {"scheduled": 1}
    done = hub(*words, "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "Cancelled. 880.00 USD in 3 refunds are queued.",
    )
    assert world.one("SELECT cancelled_by FROM events") == "Rosa"
    again = hub(*words, "--yes")
    assert (again.returncode, "Night PF is cancelled. Nothing was changed." in again.stderr) == (1, True)


def test_the_command_says_what_is_wrong(world: World, config_file: Path) -> None:
    night(world, starts_in=-1)
    started = hub("PF", "--config", config_file, "--reason", "storm", "--yes")
    assert (started.returncode, "has started" in started.stderr) == (1, True)
    unknown = hub("XX", "--config", config_file, "--reason", "storm", "--yes")
    assert (unknown.returncode, "there is no night 'XX'" in unknown.stderr) == (2, True)
    assert hub("PF", "--config", config_file, "--reason", " ").returncode == 2
    assert "Traceback" not in started.stderr + unknown.stderr
