"""Many at once, each with a connection of its own: nothing is counted twice, and no seat is sold twice."""

from __future__ import annotations

from collections import Counter

import msgspec
import psycopg
import pytest

from gate.rules.model import Kind
from hub.db.connection import Connection
from hub.ingest.batch import Batch, write_batch
from hub.vip.guests import link_ticket_to_vip, unlink_ticket_from_vip
from hub.vip.scan import process_vip_scan_with_reentry
from tests.integration.hub.shop import crowd
from tests.integration.hub.test_ingest import take
from tests.integration.hub.test_vip_checkout import check_out, counts, host_ticket, reserve
from tests.integration.hub.world import World, call, record

SCANNERS = 50
GUESTS = 20


def test_fifty_scanners_on_one_pass_are_one_first_entry(world: World, dsn: str) -> None:
    guest = world.guest_pass(world.reservation(world.event()))
    with crowd(dsn, SCANNERS) as scanners:
        answers = scanners.do(lambda n, conn: process_vip_scan_with_reentry(conn, guest, f"gate-{n}"))
    assert Counter(answer.entry_type for answer in answers) == {"first_entry": 1, "reentry": SCANNERS - 1}
    assert {answer.checked_in_guests for answer in answers} == {1}
    assert Counter(row[0] for row in world.all("SELECT scan_type FROM vip_scan_logs")) == {
        "first_entry": 1,
        "reentry": SCANNERS - 1,
    }
    assert world.all("SELECT status, checked_in_guests FROM vip_reservations") == [("checked_in", 1)]


def test_every_guest_of_a_table_at_once_is_counted(world: World, dsn: str) -> None:
    """By their passes, and by the scans of their linked tickets that a gate reports."""
    event = world.event()
    reservation = world.reservation(event, seats=GUESTS)
    seats = [world.guest_pass(reservation, number) for number in range(1, GUESTS // 2 + 1)]
    linked = [world.ticket(event) for _ in range(GUESTS - len(seats))]
    for ticket in linked:
        world.link(reservation, ticket)

    def comes(number: int, conn: Connection) -> bool:
        if number < len(seats):
            return process_vip_scan_with_reentry(conn, seats[number], f"gate-{number}").success
        return reported(conn, linked[number - len(seats)], f"gate-{number}")

    with crowd(dsn, GUESTS) as guests:
        assert all(guests.do(comes))
    assert world.one("SELECT checked_in_guests FROM vip_reservations") == GUESTS
    assert world.one("SELECT count(*) FROM vip_scan_logs WHERE scan_type = 'first_entry'") == GUESTS


def reported(conn: Connection, ticket: str, gate: str) -> bool:
    """The scan of a linked guest at this gate is taken in."""
    scan = record(1, subject_id=ticket, kind=Kind.VIP_LINKED, gate_id=gate)
    write_batch(conn, Batch(records=(scan,), topics={gate: "t"}))
    return True


def test_of_twenty_links_for_the_last_seat_one_is_made(world: World, dsn: str) -> None:
    event = world.event()
    reservation = world.reservation(event, seats=3)
    world.guest_pass(reservation)
    world.link(reservation, world.ticket(event), host=True)
    tickets = [world.ticket(event) for _ in range(GUESTS)]
    with crowd(dsn, GUESTS) as guests:
        answers = guests.do(lambda n, conn: link_ticket_to_vip(conn, reservation, tickets[n]))
    assert Counter(answer.error for answer in answers) == {None: 1, "CAPACITY_EXCEEDED": GUESTS - 1}
    assert world.one("SELECT count(*) FROM vip_linked_tickets") == 2


def test_of_twenty_direct_inserts_for_the_last_seat_one_succeeds(world: World, dsn: str) -> None:
    event = world.event()
    reservation = world.reservation(event, seats=1)
    tickets = [world.ticket(event) for _ in range(GUESTS)]

    def writes(number: int, conn: Connection) -> bool:
        try:
            World(conn).link(reservation, tickets[number])
        except psycopg.errors.CheckViolation:
            return False
        return True

    with crowd(dsn, GUESTS) as guests:
        assert sum(guests.do(writes)) == 1
    assert world.one("SELECT count(*) FROM vip_linked_tickets") == 1


def test_one_ticket_at_two_tables_at_once_is_at_one(world: World, dsn: str) -> None:
    event = world.event()
    tables = [world.reservation(event) for _ in range(GUESTS)]
    ticket = world.ticket(event)
    with crowd(dsn, GUESTS) as hosts:
        answers = hosts.do(lambda n, conn: link_ticket_to_vip(conn, tables[n], ticket))
    assert Counter(answer.error for answer in answers) == {None: 1, "TICKET_ALREADY_LINKED": GUESTS - 1}


def test_a_payment_reported_twenty_times_at_once_is_one_checkout(world: World, dsn: str) -> None:
    event = world.event()
    table = world.table(event)
    with crowd(dsn, GUESTS) as webhooks:
        answers = webhooks.do(lambda _, conn: check_out(conn, event, table, guest_passes=2))
    assert Counter(answer.already for answer in answers) == {False: 1, True: GUESTS - 1}
    assert len({msgspec.structs.replace(answer, already=True) for answer in answers}) == 1
    assert counts(world) == {
        "orders": 1,
        "payments": 1,
        "tickets": 1,
        "vip_reservations": 1,
        "vip_guest_passes": 2,
        "vip_linked_tickets": 1,
    }


def test_of_twenty_buyers_of_one_table_one_gets_it(world: World, dsn: str) -> None:
    event = world.event()
    table = world.table(event)

    def buys(number: int, conn: Connection) -> str | None:
        if number % 2:
            return reserve(conn, event, table, f"pi_{number}").error
        return check_out(conn, event, table, f"pi_{number}", ticket=host_ticket(number)).error

    with crowd(dsn, GUESTS) as buyers:
        assert Counter(buyers.do(buys)) == {None: 1, "TABLE_NOT_AVAILABLE": GUESTS - 1}
    assert world.one("SELECT count(*) FROM vip_reservations") == 1


@pytest.mark.parametrize("_run", range(3))
def test_a_night_completes_while_its_last_scans_come_in(world: World, dsn: str, _run: int) -> None:
    """Whichever is first, everybody is counted and every table is completed, once."""
    event = world.event(starts_in=-8 * 60)
    reservation = world.reservation(event, seats=GUESTS)
    tickets = [world.ticket(event) for _ in range(GUESTS - 4)]
    for ticket in tickets:
        world.link(reservation, ticket)
    world.reservation(event)

    def does(number: int, conn: Connection) -> tuple[int, int]:
        if number < len(tickets):
            reported(conn, tickets[number], f"gate-{number}")
            return (0, 0)
        done = call(conn, "complete_finished_events()")
        assert done["success"]
        return (done["events"], done["reservations"])

    with crowd(dsn, GUESTS) as everybody:
        done = everybody.do(does)
    assert [sum(column) for column in zip(*done, strict=True)] == [1, 2]
    assert world.all("SELECT status, checked_in_guests FROM vip_reservations ORDER BY table_number") == [
        ("completed", len(tickets)),
        ("completed", 0),
    ]
    assert world.one("SELECT count(*) FROM vip_scan_logs WHERE scan_type = 'first_entry'") == len(tickets)


def test_a_list_that_changes_while_its_guests_come_in_is_counted_right(world: World, dsn: str) -> None:
    event = world.event()
    reservation = world.reservation(event, seats=GUESTS)
    tickets = [world.ticket(event) for _ in range(GUESTS // 2)]

    def does(number: int, conn: Connection) -> bool:
        ticket = tickets[number // 2]
        if number % 2:
            return reported(conn, ticket, f"gate-{number}")
        linked = link_ticket_to_vip(conn, reservation, ticket).success
        return linked and (number % 4 != 0 or unlink_ticket_from_vip(conn, ticket).success)

    with crowd(dsn, GUESTS) as everybody:
        assert all(everybody.do(does))
    assert world.one("SELECT count(*) FROM vip_linked_tickets") == GUESTS // 4
    assert world.one("SELECT checked_in_guests FROM vip_reservations") == GUESTS // 4
    assert world.one("SELECT count(*) FROM tickets WHERE status = 'checked_in'") == GUESTS // 2


def test_a_link_that_meets_the_guests_scan_counts_them_whichever_is_first(world: World, dsn: str) -> None:
    event = world.event()
    reservation = world.reservation(event)
    ticket = world.ticket(event)
    scan = record(1, subject_id=ticket, kind=Kind.VIP_LINKED)

    def does(number: int, conn: Connection) -> bool:
        if number:
            return bool(take(conn, scan))
        return link_ticket_to_vip(conn, reservation, ticket).success

    with crowd(dsn, 2) as both:
        assert all(both.do(does))
    assert world.all("SELECT status, checked_in_guests FROM vip_reservations") == [("checked_in", 1)]
