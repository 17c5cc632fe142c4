"""Tables that a person reserves at the hub, and what the database refuses about them, in words."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from hub.db.audit import Author
from hub.db.connection import Connection
from hub.vip.by_hand import HandTicket, reserve_by_hand
from hub.vip.tables import Purchaser
from tests.integration.hub.commands import Hub
from tests.integration.hub.shop import crowd, night
from tests.integration.hub.world import World, call

BY = ("--actor", "Eva")
LUIS = ("--name", "Luis [b]Vega[/b]", "--email", "luis@example.org", "--type", "balcony", *BY)


@pytest.fixture
def hub(config_file: Path) -> Hub:
    return Hub(config_file)


@pytest.fixture
def event(world: World, hub: Hub) -> str:
    """A night with table 12, four seats, at 1500."""
    made = night(world)
    hub("table", "add", "PF", 12, "--name", "Mezcal", "--tier", "premium", "--seats", 4, "--price", 1500, *BY)
    return made


def state(world: World) -> list[tuple[object, ...]]:
    return world.all(
        "SELECT r.status, r.amount_paid_cents, v.is_available FROM vip_reservations r"
        " JOIN event_vip_tables v ON v.id = r.event_vip_table_id ORDER BY r.created_at"
    )


def test_a_table_is_added_once_within_its_bounds(hub: Hub, world: World, event: str) -> None:
    assert "has it already" in hub.refused("table", "add", "PF", 12, "--seats", 4, *BY)
    wrong = ("--seats", 0, "--tier", "gold", "--bottles", 101, "--price", "much", "--name", "x" * 121)
    assert hub.refused("table", "add", "PF", 10_000, *wrong, *BY).count("\n  ") == 6
    world.moved(event, starts_in=-600)
    assert "is over or cancelled" in hub.refused("table", "add", "PF", 13, "--seats", 4, *BY)
    assert world.all("SELECT table_number, tier, price_cents, price::text FROM event_vip_tables") == [
        (12, "premium", 150_000, "1500.00")
    ]


def test_a_reservation_has_a_pass_for_each_guest_and_one_code_for_its_host(
    hub: Hub, world: World, event: str
) -> None:
    said = hub("reservation", "add", "PF", 12, *LUIS, "--guests", 3, "--codes").splitlines()
    assert "held for Luis [b]Vega[/b]: 3 guest passes and a ticket" in said[0]
    assert "reservation confirm PF 12" in said[0]
    invite, host, *passes = said[1:]
    assert invite.startswith("invite code ")
    assert host.startswith("MGY-PF-")
    assert [code.startswith("VIP-PASS-") for code in passes] == [True] * 3
    assert world.all("SELECT qr_code_data, ticket_type, price_paid_cents, guest_name FROM tickets") == [
        (host, "Balcony", 4000, "Luis [b]Vega[/b]")
    ]
    assert world.all("SELECT is_booker_purchase, order_id FROM vip_linked_tickets") == [(True, None)]
    assert {row.kind for row in world.feed(event) if hasattr(row, "kind")} == {"vip_host", "vip_pass"}
    assert state(world) == [("pending", 0, False)]
    listed = hub.json("table", "list", "PF")[0]
    assert (listed["state"], listed["passes"], listed["linked"], listed["arrived"]) == ("pending", 3, 1, 0)
    assert "Luis [b]Vega[/b]" in hub("table", "list", "PF")
    assert world.all("SELECT actor, action FROM audit_log WHERE action LIKE '%%table'") == [
        ("Eva", "add table"),
        ("Eva", "reserve table"),
    ]


def test_a_ticket_that_was_bought_before_may_be_the_hosts(hub: Hub, world: World, event: str) -> None:
    code = "MGY-PF-20260130-BOUGHT01"
    ticket = world.ticket(event, code=code)
    other = ("reservation", "add", "PF", 12, "--name", "Luis", *BY, "--ticket")
    assert "has no ticket with this code" in hub.refused(*other, "MGY-PF-20260130-NOSUCH01")
    world.ticket(event, code="MGY-PF-20260130-REFUNDED", status="refunded")
    assert hub.told(*other, "MGY-PF-20260130-REFUNDED") == (
        1,
        "maguey-hub: This ticket is refunded. Nothing was changed. [TICKET_NOT_VALID]\n",
    )
    assert state(world) == []
    assert world.one("SELECT is_available FROM event_vip_tables")
    hub(*other, code.lower())
    assert world.all("SELECT ticket_id::text, is_booker_purchase FROM vip_linked_tickets") == [(ticket, True)]


def test_what_the_database_refuses_is_said_in_its_words_and_leaves_nothing(
    hub: Hub, world: World, event: str
) -> None:
    assert hub.told("reservation", "add", "PF", 12, *LUIS, "--guests", 4) == (
        1,
        "maguey-hub: Table 12 has 4 seats. Nothing was changed. [CAPACITY_EXCEEDED]\n",
    )
    assert "has no such table" in hub.refused("reservation", "add", "PF", 13, *LUIS)
    assert "PF has General" in hub.refused("reservation", "add", "PF", 12, *LUIS, "--type", "x")
    for option, value in (("--name", "x" * 201), ("--email", "nobody"), ("--price", "-1")):
        assert option in hub.refused("reservation", "add", "PF", 12, *LUIS, option, value)
    assert "is not reserved" in hub.refused("reservation", "confirm", "PF", 12, *BY)
    early = ("--type", "Early Bird", "--count", 5)
    hub("tickets", "add", "PF", *early, *BY)
    code, said = hub.told("reservation", "add", "PF", 12, *LUIS, "--type", "Early Bird")
    assert (code, "[SOLD_OUT]" in said) == (1, True)
    assert world.one("SELECT count(*) FROM vip_reservations") == 0
    hub("reservation", "add", "PF", 12, *LUIS)
    assert "Table 12 is taken" in hub.told("reservation", "add", "PF", 12, *LUIS)[1]


def test_a_table_is_confirmed_once_with_what_was_paid(hub: Hub, world: World, event: str) -> None:
    hub("reservation", "add", "PF", 12, *LUIS, "--guests", 1)
    assert "--paid" in hub.refused("reservation", "confirm", "PF", 12, "--paid", "cash", *BY)
    assert hub("reservation", "confirm", "PF", 12, *BY) == "table 12 is confirmed, 1500.00 paid\n"
    assert "confirmed already" in hub("reservation", "confirm", "PF", 12, "--paid", 1, *BY)
    assert state(world) == [("confirmed", 150_000, False)]
    # the table, and the host's own ticket
    assert call(world.conn, "preview_event_cancellation(%s)", event)["by_hand_cents"] == 150_000 + 4000
    code, said = hub.told("reservation", "cancel", "PF", 12, "--reason", "no", *BY)
    assert (code, "what is paid is not cancelled" in said) == (1, True)


def test_a_table_held_by_hand_is_not_released_by_itself_but_by_a_person(
    hub: Hub, world: World, conn: Connection, event: str
) -> None:
    hub("reservation", "add", "PF", 12, *LUIS, "--guests", 2)
    released = call(conn, "release_expired_reservations(%s)", timedelta(0))
    assert (released["released"], state(world)) == (0, [("pending", 0, False)])
    assert hub("reservation", "cancel", "PF", 12, "--reason", "no show", *BY) == "table 12 is free again\n"
    assert state(world) == [("cancelled", 0, True)]
    assert world.all("SELECT DISTINCT status FROM vip_guest_passes") == [("cancelled",)]
    assert world.all("SELECT status FROM tickets") == [("issued",)]
    hub("reservation", "add", "PF", 12, *LUIS)
    world.moved(event, starts_in=-5)
    code, said = hub.told("reservation", "cancel", "PF", 12, "--reason", "no", *BY)
    assert (code, "[EVENT_STARTED]" in said) == (1, True)
    hub("reservation", "confirm", "PF", 12, *BY)


def test_a_table_that_is_reserved_for_four_at_once_is_one_persons(world: World, event: str, dsn: str) -> None:
    def reserve(number: int, conn: Connection) -> str | None:
        ticket = HandTicket(code=f"MGY-PF-20260130-HOST{number:04}", price_cents=0, ticket_type="Balcony")
        host = Purchaser(name=f"host {number}")
        return reserve_by_hand(conn, event, 12, host, 2, ticket, Author(actor="Eva")).error

    with crowd(dsn, 4) as people:
        errors = people.do(reserve)
    assert sorted(map(str, errors)) == ["None", *["TABLE_NOT_AVAILABLE"] * 3]
    assert (len(state(world)), world.one("SELECT count(*) FROM tickets")) == (1, 1)
    assert world.one("SELECT count(*) FROM vip_guest_passes") == 2


def test_an_amount_may_have_a_comma(hub: Hub, world: World, event: str) -> None:
    hub("table", "add", "PF", 13, "--seats", 2, "--price", "99,50", *BY)
    hub("reservation", "add", "PF", 13, *LUIS, "--price", "7,5")
    assert "1200.50 paid" in hub("reservation", "confirm", "PF", 13, "--paid", "1200,50", *BY)
    assert world.one("SELECT price_cents FROM event_vip_tables WHERE table_number = 13") == 9950
    assert world.one("SELECT price_paid_cents FROM tickets") == 750
    assert state(world) == [("confirmed", 120_050, False)]
