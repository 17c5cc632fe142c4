"""Nights without SQL: added, changed and listed by command, each change recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from hub.config import HubConfig
from tests.integration.hub.commands import Hub
from tests.integration.hub.world import World

BY = ("--actor", "Eva")
WHY = (*BY, "--reason", "a test")
TIMES = ("--date", "2030-12-06", "--doors", "22:00", "--end", "06:00")
PF = ("event", "add", "PF", "--name", "Perreo Fridays", *TIMES, "--capacity", "500", *BY)


@pytest.fixture
def hub(config_file: Path, world: World, config: HubConfig) -> Hub:
    config_file.write_text(f'timezone = "Europe/Berlin"\n{config_file.read_text()}')
    world.gate("gate-1", "0" * 64, venue=config.venue)
    world.gate("gate-2", "1" * 64, venue=config.venue)
    world.gate("elsewhere", "2" * 64, venue="another")
    return Hub(config_file)


def test_a_new_night_is_served_by_every_active_gate_of_the_venue(hub: Hub, world: World) -> None:
    world.run("UPDATE gates SET status = 'revoked', revoked_at = now() WHERE gate_id = 'gate-2'")
    said = hub(*PF, "--type", "GA:300:25.00")
    assert "doors Fri 06 Dec 2030 22:00, over Sat 07 Dec 2030 06:00, 500 guests; at gate-1" in said
    assert world.all("SELECT doors_open_at, ends_at, ticket_types FROM events") == [
        (
            datetime(2030, 12, 6, 21, tzinfo=UTC),
            datetime(2030, 12, 7, 5, tzinfo=UTC),
            [{"name": "GA", "price": "25.00", "capacity": 300}],
        )
    ]
    assert world.all("SELECT gate_id FROM gate_events") == [("gate-1",)]
    assert world.all("SELECT actor, action, target FROM audit_log") == [("Eva", "add event", "PF")]


def test_all_mistakes_in_a_new_night_are_named_and_nothing_is_written(hub: Hub, world: World) -> None:
    wrong = ("--type", "GA", "--type", "ga:1", "--policy", "maybe", "--name", "x\x1b[1m")
    said = hub.refused(*PF[:3], *PF[5:], "--date", "soon", *wrong)
    assert said.count("\n  ") == 4
    assert "\x1b" not in said
    assert "gate-9" in hub.refused(*PF, "--gate", "gate-9", "--gate", "elsewhere")
    assert "over already" in hub.refused(*PF, "--date", "2020-01-01")
    assert world.one("SELECT count(*) FROM events") == 0


def test_a_night_has_a_code_and_a_name_of_its_own(hub: Hub) -> None:
    hub(*PF)
    assert "there is 'Perreo Fridays' (PF) on 2030-12-06 already" in hub.refused(*PF)
    assert "(PF)" in hub.refused("event", "add", "PX", *PF[3:])


def test_an_edit_changes_what_it_names_and_is_recorded(hub: Hub, world: World) -> None:
    hub(*PF, "--start", "23:00")
    said = hub("event", "edit", "PF", "--date", "2030-12-07", "--gate", "gate-2", *WHY)
    assert "changed doors, start, end, date, gates." in said
    assert world.all("SELECT event_date::text, doors_open_at, starts_at, ends_at FROM events") == [
        (
            "2030-12-07",
            datetime(2030, 12, 7, 21, tzinfo=UTC),
            datetime(2030, 12, 7, 22, tzinfo=UTC),
            datetime(2030, 12, 8, 5, tzinfo=UTC),
        )
    ]
    assert world.all("SELECT gate_id FROM gate_events") == [("gate-2",)]
    assert "nothing was changed" in hub("event", "edit", "PF", "--gate", "gate-2", *WHY)
    assert world.all("SELECT actor, action, reason FROM audit_log ORDER BY created_at DESC") == [
        ("Eva", "edit event", "a test"),
        ("Eva", "add event", ""),
    ]


def test_a_night_whose_doors_are_open_keeps_its_doors_gates_and_tickets(hub: Hub, world: World) -> None:
    event = world.event()
    world.run("INSERT INTO gate_events (gate_id, event_id) VALUES ('gate-1', %s)", event)
    for number in range(3):
        world.ticket(event, f"guest {number}")
    end, doors = world.all("SELECT ends_at, doors_open_at FROM events")[0]
    said = hub.refused(
        "event",
        "edit",
        "PF",
        "--date",
        "2030-01-01",
        "--gate",
        "gate-2",
        "--capacity",
        2,
        "--name",
        "Y",
        *WHY,
    )
    assert said.count("\n  ") == 4
    assert "3 tickets are sold" in said
    assert world.all("SELECT ends_at, doors_open_at FROM events") == [(end, doors)]
    hub("event", "edit", "PF", "--gate", "gate-1", "--gate", "gate-2", "--capacity", "3", *WHY)
    assert world.one("SELECT venue_capacity FROM events") == 3


def test_the_policy_is_shown_and_set_with_a_reason(hub: Hub, world: World) -> None:
    hub(*PF)
    assert "--reason" in hub.refused("event", "policy", "PF", "deny")
    assert "expected one of admit, home_gate, deny" in hub.refused("event", "policy", "PF", "maybe", *WHY)
    assert hub("event", "policy", "PF", "home_gate", *WHY) == "Perreo Fridays: home_gate, was admit\n"
    assert "divided among its gates from an hour" in hub("event", "policy", "PF")
    assert world.one("SELECT details ->> 'to' FROM audit_log WHERE action = 'set policy'") == "home_gate"


def test_the_list_says_what_is_sold_who_is_in_and_where(hub: Hub, world: World) -> None:
    world.event("PS")
    world.moved(world.event("PO"), starts_in=-600)
    hub(*PF)
    evening = world.one("SELECT id FROM events WHERE code = 'PS'")
    world.ticket(evening, status="checked_in")
    world.ticket(evening, status="refunded")
    world.guest_pass(world.reservation(evening), status="checked_in")
    nights = hub.json("event", "list")
    assert [(night["code"], night["sold"], night["passes"], night["arrived"]) for night in nights] == [
        ("PS", 1, 1, 2),
        ("PF", 0, 0, 0),
    ]
    assert [night["code"] for night in hub.json("event", "list", "--past")] == ["PS", "PF", "PO"]
    printed = hub("event", "list")
    assert "Fri 06 Dec 2030 22:00" in printed
    assert "gate-1, gate-2" in printed
    assert "open" in printed


def test_a_name_is_shown_as_it_is_and_never_as_markup(hub: Hub) -> None:
    hub(*PF[:4], "[red]x[/nope]", *PF[5:])
    assert "[red]x[/nope]" in hub("event", "list")
