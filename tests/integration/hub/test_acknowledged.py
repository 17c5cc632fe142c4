"""A double admission stays listed until somebody acknowledges it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gate.rules.model import Kind
from gate.rules.payload import code_hash
from hub.claims.double_admissions import (
    DoubleAdmission,
    acknowledge,
    double_admission_in_words,
    open_double_admissions,
)
from hub.cli.main import app
from hub.db.connection import Connection
from hub.errors import UsageError
from tests.integration.hub.test_annulment import outcome
from tests.integration.hub.test_conflicts import admitted, send
from tests.integration.hub.world import World, later

NOW = later(600)


def twice(world: World, conn: Connection, event: str) -> str:
    """A ticket admitted at gate-2, and a minute later at gate-1."""
    ticket = world.ticket(event)
    for scan in (admitted("gate-2", 1, ticket, epoch=ticket), admitted("gate-1", 2, ticket, epoch=ticket)):
        send(conn, scan)
    return str(world.one("SELECT ticket_id FROM tickets WHERE id = %s", ticket))


def test_a_double_admission_is_listed_with_both_gates_and_times(world: World, conn: Connection) -> None:
    number = twice(world, conn, world.event("PF"))
    (found,) = open_double_admissions(conn)
    assert (found.night, found.ticket, found.rule) == ("PF", number, "earlier")
    assert (found.winner_gate, found.winner_at, found.winner_uncertainty_ms) == ("gate-2", later(1), 10)
    assert (found.loser_gate, found.loser_at) == ("gate-1", later(2))


def test_an_acknowledged_one_is_no_longer_listed_and_records_by_whom(world: World, conn: Connection) -> None:
    event = world.event()
    twice(world, conn, event)
    twice(world, conn, event)
    first, second = open_double_admissions(conn)
    assert [one.id for one in acknowledge(conn, [first.id], "", "Ana", NOW)] == [first.id]
    assert [one.id for one in open_double_admissions(conn)] == [second.id]
    assert world.all(
        "SELECT id::text, acknowledged_at FROM scan_conflicts WHERE acknowledged_by = 'Ana'"
    ) == [(first.id, NOW)]


def test_all_of_one_night_are_acknowledged_at_once_and_none_of_another(
    world: World, conn: Connection
) -> None:
    night, other = world.event("PF"), world.event("PS")
    for event in (night, night, other):
        twice(world, conn, event)
    assert len(acknowledge(conn, [], "pf", "Ana", NOW)) == 2
    assert [one.night for one in open_double_admissions(conn)] == ["PS"]


def test_an_unknown_ambiguous_or_settled_id_changes_nothing(world: World, conn: Connection) -> None:
    twice(world, conn, world.event("PF"))
    (found,) = open_double_admissions(conn)
    with pytest.raises(UsageError, match="3 mistakes") as refused:
        acknowledge(conn, [found.id, "00000000", found.id[:3]], "NONE", "Ana", NOW)
    assert "'NONE' has no open double admission" in str(refused.value)
    assert open_double_admissions(conn) == [found]
    acknowledge(conn, [found.id[:8].upper()], "", "Ana", NOW)
    with pytest.raises(UsageError, match="not listed, or not any more"):
        acknowledge(conn, [found.id], "", "Berta", NOW)


def test_a_new_double_admission_after_an_annulled_one_is_open(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    scans = [admitted(f"gate-{n}", n, ticket) for n in (1, 2, 3)]
    send(conn, *scans[:2])
    acknowledge(conn, [open_double_admissions(conn)[0].id], "", "Ana", NOW)
    send(conn, outcome(scans[1], 2), scans[2])
    (found,) = open_double_admissions(conn)
    assert (found.winner_gate, found.loser_gate) == ("gate-1", "gate-3")


def test_a_code_nobody_sold_is_listed_too(conn: Connection) -> None:
    for gate in ("gate-1", "gate-2"):
        unknown: dict[str, Any] = {
            "code_hash": code_hash("MGY-PF-20260130-NOBODY"),
            "kind": Kind.UNKNOWN,
            "line": 6,
        }
        send(conn, admitted(gate, int(gate[-1]), None, **unknown))
    (found,) = open_double_admissions(conn)
    assert (found.night, found.ticket) == (None, None)
    assert "a code nobody sold" in double_admission_in_words(found)


def test_an_archived_scan_and_an_unknown_clock_are_described_in_words() -> None:
    told = double_admission_in_words(
        DoubleAdmission(
            id="0c8e4f7a-0000-0000-0000-000000000000",
            rule="gate",
            night="PF",
            ticket="MGY-1",
            winner_gate="gate-1",
            winner_at=later(1),
            winner_uncertainty_ms=None,
            loser_gate=None,
            loser_at=None,
            loser_uncertainty_ms=None,
        )
    )
    assert told.startswith("0c8e4f7a  PF ticket MGY-1\n    gate-1 at ")
    assert "(by a clock nobody knows)" in told and told.endswith("; and a scan that is archived")


def test_the_commands_list_and_acknowledge(world: World, conn: Connection, config_file: Path) -> None:
    number = twice(world, conn, world.event("PF"))
    listed = CliRunner().invoke(app, ["conflicts", "--config", str(config_file)])
    assert listed.exit_code == 0 and f"PF ticket {number}" in listed.output
    told = ["acknowledge", "--config", str(config_file), "--actor", "Ana"]
    assert CliRunner().invoke(app, told).exit_code == 2
    done = CliRunner().invoke(app, [*told, listed.output.split()[0]])
    assert done.exit_code == 0 and done.output.startswith("acknowledged: "), done.output
    assert (
        "no double admission" in CliRunner().invoke(app, ["conflicts", "--config", str(config_file)]).output
    )
