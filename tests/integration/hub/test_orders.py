"""One payment makes one order with the tickets bought, however often it is reported (domain 2.2)."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import msgspec
import psycopg
import pytest

from gate.rules.model import Admission, ScanRecord
from hub.db.connection import Connection
from hub.ticketing.orders import record_ticket_order
from tests.integration.hub.asking import Night
from tests.integration.hub.asking import ask as claim
from tests.integration.hub.shop import buy, crowd, lines, night, order
from tests.integration.hub.test_conflicts import admitted, send
from tests.integration.hub.world import World

RUNS = 10


def ask(world: World, one: Any, its_lines: Any) -> dict[str, Any]:
    """What the function itself answers."""
    told: dict[str, Any] = world.one(
        "SELECT record_ticket_order(%s::jsonb, %s::jsonb)",
        msgspec.json.encode(one).decode(),
        msgspec.json.encode(its_lines).decode(),
    )
    return told


def counts(world: World) -> tuple[int, int, int]:
    """Orders, payments and tickets there are."""
    return (
        world.one("SELECT count(*) FROM orders"),
        world.one("SELECT count(*) FROM payments"),
        world.one("SELECT count(*) FROM tickets"),
    )


def test_an_order_its_payment_and_its_tickets_are_written_together(world: World) -> None:
    event = night(world)
    bought = order(event, currency="mxn")
    told = ask(world, bought, lines(3))
    assert set(told) == {
        "success", "already", "order_id", "payment_id", "ticket_ids", "ticket_count", "total_amount_cents",
        "currency", "status",
    }  # fmt: skip
    assert (told["success"], told["already"], told["status"], told["currency"]) == (
        True, False, "completed", "mxn",
    )  # fmt: skip
    assert world.all(
        "SELECT stripe_session_id, total_amount::float, total_amount_cents, ticket_count"
        " FROM orders WHERE id = %s AND completed_at = created_at",
        told["order_id"],
    ) == [(bought.stripe_session_id, 123.45, 12345, 3)]
    assert world.all("SELECT order_id::text, amount_cents, status FROM payments") == [
        (told["order_id"], 12345, "succeeded")
    ]
    tickets = world.all(
        "SELECT id::text, line_number, status, price_paid_cents, guest_name, stripe_payment_intent_id"
        " FROM tickets ORDER BY line_number"
    )
    assert [row[0] for row in tickets] == told["ticket_ids"]
    assert [row[1:] for row in tickets] == [
        (place, "issued", 2500, "Ana", bought.stripe_payment_intent_id) for place in (1, 2, 3)
    ]


def test_sold_tickets_are_in_the_feed_at_once(world: World, conn: Connection) -> None:
    event = night(world)
    before = world.one("SELECT admission_version FROM events")
    told = buy(conn, event, 3)
    rows = [change.row for change in world.changes(event, before)]
    assert all(isinstance(row, Admission) and row.status == "issued" for row in rows)
    assert sorted(row.subject_id for row in rows if isinstance(row, Admission)) == sorted(told.ticket_ids)


def test_a_webhook_that_comes_again_gets_the_same_answer(world: World, conn: Connection) -> None:
    event = night(world)
    bought, its_lines = order(event), lines(2)
    first = record_ticket_order(conn, bought, its_lines)
    again = record_ticket_order(conn, bought, lines(4))
    by_session = record_ticket_order(
        conn, msgspec.structs.replace(bought, stripe_payment_intent_id=None), its_lines
    )
    assert again == by_session == msgspec.structs.replace(first, already=True)
    world.run("UPDATE events SET status = 'cancelled'")
    assert record_ticket_order(conn, bought, its_lines) == again
    assert counts(world) == (1, 1, 2)


def test_fifty_webhooks_of_one_payment_make_one_order(world: World, dsn: str) -> None:
    event = night(world)
    with crowd(dsn) as webhooks:
        for run in range(1, RUNS + 1):
            bought, its_lines = order(event), lines(3)
            told = webhooks.do(lambda _, conn: record_ticket_order(conn, bought, its_lines))  # noqa: B023
            assert Counter(one.already for one in told) == {False: 1, True: 49}
            assert len({(one.success, one.order_id, one.payment_id, one.ticket_ids) for one in told}) == 1
            assert len(told[0].ticket_ids) == 3
            assert counts(world) == (run, run, 3 * run)


def test_one_payment_for_two_nights_at_once_is_one_order(world: World, dsn: str) -> None:
    events = [night(world, code="PF"), night(world, code="PS")]
    with crowd(dsn, 10) as webhooks:
        for run in range(1, RUNS + 1):
            paid = [order(events[0], stripe_payment_intent_id=f"pi_{run}", stripe_session_id=None)]
            paid.append(msgspec.structs.replace(paid[0], event_id=events[1]))
            told = webhooks.do(lambda n, conn: record_ticket_order(conn, paid[n % 2], lines()))  # noqa: B023
            assert Counter((one.success, one.already, one.error) for one in told) == {
                (True, False, None): 1, (True, True, None): 4, (False, False, "ALREADY_PROCESSED"): 5,
            }  # fmt: skip
            assert counts(world) == (run, run, run)


def test_a_payment_that_bought_a_table_buys_no_tickets(world: World, conn: Connection) -> None:
    event = night(world)
    world.run(
        "UPDATE vip_reservations SET stripe_payment_intent_id = 'pi_table' WHERE id = %s",
        world.reservation(event),
    )
    told = buy(conn, event, stripe_payment_intent_id="pi_table")
    assert (told.error, counts(world)) == ("ALREADY_PROCESSED", (0, 0, 0))


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_an_order_that_waited_for_its_payment_is_completed(
    world: World, conn: Connection, status: str
) -> None:
    event = night(world)
    waiting = world.one(
        "INSERT INTO orders (stripe_session_id, status, event_id) VALUES ('cs_w', %s, %s) RETURNING id::text",
        status,
        event,
    )
    told = buy(conn, event, 2, stripe_session_id="cs_w")
    assert (told.order_id, told.already, told.status, len(told.ticket_ids)) == (
        waiting,
        False,
        "completed",
        2,
    )
    assert counts(world) == (1, 1, 2)


def test_a_payment_that_failed_first_may_succeed(world: World, conn: Connection) -> None:
    event = night(world)
    world.run("INSERT INTO payments (stripe_payment_intent_id, status) VALUES ('pi_second_try', 'failed')")
    told = buy(conn, event, stripe_payment_intent_id="pi_second_try")
    assert told.success
    assert world.all("SELECT id::text, status, amount_cents FROM payments") == [
        (told.payment_id, "succeeded", 12345)
    ]


@pytest.mark.parametrize(
    ("changes", "wrong_lines", "error"),
    [
        ({"event_id": "00000000-0000-0000-0000-000000000000"}, None, "EVENT_NOT_FOUND"),
        ({"event_id": "PF"}, None, "INVALID_ARGUMENT"),
        ({"currency": "$"}, None, "INVALID_ARGUMENT"),
        ({"customer_name": "A" * 20_000}, None, "INVALID_ARGUMENT"),
        ({"metadata": None}, None, "INVALID_ARGUMENT"),
        ({"total_amount_cents": -1}, None, "INVALID_AMOUNT"),
        ({"total_amount_cents": 2**31}, None, "INVALID_AMOUNT"),
        ({"total_amount_cents": 2499}, None, "INVALID_AMOUNT"),
        ({}, (), "INVALID_ARGUMENT"),
        ({}, lines(101), "INVALID_ARGUMENT"),
        ({}, lines(1, price_cents=-1), "INVALID_AMOUNT"),
        ({}, lines(1, ticket_type=""), "INVALID_ARGUMENT"),
        ({}, lines(1, ticket_type="Backstage"), "INVALID_ARGUMENT"),
    ],
)
def test_an_invalid_order_changes_nothing(
    world: World, conn: Connection, changes: dict[str, Any], wrong_lines: Any, error: str
) -> None:
    event = night(world)
    one = order(**({"event_id": event} | changes))
    told = record_ticket_order(conn, one, lines() if wrong_lines is None else wrong_lines)
    assert (told.success, told.error, bool(told.message)) == (False, error, True)
    assert counts(world) == (0, 0, 0)


def test_a_code_that_exists_already_undoes_the_whole_order(world: World, conn: Connection) -> None:
    event = night(world)
    taken = lines()
    assert record_ticket_order(conn, order(event), taken).success
    told = record_ticket_order(conn, order(event), (*lines(), *taken))
    assert (told.error, counts(world)) == ("INVALID_ARGUMENT", (1, 1, 1))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("status = 'cancelled'", "EVENT_CANCELLED"),
        ("status = 'completed'", "EVENT_COMPLETED"),
        ("doors_open_at = now() - interval '9 hours', starts_at = NULL, ends_at = now()",
         "EVENT_OVER"),
    ],
)  # fmt: skip
def test_nothing_is_sold_for_a_cancelled_or_past_night(
    world: World, conn: Connection, change: str, error: str
) -> None:
    event = night(world)
    world.run(f"UPDATE events SET {change}")
    assert buy(conn, event).error == error


def test_at_the_door_tickets_are_sold_while_the_night_runs(world: World, conn: Connection) -> None:
    assert buy(conn, night(world, starts_in=-60)).success


# --- sold out ---


def test_an_order_that_exceeds_a_type_is_refused_as_a_whole(world: World, conn: Connection) -> None:
    event = night(world)
    assert buy(conn, event, 4, ticket_type="Early Bird").success
    told = buy(conn, event, 2, ticket_type="Early Bird")
    assert (told.error, "left 1" in told.message) == ("SOLD_OUT", True)
    assert buy(conn, event, 1, ticket_type="Early Bird").success
    assert world.one("SELECT count(*) FROM tickets") == 5


def test_an_order_that_exceeds_the_venue_is_refused_whatever_the_type(world: World, conn: Connection) -> None:
    event = night(world, capacity=3)
    assert buy(conn, event, 2).success
    assert buy(conn, event, 2, ticket_type="Balcony").error == "SOLD_OUT"
    mixed = (*lines(1), *lines(1, "Balcony"))
    assert record_ticket_order(conn, order(event), mixed).error == "SOLD_OUT"
    assert buy(conn, event, 1, ticket_type="Balcony").success


@pytest.mark.parametrize("what", ["type", "venue"])
def test_the_last_seats_are_sold_once_however_many_buy_at_once(world: World, dsn: str, what: str) -> None:
    codes = [f"N{chr(65 + run)}" for run in range(RUNS)]
    with crowd(dsn, 20) as buyers:
        for code in codes:
            event = night(world, code=code, capacity=500 if what == "type" else 7)
            kind = "Early Bird" if what == "type" else "Balcony"
            told = buyers.do(lambda _, conn: buy(conn, event, 2, ticket_type=kind))  # noqa: B023
            assert Counter(one.error for one in told) == (
                {None: 2, "SOLD_OUT": 18} if what == "type" else {None: 3, "SOLD_OUT": 17}
            )
            sold = world.one("SELECT count(*) FROM tickets WHERE event_id = %s", event)
            assert sold == (4 if what == "type" else 6)


# --- one winning admission ---


def winner(world: World, ticket: str) -> list[tuple[Any, ...]]:
    return world.all(
        "SELECT checked_in_scan, checked_in_by FROM tickets WHERE id = %s AND checked_in_at IS NOT NULL",
        ticket,
    )


def test_of_fifty_admissions_of_one_ticket_one_counts(world: World, dsn: str) -> None:
    """By scans, by hand and by claims, all at once; every scan is kept, each but the winner as a conflict."""
    tonight = Night(world, gates=20)

    with crowd(dsn) as everybody:
        for run in range(RUNS):
            id_ = world.ticket(tonight.event)
            code = world.one("SELECT code_hash FROM tickets WHERE id = %s", id_)
            scans = [admitted(f"gate-{n + 1}", n % 3, id_, run + 1, code_hash=code) for n in range(20)]
            ticket = Ticket(id_, code, scans)
            told = everybody.do(lambda number, conn: one_of_fifty(number, conn, tonight, ticket))  # noqa: B023
            assert len(winner(world, id_)) == 1
            assert told.count("granted") <= 1
            assert told.count("by hand") <= 1
            ids = [one.scan_id for one in scans]
            assert world.one("SELECT count(*) FROM scan_logs WHERE scan_id = ANY(%s::uuid[])", ids) == 20
            lost = "SELECT count(*) FROM scan_conflicts WHERE code_hash = %s AND withdrawn_at IS NULL"
            assert world.one(lost, code) == 19
    assert world.one("SELECT count(*) FROM tickets WHERE checked_in_at IS NOT NULL") == RUNS


class Ticket(NamedTuple):
    """A ticket fifty want to enter with, and the scans of the gates that admit it."""

    id: str
    code: str
    scans: list[ScanRecord]


def one_of_fifty(number: int, conn: Connection, tonight: Night, ticket: Ticket) -> str:
    if number < 20:
        send(conn, ticket.scans[number])
        return "scanned"
    if number < 35:
        return by_hand(number, conn, ticket.id) or "by hand"
    scan = ticket.scans[number - 35]
    told = claim(conn, tonight, scan.gate_id, ticket.code, scan.scan_id)
    assert told is not None
    return str(told["grant"]["answer"])


def by_hand(number: int, conn: Connection, ticket: str) -> str | None:
    """A check-in without a scan; the constraint that refused it, or None."""
    try:
        with conn.transaction():
            conn.execute("SELECT FROM events FOR NO KEY UPDATE")  # first, like everybody
            conn.execute(
                "UPDATE tickets SET status = 'checked_in', is_used = true, checked_in_at = clock_timestamp(),"
                " checked_in_by = %s WHERE id = %s",
                [f"desk {number}", ticket],
            )
    except psycopg.errors.CheckViolation as error:
        return error.diag.constraint_name
    return None


def test_fifty_check_ins_by_hand_are_one(world: World, dsn: str) -> None:
    event = night(world)
    with crowd(dsn) as desks:
        for _ in range(RUNS):
            ticket = world.ticket(event)

            told = desks.do(lambda number, conn: by_hand(number, conn, ticket))  # noqa: B023
            assert Counter(told) == {None: 1, "tickets_one_winner": 49}
            assert len(winner(world, ticket)) == 1


def test_a_second_winner_of_a_ticket_cannot_be_written(world: World, conn: Connection) -> None:
    event = night(world)
    ticket = world.ticket(event)
    send(conn, admitted("gate-1", 1, ticket), admitted("gate-2", 2, ticket))
    assert winner(world, ticket)[0][1] == "gate-1"
    for change in ("checked_in_at = NULL", "checked_in_at = now()", "checked_in_scan = gen_random_uuid()"):
        with pytest.raises(psycopg.errors.CheckViolation, match="only one admission counts"):
            world.run(f"UPDATE tickets SET {change} WHERE id = %s", ticket)


def test_a_scan_of_another_ticket_cannot_become_the_winner(world: World, conn: Connection) -> None:
    event = night(world)
    ticket, other = world.ticket(event), world.ticket(event)
    send(conn, admitted("gate-1", 1, ticket, 1), foreign := admitted("gate-1", 0, other, 2))
    with pytest.raises(psycopg.errors.CheckViolation, match="only one admission counts"):
        world.run("UPDATE tickets SET checked_in_scan = %s WHERE id = %s", foreign.scan_id, ticket)
