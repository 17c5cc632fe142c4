"""The hub forgets the claims of past nights, whatever its clock says (ADR 15)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.claims.answers import FORGET_PORTION, KEPT
from hub.db.connection import Connection
from tests.integration.hub.asking import NOW, Desk, Night
from tests.integration.hub.world import World

HOUR_S = 3600.0
KEPT_S = KEPT.total_seconds()


@pytest.fixture
def night(world: World) -> Night:
    night = Night(world)
    dates = (NOW - timedelta(hours=1), NOW + timedelta(hours=8))
    world.run("UPDATE events SET doors_open_at = %s, ends_at = %s", *dates)
    return night


def week_after(world: World) -> str:
    """A night one week later, and a claim for it."""
    night = world.event("PG")
    dates = (NOW + timedelta(days=7), NOW + timedelta(days=7, hours=8))
    world.run("UPDATE events SET doors_open_at = %s, ends_at = %s WHERE id = %s", *dates, night)
    world.run(
        "INSERT INTO claims (scan_id, gate_id, event_id, code_hash, answer, asked_at)"
        " VALUES (gen_random_uuid(), 'gate-1', %s, 'of the week after', 'granted', %s)",
        night,
        NOW + timedelta(days=7),
    )
    return night


def test_a_hub_whose_clock_is_weeks_ahead_forgets_no_grant_of_tonight(
    night: Night, world: World, conn: Connection
) -> None:
    desk, code = Desk(conn), night.code()
    assert night.answer("gate-1", code) == "granted"
    world.run(
        "INSERT INTO lends (code_hash, gate_id, event_id, asked_at) VALUES ('c', 'g', %s, %s)",
        night.event,
        NOW,
    )
    for days in (8, 400):
        desk.wait(days * 24 * HOUR_S)
        desk.turn()
    assert night.answer("gate-2", code) == "taken"
    assert world.one("SELECT count(*) FROM lends") == 1


def test_claims_are_forgotten_when_a_later_night_is_claimed_for(
    night: Night, world: World, conn: Connection
) -> None:
    desk = Desk(conn)
    night.ask("gate-1", night.code())
    world.run(
        "INSERT INTO lends (code_hash, gate_id, event_id, asked_at) VALUES ('c', 'g', %s, %s)",
        night.event,
        NOW,
    )
    after = week_after(world)
    desk.turn()
    assert world.one("SELECT count(*) FROM claims") == 2  # not a week old yet
    desk.wait(KEPT_S + 9 * HOUR_S)
    desk.turn()
    assert world.all("SELECT event_id::text FROM claims") == [(after,)]
    assert world.one("SELECT count(*) FROM lends") == 0


def test_forgotten_claims_are_deleted_in_portions(night: Night, world: World, conn: Connection) -> None:
    """One statement that deletes a whole season would hit the time limit of a claim, every time."""
    desk = Desk(conn)
    world.run(
        "INSERT INTO claims (scan_id, gate_id, event_id, asked_at)"
        " SELECT gen_random_uuid(), 'gate-1', %s, %s FROM generate_series(1, %s)",
        night.event,
        NOW,
        2 * FORGET_PORTION + 1,
    )
    week_after(world)
    desk.wait(KEPT_S + 9 * HOUR_S)
    left = []
    for _ in range(3):
        desk.turn()
        left.append(world.one("SELECT count(*) FROM claims"))
    assert left == [FORGET_PORTION + 2, 2, 1]


def test_a_hub_whose_clock_was_set_back_still_forgets(night: Night, world: World, conn: Connection) -> None:
    desk = Desk(conn)
    desk.wait(400 * 24 * HOUR_S)
    desk.turn()
    desk.wait(-400 * 24 * HOUR_S + KEPT_S + 9 * HOUR_S)
    night.ask("gate-1", night.code())
    week_after(world)
    desk.turn()
    assert world.one("SELECT count(*) FROM claims") == 1
