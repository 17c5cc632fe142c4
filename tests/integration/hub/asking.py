"""Shared by the tests of claims: gates that claim directly in Postgres, and an in-memory link to a broker."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gate.rules.model import EventKind, Ruling
from hub.claims.answers import ClaimAnswers
from hub.db.call import call
from hub.db.connection import Connection
from hub.ingest.batch import Batch, write_batch
from hub.mqtt.inbox import Delivery, FairInbox
from sync.wire.messages import GateStatus, ToGate, ToHub, encode, to_gate
from sync.wire.topics import Topics
from tests.integration.hub.world import World, record

VENUE = "maguey"
NOW = datetime(2026, 1, 30, 23, 0, tzinfo=UTC)


def new_id() -> str:
    return str(uuid.uuid4())


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


class Night:
    """One night, its gates and their claims for its tickets. A code is given as its hash."""

    def __init__(self, world: World, gates: int = 3, venue: str = VENUE) -> None:
        self.world = world
        self.venue = venue
        self.event = world.event()
        self.gates = [f"gate-{number}" for number in range(1, gates + 1)]
        for gate_id in self.gates:
            world.gate(gate_id, "", self.event, venue)

    def code(self, **columns: Any) -> str:
        """A new ticket."""
        ticket = self.world.ticket(self.event, **columns)
        return str(self.world.one("SELECT code_hash FROM tickets WHERE id = %s", ticket))

    def divide(self, *homes: str) -> None:
        """Set the policy to home_gate and divide the tickets among these gates, or among all."""
        self.world.run(
            "UPDATE events SET isolation_policy = 'home_gate', home_gates = %s", list(homes or self.gates)
        )

    def ask(self, gate_id: str, code: str, scan: str | None = None, **changes: Any) -> dict[str, Any] | None:
        return ask(self.world.conn, self, gate_id, code, scan, **changes)

    def answer(self, gate_id: str, code: str, scan: str | None = None, **changes: Any) -> str:
        """The answer alone: ``granted`` and so on."""
        told = self.ask(gate_id, code, scan, **changes)
        assert told is not None
        return str(told["grant"]["answer"])

    def give_back(self, gate_id: str, scan: str, now: datetime = NOW) -> None:
        call(self.world.conn, "give_back", venue=self.venue, gate=gate_id, scan=scan, now=now)

    def ingest(self, gate_id: str, seq: int, code: str, scan: str | None = None, **changes: Any) -> str:
        """Take in a scan; return its id."""
        scan = scan or new_id()
        found = record(seq, scan_id=scan, gate_id=gate_id, code_hash=code, event_id=self.event, **changes)
        write_batch(
            self.world.conn, Batch(records=(found,), topics={gate_id: f"maguey/v1/{self.venue}/gates"})
        )
        return scan

    def annul(self, gate_id: str, seq: int, scan: str) -> None:
        said = {"record": "annulled", "verdict": Ruling.NONE, "reason": EventKind.EXPIRED, "refers_to": scan}
        self.ingest(gate_id, seq, "0" * 64, **said)

    def sweep(self, gate_id: str, ms: int, **changes: Any) -> int:
        """The gate reports its status at `ms` of its clock; return how many grants were released."""
        wanted: dict[str, Any] = {"gate": gate_id, "epoch": "e1", "last_seq": 0, "acked": 0, "door": True}
        wanted |= {"boot_id": "boot", "monotonic_ms": ms, "now": after(60)} | changes
        return int(call(self.world.conn, "sweep_claims", **wanted))


def ask(
    conn: Connection, night: Night, gate_id: str, code: str, scan: str | None = None, **changes: Any
) -> dict[str, Any] | None:
    """One claim, over the caller's connection."""
    wanted: dict[str, Any] = {"venue": night.venue, "gate": gate_id, "code_hash": code, "now": NOW}
    wanted |= {"scan": scan or new_id(), "event": night.event, "epoch": "e1", "heard": []} | changes
    told: dict[str, Any] | None = call(conn, "claim_entry", **wanted)
    return told


class MemoryLine:
    """A `hub.mqtt.link.HubLink` without a network. `said` is what the hub published, by gate."""

    def __init__(self) -> None:
        self.inbox = FairInbox()
        self.connects = 1
        self.is_up = True
        self.said: list[tuple[str, ToGate]] = []
        self.acknowledged: list[int] = []
        self._topics = Topics(venue=VENUE)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        gate_id = self._topics.gate_of(topic)
        assert gate_id is not None and topic == self._topics.grants(gate_id) and not retain
        self.said.append((gate_id, to_gate(payload)))

    def acknowledge(self, *messages: Delivery) -> None:
        self.acknowledged += [message.mid for message in messages]

    def tend(self) -> None:
        pass


class Desk:
    """The hub's answers to claims, turn by turn, at a time set by the test."""

    def __init__(self, conn: Connection) -> None:
        self.line = MemoryLine()
        self.now_us = int(NOW.timestamp() * 1_000_000)
        self.claims = ClaimAnswers(VENUE, self.line, lambda: self.now_us)
        self._conn = conn
        self._mid = 0

    def hear(self, gate_id: str, said: ToHub | GateStatus | bytes, *, retained: bool = False) -> int:
        """Deliver a gate's message; return its number."""
        topics = Topics(venue=VENUE)
        topic = topics.status(gate_id) if isinstance(said, GateStatus) else topics.claims(gate_id)
        payload = said if isinstance(said, bytes) else encode(said)
        self._mid += 1
        self.line.inbox.put(Delivery(topic, payload, self._mid, 1, retained, self.now_us))
        return self._mid

    def turn(self, conn: Connection | None = None) -> list[tuple[str, ToGate]]:
        """Run one turn; return what the hub published in it."""
        self.line.said.clear()
        self.claims.turn(conn or self._conn, 0.0)
        return list(self.line.said)

    def wait(self, seconds: float) -> None:
        self.now_us += int(seconds * 1_000_000)


def one_of(said: list[tuple[str, ToGate]]) -> tuple[str, dict[str, Any]]:
    """The only message, as its gate and fields."""
    ((gate_id, message),) = said
    return gate_id, msgspec.to_builtins(message)
