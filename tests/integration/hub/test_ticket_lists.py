"""Tickets that were not sold here: single ones and lists, all of a list or nothing, and never twice."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hub.config import HubConfig
from hub.db.audit import Author
from hub.ticketing.imports import import_tickets
from hub.ticketing.ticket_csv import read_ticket_list
from tests.integration.hub.commands import Hub
from tests.integration.hub.shop import crowd, night
from tests.integration.hub.world import World

BY = ("--actor", "Eva")
EVA = Author(actor="Eva")
CODE = "MGY-PF-20260130-OLDCODE1"


@pytest.fixture
def hub(config_file: Path) -> Hub:
    return Hub(config_file)


@pytest.fixture
def event(world: World) -> str:
    """300 General Admission at 25, 5 Early Bird at 15, Balcony at 40 with no limit of its own; 500 in all."""
    return night(world)


class Lists:
    """Files to import."""

    def __init__(self, folder: Path, hub: Hub) -> None:
        self._file, self._hub = folder / "list.csv", hub

    def write(self, *lines: str) -> Path:
        self._file.write_text("\n".join(lines), encoding="utf-8")
        return self._file

    def take(self, *lines: str) -> str:
        return self._hub("tickets", "import", self.write(*lines), *BY)

    def refused(self, *lines: str) -> str:
        return self._hub.refused("tickets", "import", self.write(*lines), *BY)


@pytest.fixture
def lists(tmp_path: Path, hub: Hub) -> Lists:
    return Lists(tmp_path, hub)


def test_a_list_becomes_tickets_with_codes_and_prices_of_their_own(
    lists: Lists, world: World, event: str
) -> None:
    said = lists.take(
        "event,type,name,email,phone,code,price,reference",
        "PF,early bird,Ana,ana@example.org,+52 55 1234,,,A1",
        f"PF,Balcony,Bo,,,{CODE.lower()},39.5,",
    )
    assert said == "added 2 for PF\n"
    tickets = world.all(
        "SELECT ticket_type, guest_name, guest_phone, price_paid_cents, price_paid::text, event_name,"
        " external_reference FROM tickets ORDER BY guest_name"
    )
    assert tickets == [
        ("Early Bird", "Ana", "+52 55 1234", 1500, "15.00", "Night PF", "A1"),
        ("Balcony", "Bo", None, 3950, "39.50", "Night PF", None),
    ]
    codes = [row[0] for row in world.all("SELECT qr_code_data FROM tickets ORDER BY guest_name")]
    assert codes[0].startswith("MGY-PF-")
    assert (len(codes[0].split("-")[-1]), codes[1]) == (17, CODE)
    assert len(world.feed(event)) == 3
    assert world.all("SELECT actor, action, target, reason FROM audit_log") == [
        ("Eva", "add tickets", "PF", "list list.csv")
    ]


def test_a_list_that_comes_again_makes_only_what_is_new(lists: Lists, world: World, event: str) -> None:
    lines = (
        "event,type,name,code,reference",
        "PF,Balcony,Ana,,",
        "PF,Balcony,Ana,,",
        f"PF,Balcony,Bo,{CODE},",
    )
    lists.take(*lines)
    world.run("UPDATE tickets SET status = 'cancelled' WHERE guest_name = 'Bo'")
    said = lists.take(
        lines[0], "PF,Balcony,Zoe,,", lines[3], "PF,Balcony,Ana,,", *lines[1:3], "PF,Balcony,R,,r9"
    )
    assert said == ("added 3 for PF; 3 of the list are tickets already, 1 of them cancelled or refunded\n")
    assert "added none" in lists.take("event,type,name,reference", "PF,Balcony,Another name,r9")
    assert world.all("SELECT guest_name, count(*) FROM tickets GROUP BY 1 ORDER BY 1") == [
        ("Ana", 3),
        ("Bo", 1),
        ("R", 1),
        ("Zoe", 1),
    ]


def test_nothing_is_imported_if_anything_is_wrong(lists: Lists, world: World, event: str) -> None:
    world.ticket(night(world, code="PS"), code="MGY-PF-20260130-ELSEWHERE")
    world.ticket(event, code=CODE)
    said = lists.refused(
        "event,type,name,code,reference",
        "PF,Balcony,good,,",
        "PX,Balcony,Ana,,",
        "PF,Stalls,Ana,,",
        "PF,,Ana,,",
        "PF,Balcony,Ana,MGY-PS-20260130-ABCDEF,",
    )
    assert said.splitlines()[1:] == [
        "  line 3, event: 'PX' – there is no such night",
        "  line 4, type: 'Stalls' – PF has General Admission, Early Bird, Balcony",
        "  line 5, type: '' – PF has General Admission, Early Bird, Balcony",
        "  line 6, code: is of night PS, not PF",
    ]
    said = lists.refused(
        "event,type,code,reference",
        "PF,Balcony,MGY-PF-20260130-ELSEWHERE,",
        f"PF,Balcony,{CODE},r1",
        "PF,Balcony,,",
    )
    assert said.splitlines()[1:] == [
        "  line 2, code: is a ticket of another night",
        "  line 3, code: belongs to a ticket of another reference",
    ]
    assert world.one("SELECT count(*) FROM tickets WHERE event_id = %s", event) == 1
    assert world.one("SELECT count(*) FROM audit_log") == 0


def test_a_list_that_does_not_fit_is_refused_as_every_sale_is(lists: Lists, world: World, event: str) -> None:
    early = ["PF,Early Bird"] * 6
    assert "Early Bird of Night PF: asked for 6, left 5" in lists.refused("event,type", *early)
    assert "asked for 501, left 500" in lists.refused("event,type", *["PF,Balcony"] * 501)
    lists.take("event,type", *early[:5])
    assert "added none; 5 of the list" in lists.take("event,type", *early[:5])
    world.moved(event, starts_in=-600)
    assert "is over" in lists.refused("event,type", "PF,Balcony")
    assert world.one("SELECT count(*) FROM tickets") == 5


def test_a_list_that_two_people_import_at_once_becomes_tickets_once(
    world: World, event: str, dsn: str
) -> None:
    found = read_ticket_list(b"type,name\nBalcony,Ana\nBalcony,Ana\n", "PF")
    with crowd(dsn, 4) as people:
        made = people.do(lambda n, conn: import_tickets(conn, found.lines, EVA, random.Random(n)))
    assert sorted(sum(one.added.values()) for one in made) == [0, 0, 0, 2]
    assert world.one("SELECT count(*) FROM tickets") == 2


def test_at_most_fifty_mistakes_are_listed_and_the_rest_counted(lists: Lists) -> None:
    said = lists.refused("event,email", *["PF,nobody"] * 120)
    assert (said.count("line "), "and 70 more" in said) == (50, True)


def test_a_dry_run_says_the_same_and_changes_nothing(
    hub: Hub, lists: Lists, world: World, event: str
) -> None:
    file = lists.write("event,type", "PF,Balcony", "PF,Balcony")
    version = world.one("SELECT admission_version FROM events")
    assert hub("tickets", "import", file, "--dry-run") == "would be: added 2 for PF\n"
    assert world.one("SELECT count(*) FROM tickets") == 0
    assert world.one("SELECT admission_version FROM events") == version


def test_a_thousand_tickets_of_a_list_reach_the_feed_in_one_statement(
    lists: Lists, world: World, event: str
) -> None:
    world.run("UPDATE events SET venue_capacity = 5000")
    lists.take("event,type,name", *[f"PF,Balcony,guest {number}" for number in range(1000)])
    assert len(world.feed(event)) == 1001
    assert world.one("SELECT count(DISTINCT created_at) FROM admission_changes WHERE version > 2") == 1


def test_tickets_added_by_hand_are_new_each_time(hub: Hub, world: World, event: str) -> None:
    ana = ("tickets", "add", "pf", "--type", "balcony", "--name", "Ana", "--price", "0", *BY)
    assert hub(*ana) == "added 1 for PF\n"
    printed = hub(*ana, "--count", 2, "--codes").splitlines()
    assert printed[0] == "added 2 for PF"
    assert printed[1:] == sorted(printed[1:], key=printed.index)
    codes = {row[0] for row in world.all("SELECT qr_code_data FROM tickets")}
    assert (len(codes), set(printed[1:]) < codes) == (3, True)
    assert world.one("SELECT sum(price_paid_cents) FROM tickets") == 0
    wrong = hub.refused("tickets", "add", "PF", "--type", "balcony", "--name", "x" * 201, "--email", "@", *BY)
    assert wrong.count("\n  --") == 2
    assert "PF has General" in hub.refused("tickets", "add", "PF", *BY)


def test_a_listed_ticket_keeps_its_secret_unless_it_is_asked_for(
    hub: Hub, lists: Lists, world: World, event: str
) -> None:
    lists.take("event,type,name,email", "PF,Balcony,[b]Ana[/b],ana@example.org", "PF,Balcony,Bo,")
    code = world.one("SELECT qr_code_data FROM tickets WHERE guest_name = 'Bo'")
    for words in (("tickets", "list", "PF"), ("tickets", "list", "PF", "--json")):
        assert code not in hub(*words)
        assert code in hub(*words, "--codes")
    assert "[b]Ana[/b]" in hub("tickets", "list", "PF")
    found = hub.json("tickets", "list", "PF", "--holder", "ANA@")
    assert [ticket["name"] for ticket in found] == ["[b]Ana[/b]"]
    assert hub("tickets", "list", "PF", "--status", "refunded") == "no such tickets\n"


def test_what_a_line_was_known_by_is_erased_with_its_guest(
    lists: Lists, world: World, event: str, config: HubConfig
) -> None:
    lists.take("event,type,name", "PF,Balcony,Ana")
    assert world.one("SELECT external_reference LIKE 'line:%%' FROM tickets")
    world.moved(event, starts_in=-600)
    world.one("SELECT erase_personal_data(%s, 'Eva')", event)
    assert world.all("SELECT guest_name, external_reference FROM tickets") == [(None, None)]
