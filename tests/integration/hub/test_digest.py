"""Hub and gate compute the same digest of a night, whatever happened in it (sync/cache/digest.py)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gate.rules.model import Kind, Reason
from hub.db.connection import Connection
from hub.ingest.batch import Batch, write_batch
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.factories import NOW, an_event
from tests.integration.hub.world import World, record

CHANGES = [
    "UPDATE tickets SET status = 'refunded' WHERE id = (SELECT id FROM tickets ORDER BY random() LIMIT 1)",
    "UPDATE tickets SET guest_name = 'Iñaki | \U0001f98a', qr_signature = 'c2ln' WHERE qr_signature IS NULL",
    "DELETE FROM vip_linked_tickets",
    "DELETE FROM tickets WHERE id = (SELECT id FROM tickets WHERE status = 'issued'"
    " AND id NOT IN (SELECT ticket_id FROM vip_linked_tickets) LIMIT 1)",
    "UPDATE events SET status = 'cancelled'",
    "UPDATE events SET ends_at = ends_at + interval '1 microsecond', venue_capacity = venue_capacity + 1",
    "UPDATE vip_reservations SET status = 'checked_in' WHERE status = 'confirmed'",
    "UPDATE vip_guest_passes SET status = 'cancelled' WHERE guest_number = 1",
]


class Night:
    """One night at the hub, and a gate that follows it."""

    def __init__(self, world: World, conn: Connection, folder: Path, chance: random.Random) -> None:
        self.world, self.conn, self.chance = world, conn, chance
        self.event = world.event()
        self.reservation = world.reservation(self.event, seats=10_000)
        self.passes, self.seq = 0, 0
        self.cache = Cache(folder / "cache.db")
        self.cache.put_config(
            GateConfig(
                gate_id="g", gate_name="", venue="maguey", events=(an_event(event_id=self.event, code="PF"),)
            )
        )

    def something_happens(self) -> None:
        match self.chance.choice(["sell", "sell", "link", "pass", "scan", "scan", "change"]):
            case "sell":
                self.world.ticket(self.event)
            case "link":
                self.world.link(
                    self.reservation, self.world.ticket(self.event), host=self.chance.random() < 0.3
                )
            case "pass":
                self.passes += 1
                self.world.guest_pass(self.reservation, self.passes)
            case "scan":
                self._scan()
            case "change":
                self.world.run(self.chance.choice(CHANGES))

    def _scan(self) -> None:
        table, kind = self.chance.choice([("tickets", Kind.GA), ("vip_guest_passes", Kind.VIP_PASS)])
        subject = self.world.one(f"SELECT id::text FROM {table} ORDER BY random() LIMIT 1")
        if subject is not None:
            self.seq += 1
            reason = self.chance.choice([Reason.FIRST_ENTRY, Reason.REENTRY])
            scan = record(self.seq, kind=kind, subject_id=subject, event_id=self.event, reason=reason)
            write_batch(self.conn, Batch(records=(scan,), topics={"gate-1": "t"}))

    def load(self) -> None:
        self.cache.put_snapshot(
            self.event, self.version(), self.cache.spool.fill(self.world.feed(self.event)), NOW
        )

    def catch_up(self) -> None:
        if changes := self.world.changes(self.event, self.cache.places()[self.event].version):
            self.cache.put_changes(self.event, changes, NOW)

    def version(self) -> int:
        return int(self.world.one("SELECT admission_version FROM events WHERE id = %s", self.event))

    def hubs(self) -> str:
        return str(self.world.one("SELECT feed_digest(%s)", self.event))

    def gates(self) -> str:
        [held] = self.cache.held()
        assert held.version == self.version()
        assert held.count == self.world.one(
            "SELECT count(*) FROM feed_admissions WHERE event_id = %s", self.event
        )
        return held.digest


@pytest.mark.parametrize("seed", range(6))
def test_hub_and_gate_have_one_digest_of_any_night(
    world: World, conn: Connection, tmp_path: Path, seed: int
) -> None:
    night = Night(world, conn, tmp_path, random.Random(seed))
    night.load()
    seen = {night.hubs()}
    for _ in range(12):
        for _ in range(night.chance.randint(1, 5)):
            night.something_happens()
        night.catch_up()
        assert night.gates() == night.hubs()
        seen.add(night.hubs())
    night.load()
    assert night.gates() == night.hubs()
    assert len(seen) > 6


def test_a_row_missing_or_different_at_a_gate_is_detected(
    world: World, conn: Connection, tmp_path: Path
) -> None:
    night = Night(world, conn, tmp_path, random.Random(7))
    ticket = world.ticket(night.event)
    night.load()
    world.run("UPDATE tickets SET status = 'refunded' WHERE id = %s", ticket)
    assert night.cache.held()[0].digest != night.hubs()
    night.catch_up()
    assert night.gates() == night.hubs()
    night.cache.put_snapshot(
        night.event, night.version(), night.cache.spool.fill(world.feed(night.event)[:-1]), NOW
    )
    assert night.cache.held()[0].digest != night.hubs()
