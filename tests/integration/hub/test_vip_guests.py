"""Who sits at a table: guest lists, seats, and who may change them until when (domain 2.1, 2.2)."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from gate.rules.model import Admission, Kind
from hub.db.connection import Connection
from hub.vip.guests import check_vip_capacity, join_vip_by_invite, link_ticket_to_vip, unlink_ticket_from_vip
from hub.vip.scan import process_vip_scan_with_reentry
from tests.integration.hub.people import person
from tests.integration.hub.test_ingest import take
from tests.integration.hub.world import World, record

NOBODY = "00000000-0000-4000-8000-000000000000"


def link(world: World, reservation: str, ticket: str, by_staff: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = world.one(
        "SELECT link_ticket_to_vip(%s, %s, 'Eva', %s)", reservation, ticket, by_staff
    )
    return found


def refused(answer: dict[str, Any]) -> str:
    """Its error; the answer has that, a message for a person, and nothing else."""
    assert set(answer) == {"success", "error", "message"}
    assert answer["success"] is False
    assert answer["message"].endswith(".")
    return str(answer["error"])


def audit(world: World) -> list[tuple[Any, ...]]:
    return world.all("SELECT actor, action, target FROM audit_log ORDER BY created_at")


def arrived(world: World) -> tuple[Any, ...]:
    return world.all("SELECT status, checked_in_guests, checked_in_by FROM vip_reservations")[0]


# --- linking ---


def test_a_link_says_how_many_sit_there_and_repeating_it_changes_nothing(world: World) -> None:
    event = world.event()
    reservation, ticket = world.reservation(event), world.ticket(event)
    first = link(world, reservation, ticket)
    assert first == {
        "success": True,
        "link_id": str(world.one("SELECT id FROM vip_linked_tickets")),
        "vip_reservation_id": reservation,
        "ticket_id": ticket,
        "linked": 1,
        "capacity": 8,
    }
    version = world.one("SELECT admission_version FROM events")
    assert link(world, reservation, ticket) == first
    assert world.one("SELECT admission_version FROM events") == version
    assert world.all("SELECT purchased_by_name, linked_by, is_booker_purchase FROM vip_linked_tickets") == [
        ("Ana", "Eva", False)
    ]
    assert audit(world) == []


def test_a_ticket_is_linked_to_one_table_only(world: World) -> None:
    event = world.event()
    ticket, other = world.ticket(event), world.reservation(event)
    link(world, other, ticket)
    assert refused(link(world, world.reservation(event), ticket)) == "TICKET_ALREADY_LINKED"


def test_a_ticket_whose_table_was_cancelled_may_join_another(world: World) -> None:
    event = world.event()
    ticket, gone = world.ticket(event), world.reservation(event)
    world.link(gone, ticket, host=True)
    world.run("UPDATE vip_reservations SET status = 'cancelled'")
    reservation = world.reservation(event)
    assert link(world, reservation, ticket)["linked"] == 1
    assert world.all("SELECT vip_reservation_id::text, is_booker_purchase FROM vip_linked_tickets") == [
        (reservation, False)
    ]


def test_an_unknown_table_or_ticket_cannot_be_linked(world: World) -> None:
    event = world.event()
    assert refused(link(world, NOBODY, world.ticket(event))) == "RESERVATION_NOT_FOUND"
    assert refused(link(world, world.reservation(event), NOBODY)) == "TICKET_NOT_FOUND"


def test_a_ticket_of_another_night_is_refused(world: World) -> None:
    assert (
        refused(link(world, world.reservation(world.event()), world.ticket(world.event("PS"))))
        == "OTHER_EVENT"
    )


@pytest.mark.parametrize("status", ["cancelled", "refunded"])
def test_an_invalid_ticket_cannot_be_linked(world: World, status: str) -> None:
    event = world.event()
    assert refused(link(world, world.reservation(event), world.ticket(event, status=status))) == (
        "TICKET_NOT_VALID"
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("pending", None),
        ("confirmed", None),
        ("checked_in", None),
        ("completed", "RESERVATION_NOT_CONFIRMED"),
        ("cancelled", "RESERVATION_NOT_CONFIRMED"),
    ],
)
def test_a_table_has_a_guest_list_until_it_is_over_or_cancelled(
    world: World, status: str, error: str | None
) -> None:
    event = world.event()
    assert link(world, world.reservation(event, status), world.ticket(event)).get("error") == error


# --- seats ---


def test_seats_are_those_of_the_package_less_passes_and_links(world: World) -> None:
    event = world.event()
    reservation = world.reservation(event, package='{"guestCount": 5}')
    world.guest_pass(reservation, 1)
    world.guest_pass(reservation, 2, status="cancelled")
    world.link(reservation, world.ticket(event), host=True)
    expected = {"success": True, "capacity": 5, "passes": 1, "linked": 1, "remaining": 3}
    assert world.one("SELECT check_vip_capacity(%s)", reservation) == expected
    for number in range(3):
        assert link(world, reservation, world.ticket(event))["linked"] == 2 + number
    late = world.ticket(event)
    assert refused(link(world, reservation, late)) == "CAPACITY_EXCEEDED"
    assert world.one("SELECT check_vip_capacity(%s)", reservation)["remaining"] == 0
    world.run("UPDATE vip_guest_passes SET status = 'cancelled'")
    assert link(world, reservation, late)["linked"] == 5
    assert refused(world.one("SELECT check_vip_capacity(%s)", NOBODY)) == "RESERVATION_NOT_FOUND"


def test_one_guest_too_many_is_refused_whoever_writes_it(world: World) -> None:
    event = world.event()
    full, other = world.reservation(event, seats=2), world.reservation(event)
    world.link(full, world.ticket(event))
    world.guest_pass(full, 1)
    ticket, seat = world.ticket(event), world.guest_pass(other, 2)
    world.link(other, ticket)
    for statement in (
        f"INSERT INTO vip_linked_tickets (vip_reservation_id, ticket_id)"
        f" VALUES ('{full}', '{world.ticket(event)}')",
        f"UPDATE vip_linked_tickets SET vip_reservation_id = '{full}' WHERE ticket_id = '{ticket}'",
        f"INSERT INTO vip_guest_passes (reservation_id, guest_number, qr_code_token)"
        f" VALUES ('{full}', 3, 'VIP-PASS-X')",
        f"UPDATE vip_guest_passes SET reservation_id = '{full}' WHERE id = '{seat}'",
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match="the table has 2 seats"):
            world.run(statement)


# --- unlinking ---


def test_an_unlinked_ticket_is_general_admission_again(world: World, conn: Connection) -> None:
    event = world.event()
    reservation, ticket = world.reservation(event), world.ticket(event)
    link(world, reservation, ticket)
    take(conn, record(1, subject_id=ticket, kind=Kind.VIP_LINKED))
    assert arrived(world) == ("checked_in", 1, "gate-1")
    assert world.one("SELECT unlink_ticket_from_vip(%s)", ticket) == {
        "success": True,
        "ticket_id": ticket,
        "vip_reservation_id": reservation,
    }
    assert arrived(world) == ("checked_in", 0, None)
    assert world.one("SELECT check_vip_linked_ticket_reentry(%s)", ticket) == {"is_vip_linked": False}
    kinds = [row.kind for row in world.feed(event) if isinstance(row, Admission)]
    assert kinds == [Kind.GA]


def test_a_ticket_on_no_list_cannot_be_unlinked(world: World) -> None:
    event = world.event()
    assert refused(world.one("SELECT unlink_ticket_from_vip(%s)", NOBODY)) == "TICKET_NOT_FOUND"
    free = world.ticket(event)
    assert refused(world.one("SELECT unlink_ticket_from_vip(%s)", free)) == "TICKET_NOT_LINKED"


def test_the_hosts_own_ticket_stays_with_its_table(world: World) -> None:
    event = world.event()
    ticket = world.ticket(event)
    world.link(world.reservation(event), ticket, host=True)
    assert refused(world.one("SELECT unlink_ticket_from_vip(%s)", ticket)) == "NOT_ALLOWED"


# --- until when, and who ---


class Party:
    """Luis' table with a guest, seen by Luis, by Eva at the door, and by a stranger."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.event = world.event()
        self.reservation = world.reservation(self.event)
        world.run(
            "UPDATE vip_reservations SET purchaser_email = 'Luis@example.org', invite_code = 'ABCD2345'"
        )
        self.guest, self.free = world.ticket(self.event), world.ticket(self.event, "Rosa")
        world.run(
            "UPDATE tickets SET guest_email = 'Rosa@example.org' WHERE id = %s",
            self.free,
        )
        world.link(self.reservation, self.guest)

    def tries(self, conn: Connection, by_staff: bool = False) -> list[str | None]:
        """What comes of linking one ticket and unlinking another."""
        linked = link_ticket_to_vip(conn, self.reservation, self.free, "somebody else", by_staff)
        return [linked.error, unlink_ticket_from_vip(conn, self.guest, "somebody else").error]


@pytest.fixture
def party(world: World) -> Party:
    return Party(world)


def test_the_purchaser_keeps_the_list_until_the_night_starts(party: Party, dsn: str) -> None:
    with person(dsn, "luis@example.org") as luis:
        assert check_vip_capacity(luis, party.reservation).remaining == 7
        assert party.tries(luis) == [None, None]
        assert unlink_ticket_from_vip(luis, party.free).success
        party.world.moved(party.event, starts_in=-1)
        party.world.link(party.reservation, party.guest)
        assert party.tries(luis, by_staff=True) == ["GUEST_LIST_FROZEN", "GUEST_LIST_FROZEN"]
    assert audit(party.world) == []


def test_staff_may_change_the_list_all_night_and_it_is_recorded_who_did(party: Party, dsn: str) -> None:
    with person(dsn, "eva@example.org", works_as="staff") as eva:
        actor = party.world.one("SELECT user_id::text FROM staff")
        party.world.moved(party.event, starts_in=-1)
        assert party.tries(eva) == ["GUEST_LIST_FROZEN", None]
        assert party.tries(eva, by_staff=True) == [None, "TICKET_NOT_LINKED"]
        assert audit(party.world) == [
            (actor, "unlink_at_door", party.guest),
            (actor, "link_at_door", party.free),
        ]
        assert party.world.all("SELECT linked_by FROM vip_linked_tickets") == [(actor,)]


def test_before_the_start_staffs_changes_are_recorded_as_well(party: Party) -> None:
    link(party.world, party.reservation, party.free, by_staff=True)
    details = party.world.one("SELECT details FROM audit_log")
    assert audit(party.world) == [("Eva", "link", party.free)]
    assert details["vip_reservation_id"] == party.reservation


def test_a_stranger_changes_and_sees_nothing(party: Party, dsn: str) -> None:
    with person(dsn, "mallory@example.org") as mallory:
        assert party.tries(mallory, by_staff=True) == ["NOT_ALLOWED", "NOT_ALLOWED"]
        assert check_vip_capacity(mallory, party.reservation).error == "NOT_ALLOWED"
        assert join_vip_by_invite(mallory, "ABCD2345", party.free).error == "TICKET_NOT_FOUND"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("status = 'cancelled'", "EVENT_CANCELLED"),
        ("status = 'completed'", "EVENT_COMPLETED"),
        ("doors_open_at = now() - interval '9 hours', starts_at = NULL, ends_at = now()", "EVENT_OVER"),
    ],
)
def test_once_the_night_is_over_nobody_changes_the_list(party: Party, change: str, error: str) -> None:
    party.world.run(f"UPDATE events SET {change}")
    assert party.tries(party.world.conn, by_staff=True) == [error, error]


# --- the invite code ---


def test_a_guest_joins_with_the_invite_code_and_their_own_ticket(party: Party, dsn: str) -> None:
    with person(dsn, "rosa@example.org") as rosa:
        assert join_vip_by_invite(rosa, "ZZZZZZZZ", party.free).error == "INVITE_NOT_FOUND"
        assert join_vip_by_invite(rosa, "ABCD2345", party.guest).error == "TICKET_NOT_FOUND"
        joined = join_vip_by_invite(rosa, " abcd2345 ", party.free)
        assert (joined.success, joined.vip_reservation_id, joined.linked) == (True, party.reservation, 2)
        assert link_ticket_to_vip(rosa, party.reservation, party.guest).error == "NOT_ALLOWED"


def test_the_invite_code_is_worth_nothing_once_the_night_has_started(party: Party, dsn: str) -> None:
    party.world.moved(party.event, starts_in=-1)
    with person(dsn, "rosa@example.org") as rosa:
        assert join_vip_by_invite(rosa, "ABCD2345", party.free).error == "GUEST_LIST_FROZEN"


# --- arrivals ---


def test_a_linked_guests_scan_moves_the_tables_count(party: Party, conn: Connection) -> None:
    take(conn, record(1, subject_id=party.guest, kind=Kind.VIP_LINKED))
    assert arrived(party.world) == ("checked_in", 1, "gate-1")
    seat = party.world.guest_pass(party.reservation)
    assert process_vip_scan_with_reentry(conn, seat).checked_in_guests == 2
    take(conn, record(2, subject_id=party.guest, kind=Kind.VIP_LINKED))
    assert arrived(party.world)[1] == 2
    assert party.world.all("SELECT ticket_id::text, scan_type FROM vip_scan_logs ORDER BY scanned_at") == [
        (party.guest, "first_entry"),
        (party.guest, "reentry"),
        (None, "first_entry"),
    ]


def test_the_hosts_one_ticket_marks_the_table_as_arrived(party: Party, conn: Connection) -> None:
    host = party.world.ticket(party.event)
    party.world.link(party.reservation, host, host=True)
    take(conn, record(1, subject_id=host, kind=Kind.VIP_HOST))
    assert arrived(party.world) == ("checked_in", 1, "gate-1")


def test_a_guest_whom_staff_lets_in_without_a_scan_counts_and_is_logged(party: Party) -> None:
    party.world.run(
        "UPDATE tickets SET status = 'checked_in', checked_in_at = now(), checked_in_by = 'Eva'"
        " WHERE id = %s",
        party.guest,
    )
    assert arrived(party.world) == ("checked_in", 1, "Eva")
    assert party.world.all("SELECT ticket_id::text, scan_type, scanned_by FROM vip_scan_logs") == [
        (party.guest, "first_entry", "Eva")
    ]


def test_a_guest_whose_ticket_is_refunded_does_not_count(party: Party, conn: Connection) -> None:
    take(conn, record(1, subject_id=party.guest, kind=Kind.VIP_LINKED))
    party.world.run("UPDATE tickets SET status = 'refunded' WHERE id = %s", party.guest)
    assert arrived(party.world) == ("checked_in", 0, None)


def test_a_guest_whose_pass_is_cancelled_does_not_count(party: Party, conn: Connection) -> None:
    seat = party.world.guest_pass(party.reservation)
    process_vip_scan_with_reentry(conn, seat)
    party.world.run("UPDATE vip_guest_passes SET status = 'cancelled'")
    assert arrived(party.world) == ("checked_in", 0, None)
