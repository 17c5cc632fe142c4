"""Every branch of the VIP scan contract (domain 2.5), through the function and through Python."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from hub.db.call import RPC_ERROR
from hub.db.connection import Connection
from hub.vip.scan import check_vip_linked_ticket_reentry, process_vip_scan_with_reentry
from tests.integration.hub.world import World

NOBODY = "00000000-0000-4000-8000-000000000000"


def scan(world: World, pass_id: str, *by: str) -> dict[str, Any]:
    marks = ", ".join(["%s"] * (1 + len(by)))
    found: dict[str, Any] = world.one(f"SELECT process_vip_scan_with_reentry({marks})", pass_id, *by)
    return found


def test_first_entry(world: World) -> None:
    reservation = world.reservation(world.event(), package='{"guestCount": 6}')
    guest = world.guest_pass(reservation, number=3)
    answer = scan(world, guest, "gate-1")
    assert answer.pop("message")
    assert answer == {
        "success": True,
        "entry_type": "first_entry",
        "pass_id": guest,
        "reservation_id": reservation,
        "guest_number": 3,
        "checked_in_guests": 1,
        "total_guests": 6,
    }
    status, at, by = world.all("SELECT status, checked_in_at, checked_in_by FROM vip_guest_passes")[0]
    assert (status, by) == ("checked_in", "gate-1")
    assert world.all(
        "SELECT status, checked_in_guests, checked_in_at, checked_in_by FROM vip_reservations"
    ) == [("checked_in", 1, at, "gate-1")]
    assert world.all("SELECT pass_id::text, scan_type, scanned_by FROM vip_scan_logs") == [
        (guest, "first_entry", "gate-1")
    ]


def test_reentry_leaves_the_pass_alone_and_gives_the_last_entry(world: World) -> None:
    guest = world.guest_pass(world.reservation(world.event()))
    scan(world, guest)
    before = world.all("SELECT * FROM vip_guest_passes")
    for _ in range(2):
        last = world.one("SELECT max(scanned_at) FROM vip_scan_logs")
        answer = scan(world, guest)
        assert (answer["success"], answer["entry_type"]) == (True, "reentry")
        assert (answer["checked_in_guests"], answer["total_guests"]) == (1, 8)
        assert datetime.fromisoformat(answer["last_entry_time"]) == last
    assert world.all("SELECT * FROM vip_guest_passes") == before
    assert world.all("SELECT scan_type, scanned_by FROM vip_scan_logs ORDER BY scanned_at") == [
        ("first_entry", "system"),
        ("reentry", "system"),
        ("reentry", "system"),
    ]


def test_pass_not_found(world: World) -> None:
    answer = scan(world, NOBODY)
    assert answer.pop("message")
    assert answer == {"success": False, "error": "PASS_NOT_FOUND"}


def test_pass_cancelled(world: World) -> None:
    answer = scan(world, world.guest_pass(world.reservation(world.event()), status="cancelled"))
    assert answer.pop("message")
    assert answer == {"success": False, "error": "PASS_CANCELLED"}


def test_reservation_not_found(world: World) -> None:
    guest = world.guest_pass(world.reservation(world.event()))
    world.run("SET session_replication_role = replica")  # a foreign key forbids it otherwise
    world.run("DELETE FROM vip_reservations")
    world.run("SET session_replication_role = origin")
    assert scan(world, guest)["error"] == "RESERVATION_NOT_FOUND"


@pytest.mark.parametrize("status", ["pending", "completed", "cancelled"])
def test_reservation_not_confirmed(world: World, status: str) -> None:
    guest = world.guest_pass(world.reservation(world.event(), status))
    answer = scan(world, guest)
    assert (answer["success"], answer["error"]) == (False, "RESERVATION_NOT_CONFIRMED")
    assert status in answer["message"]
    assert world.one("SELECT status FROM vip_guest_passes") == "issued"
    assert world.one("SELECT count(*) FROM vip_scan_logs") == 0


def test_arrivals_count_passes_and_linked_tickets(world: World) -> None:
    event = world.event()
    reservation = world.reservation(event)
    world.link(reservation, world.ticket(event, status="checked_in"), host=True)
    world.link(reservation, world.ticket(event, status="checked_in"))
    world.link(reservation, world.ticket(event))
    assert scan(world, world.guest_pass(reservation))["checked_in_guests"] == 3


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        ("pending", False),
        ("confirmed", True),
        ("checked_in", True),
        ("completed", False),
        ("cancelled", False),
    ],
)
def test_linked_ticket(world: World, status: str, allowed: bool) -> None:
    event = world.event()
    reservation, ticket = world.reservation(event, status), world.ticket(event)
    world.link(reservation, ticket)
    assert world.one("SELECT check_vip_linked_ticket_reentry(%s)", ticket) == {
        "is_vip_linked": True,
        "allow_reentry": allowed,
        "vip_reservation_id": reservation,
        "table_number": world.one("SELECT table_number FROM vip_reservations"),
        "table_name": "Mezcal",
        "reservation_status": status,
    }


def test_ticket_that_is_not_linked(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    assert world.one("SELECT check_vip_linked_ticket_reentry(%s)", ticket) == {"is_vip_linked": False}
    assert not check_vip_linked_ticket_reentry(conn, ticket).is_vip_linked


def test_python_gives_the_same_fields_typed(world: World, conn: Connection) -> None:
    guest = world.guest_pass(world.reservation(world.event()))
    first = process_vip_scan_with_reentry(conn, guest, "gate-1")
    again = process_vip_scan_with_reentry(conn, guest, "gate-2")
    assert (first.success, first.entry_type, first.last_entry_time) == (True, "first_entry", None)
    assert again.entry_type == "reentry"
    assert again.last_entry_time is not None
    assert (again.pass_id, again.guest_number, again.checked_in_guests, again.total_guests) == (
        guest,
        1,
        1,
        8,
    )


def test_python_turns_a_database_error_into_a_result(conn: Connection) -> None:
    answer = process_vip_scan_with_reentry(conn, "not a uuid")
    assert (answer.success, answer.error) == (False, RPC_ERROR)
    assert "uuid" in answer.message
    assert process_vip_scan_with_reentry(conn, NOBODY, "\ud800").error == RPC_ERROR
    conn.close()
    assert process_vip_scan_with_reentry(conn, NOBODY).error == RPC_ERROR
    assert check_vip_linked_ticket_reentry(conn, NOBODY).error == RPC_ERROR


def test_reservations_only_move_forward(world: World) -> None:
    reservation = world.reservation(world.event(), "checked_in")
    with pytest.raises(Exception, match="cannot go from checked_in to confirmed"):
        world.run("UPDATE vip_reservations SET status = 'confirmed' WHERE id = %s", reservation)
    world.run("UPDATE vip_reservations SET status = 'completed' WHERE id = %s", reservation)
