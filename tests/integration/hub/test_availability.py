"""What is left of a night: cancelled and refunded tickets do not count as sold (domain 2.1)."""

from __future__ import annotations

from typing import Any

import pytest

from hub.db.call import RPC_ERROR
from hub.db.connection import Connection
from hub.ticketing.availability import event_availability
from tests.integration.hub.shop import buy, night
from tests.integration.hub.world import World


def ask(world: World, event: str) -> dict[str, Any]:
    told: dict[str, Any] = world.one("SELECT event_availability(%s)", event)
    return told


def test_each_type_and_the_whole_night_have_capacity_sold_and_remaining(
    world: World, conn: Connection
) -> None:
    event = night(world, capacity=100)
    buy(conn, event, 3)
    buy(conn, event, 2, ticket_type="Early Bird")
    assert ask(world, event) == {
        "success": True,
        "event_id": event,
        "status": "scheduled",
        "capacity": 100,
        "sold": 5,
        "remaining": 95,
        "types": [
            {"name": "General Admission", "price": 25, "capacity": 300, "sold": 3, "remaining": 95},
            {"name": "Early Bird", "price": "15.00", "capacity": 5, "sold": 2, "remaining": 3},
            {"name": "Balcony", "price": 40, "capacity": None, "sold": 0, "remaining": 95},
        ],
    }
    told = event_availability(conn, event)
    assert (told.success, told.remaining, [kind.remaining for kind in told.types]) == (True, 95, [95, 3, 95])


@pytest.mark.parametrize(
    ("status", "sold"), [("issued", 1), ("checked_in", 1), ("cancelled", 0), ("refunded", 0)]
)
def test_only_valid_and_used_tickets_count_as_sold(world: World, status: str, sold: int) -> None:
    event = night(world)
    world.ticket(event, status=status)
    told = ask(world, event)
    assert (told["sold"], told["remaining"], told["types"][0]["sold"]) == (sold, 500 - sold, sold)


def test_a_refunded_seat_can_be_sold_again(world: World, conn: Connection) -> None:
    event = night(world, capacity=1)
    assert buy(conn, event).success
    assert buy(conn, event).error == "SOLD_OUT"
    world.run("UPDATE tickets SET status = 'refunded'")
    assert buy(conn, event).success


def test_a_capacity_that_was_never_set_is_no_limit(world: World, conn: Connection) -> None:
    event = night(world, capacity=0, types=[])
    assert buy(conn, event, 4, ticket_type="Anything").success
    told = ask(world, event)
    assert (told["capacity"], told["sold"], told["remaining"]) == (None, 4, None)
    assert told["types"] == [
        {"name": "Anything", "price": None, "capacity": None, "sold": 4, "remaining": None}
    ]


def test_an_oversold_night_has_nothing_left_and_never_less(world: World) -> None:
    event = night(world, capacity=1)
    world.ticket(event)
    world.ticket(event)
    assert (ask(world, event)["sold"], ask(world, event)["remaining"]) == (2, 0)


@pytest.mark.parametrize("status", ["cancelled", "completed"])
def test_nothing_is_left_of_a_cancelled_or_completed_night(world: World, status: str) -> None:
    event = night(world)
    world.run("UPDATE events SET status = %s", status)
    told = ask(world, event)
    assert (told["status"], told["remaining"]) == (status, 0)
    assert {kind["remaining"] for kind in told["types"]} == {0}


@pytest.mark.parametrize(
    "types", [{"name": "No list"}, [], [{}], ["text"], [{"name": "A", "capacity": "many"}]]
)
def test_a_malformed_list_of_types_sets_no_limit(world: World, types: Any) -> None:
    event = night(world, types=types)
    assert (ask(world, event)["success"], ask(world, event)["remaining"]) == (True, 500)


def test_anybody_may_ask_and_sees_only_numbers(world: World, conn: Connection) -> None:
    event = night(world)
    buy(conn, event)
    with world.conn.transaction():
        world.run("SET LOCAL ROLE anon")
        assert ask(world, event)["sold"] == 1


def test_an_unknown_night_is_an_error(world: World, conn: Connection) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    told = ask(world, nobody)
    assert (told["success"], told["error"]) == (False, "EVENT_NOT_FOUND")
    assert event_availability(conn, nobody).error == "EVENT_NOT_FOUND"
    assert event_availability(conn, "no uuid").error == RPC_ERROR
