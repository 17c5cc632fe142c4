"""A night, a table and a ticket change state only as the diagrams show, whoever writes (domain 2.1)."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg
import pytest

from gate.rules.model import Kind
from hub.db.connection import Connection
from hub.drawn.states import MACHINES, Transition, diagrams, put_into, transitions
from hub.errors import HubError
from hub.vip.scan import process_vip_scan_with_reentry
from tests.integration.hub.test_annulment import outcome
from tests.integration.hub.test_ingest import take
from tests.integration.hub.world import World, call, record
from tests.paths import ROOT

DOCUMENT = ROOT / "docs" / "data-model.md"


def states(known: list[Transition], machine: str) -> list[str]:
    named = [step for step in known if step.machine == machine]
    return sorted({state for step in named for state in (step.from_state, step.to_state)})


def thing(world: World, machine: str, status: str) -> tuple[str, str]:
    """A row in this state, of a night that has not started: its id and its table."""
    table = MACHINES[machine][1]
    if machine == "order":
        made = world.one("INSERT INTO orders (status) VALUES (%s) RETURNING id", status)
    elif machine == "event":
        made = world.one(
            "INSERT INTO events (name, code, event_date, doors_open_at, ends_at, status) VALUES ('N', 'NN',"
            " current_date, now() + interval '1 hour', now() + interval '2 hours', %s) RETURNING id",
            status,
        )
    elif machine == "ticket":
        made = world.ticket(world.event(), status=status)
    elif machine == "reservation":
        made = world.reservation(world.event(), status)
    else:
        made = world.guest_pass(world.reservation(world.event()), status=status)
    return str(made), table


def becomes(world: World, table: str, thing_id: str, status: str, also: str = "") -> bool:
    try:
        with world.conn.transaction():
            world.run(f"UPDATE {table} SET status = %s{also} WHERE id = %s", status, thing_id)
    except psycopg.errors.CheckViolation:
        return False
    return True


@pytest.mark.parametrize("machine", MACHINES)
def test_every_step_of_the_diagram_is_allowed_and_every_other_refused(
    world: World, conn: Connection, machine: str
) -> None:
    known = transitions(conn)
    steps = {(step.from_state, step.to_state): step.condition for step in known if step.machine == machine}
    for one, other in itertools.permutations(states(known, machine), 2):
        with world.conn.transaction(force_rollback=True):
            thing_id, table = thing(world, machine, one)
            # what only an annulment does is shown below
            allowed = (one, other) in steps and steps[one, other] != "annulled"
            assert becomes(world, table, thing_id, other) == allowed, (one, other)


def test_nothing_is_cancelled_once_the_night_has_started(world: World) -> None:
    event = world.event(starts_in=-1)
    for status in ("pending", "confirmed"):
        reservation = world.reservation(event, status)
        assert not becomes(world, "vip_reservations", reservation, "cancelled")
    assert not becomes(world, "events", event, "cancelled")
    with pytest.raises(psycopg.errors.CheckViolation, match="cancelled once the night has started"):
        world.run("UPDATE events SET status = 'cancelled'")


def test_a_night_without_a_start_starts_when_its_doors_open(world: World) -> None:
    event = world.event()
    world.run("UPDATE events SET starts_at = NULL")
    assert not becomes(world, "events", event, "cancelled")
    world.run("UPDATE events SET doors_open_at = now() + interval '1 minute'")
    assert becomes(world, "events", event, "cancelled")


def test_moving_the_start_and_cancelling_in_one_statement_is_refused(world: World) -> None:
    event = world.event(starts_in=-1)
    assert not becomes(world, "events", event, "cancelled", ", starts_at = now() + interval '1 hour'")


def test_what_belongs_to_a_cancelled_night_may_be_cancelled_at_any_time(world: World) -> None:
    event = world.event()
    reservation = world.reservation(event)
    world.run("UPDATE events SET status = 'cancelled'")
    world.moved(event, starts_in=-1)
    assert becomes(world, "vip_reservations", reservation, "cancelled")


@pytest.mark.parametrize("also", ["", ", checked_in_at = NULL, checked_in_scan = NULL"])
def test_an_entry_without_a_scan_cannot_be_taken_back(world: World, also: str) -> None:
    ticket = world.ticket(world.event(), status="checked_in")
    world.run("UPDATE tickets SET checked_in_at = now(), checked_in_by = 'Eva'")
    assert not becomes(world, "tickets", ticket, "issued", also)


@pytest.mark.parametrize("kind", [Kind.GA, Kind.VIP_PASS])
def test_an_annulled_entry_is_taken_back_and_no_other(world: World, conn: Connection, kind: Kind) -> None:
    made, table = thing(world, "ticket" if kind is Kind.GA else "guest_pass", "issued")
    scan = record(1, subject_id=made, kind=kind)
    take(conn, scan)
    assert not becomes(world, table, made, "issued")
    take(conn, outcome(scan, 2))
    assert world.one(f"SELECT status FROM {table} WHERE id = %s", made) == "issued"


def test_the_documents_diagrams_are_those_of_the_database(conn: Connection) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert put_into(text, diagrams(conn)) == text, "run: python -m hub.drawn.states DSN"


def test_a_document_without_a_place_for_the_diagrams_is_an_error() -> None:
    with pytest.raises(HubError, match="put '<!-- states"):
        put_into("# Data\n", "")


# --- the end of a night ---


def over(world: World, event: str) -> None:
    world.moved(event, starts_in=-8 * 60)


def statuses(world: World, table: str = "vip_reservations") -> list[str]:
    return [row[0] for row in world.all(f"SELECT status FROM {table} ORDER BY created_at")]


def test_a_night_that_is_over_completes_with_its_tables(world: World, conn: Connection) -> None:
    event = world.event()
    made = ("pending", "confirmed", "checked_in", "cancelled", "completed")
    for status in made:
        world.reservation(event, status)
    running = world.reservation(world.event("PS", starts_in=-6 * 60), "checked_in")
    assert world.one("SELECT complete_finished_events()") == {
        "success": True,
        "events": 0,
        "reservations": 0,
    }
    over(world, event)
    before = world.one("SELECT admission_version FROM events WHERE id = %s", event)
    done = call(conn, "complete_finished_events()")
    assert done == {"success": True, "events": 1, "reservations": 2}
    assert statuses(world) == ["pending", "completed", "completed", "cancelled", "completed", "checked_in"]
    assert world.all("SELECT status FROM events ORDER BY code") == [("completed",), ("scheduled",)]
    told = [change.row for change in world.changes(event, before)]
    assert {getattr(row, "status", None) for row in told} == {"completed"}
    again = call(conn, "complete_finished_events()")
    assert again == {"success": True, "events": 0, "reservations": 0}
    assert world.one("SELECT status FROM vip_reservations WHERE id = %s", running) == "checked_in"


def test_tables_of_a_night_that_somebody_completed_by_hand_complete_too(world: World) -> None:
    event = world.event()
    world.reservation(event)
    world.run("UPDATE events SET status = 'completed'")
    over(world, event)
    assert world.one("SELECT complete_finished_events()")["reservations"] == 1


def test_a_cancelled_night_stays_cancelled(world: World) -> None:
    event = world.event()
    world.reservation(event, "cancelled")
    world.run("UPDATE events SET status = 'cancelled'")
    over(world, event)
    assert world.one("SELECT complete_finished_events()")["events"] == 0
    assert statuses(world, "events") == ["cancelled"]


def test_scans_reported_after_the_end_count_and_nobody_else_comes_in(world: World, conn: Connection) -> None:
    event = world.event()
    reservation = world.reservation(event)
    host, guest = world.ticket(event), world.ticket(event)
    world.link(reservation, host, host=True)
    world.link(reservation, guest)
    seat = world.guest_pass(reservation)
    over(world, event)
    call(conn, "complete_finished_events()")
    scans = [
        record(1, subject_id=host, kind=Kind.VIP_HOST),
        record(2, subject_id=guest, kind=Kind.VIP_LINKED),
        record(3, subject_id=seat, kind=Kind.VIP_PASS),
        record(4, subject_id=seat, kind=Kind.VIP_PASS),
    ]
    take(conn, *scans)
    assert table(world) == ("completed", 3)
    assert world.all("SELECT scan_type FROM vip_scan_logs ORDER BY scanned_at") == [
        ("first_entry",),
        ("first_entry",),
        ("first_entry",),
        ("reentry",),
    ]
    assert process_vip_scan_with_reentry(conn, seat).error == "RESERVATION_NOT_CONFIRMED"
    take(conn, outcome(scans[1], 5))
    assert table(world) == ("completed", 2)


def table(world: World) -> tuple[Any, ...]:
    return world.all("SELECT status, checked_in_guests FROM vip_reservations")[0]
