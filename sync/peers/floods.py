"""Which of the other gates send more than any door can. Pure.

Every gate has a budget (protocol 4.5) into which a whole night's backlog fits. A gate that exceeds it floods:
until it has kept to its budget for a while, none of its new admissions count here.
"""

from __future__ import annotations

import msgspec

from gate.common.allowance import Allowance, Rate
from gate.rules.model import ScanRecord
from sync.broker.inbox import COST, MOST_GATES, Arrivals, PeerMessage
from sync.peers.pace import EntryPace

MESSAGES = Rate(per_s=20, at_once=1_200)
"""More than three per scan of the busiest door; at once, a night of two scans a second in batches of 50."""
BYTES = Rate(per_s=512 * 1024, at_once=48 * 1024 * 1024)
"""The same, at no more than 800 bytes a record."""
CALM_MS = 60_000
"""A gate stops flooding once it has kept to its budget for this long."""


class _Budget:
    """What one gate may send: messages and bytes."""

    def __init__(self, now_ms: int) -> None:
        self._messages = Allowance(MESSAGES, now_ms / 1000)
        self._bytes = Allowance(BYTES, now_ms / 1000)

    def are_left(self, now_ms: int) -> bool:
        return self._messages.is_left(now_ms / 1000) and self._bytes.is_left(now_ms / 1000)

    def spend(self, messages: int, size: int, now_ms: int) -> bool:
        were_enough = self._messages.spend(messages, now_ms / 1000)
        return self._bytes.spend(size, now_ms / 1000) and were_enough


class _Gate:
    """What is known of one gate."""

    def __init__(self, now_ms: int) -> None:
        self.coming, self.taken = _Budget(now_ms), _Budget(now_ms)
        self.paces = {"scan": EntryPace(now_ms), "annulled": EntryPace(now_ms)}
        self.over_ms: int | None = None
        """When it last exceeded its budget."""
        self.refused = 0
        """Admissions and annulments that did not count, and messages dropped, in this flood."""

    def floods(self, now_ms: int) -> bool:
        return self.over_ms is not None and now_ms - self.over_ms < CALM_MS


class FloodEvent(msgspec.Struct, frozen=True):
    """A gate began to flood, or stopped. `refused`: how many of its records did not count, at the end."""

    gate_id: str
    began: bool
    refused: int = 0


class PeerFloods:
    """Tracks all gates. Called in the order of a gate's messages. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}
        self._flooding: set[str] = set()

    def arrived(self, gate_id: str, arrived: Arrivals, now_ms: int) -> None:
        """Count what a gate sent, kept or dropped."""
        gate = self._gate(gate_id, now_ms)
        if not gate.coming.spend(arrived.messages, arrived.bytes, now_ms):
            gate.over_ms = now_ms
            gate.refused += arrived.dropped

    def goes_on(self, gate_id: str, now_ms: int) -> None:
        """A gate is cut off, so nobody can tell whether it still floods: it counts as flooding."""
        self._gate(gate_id, now_ms).over_ms = now_ms

    def may_take(self, heard: PeerMessage, now_ms: int) -> bool:
        """Whether a message may be handled now, and count it; otherwise later."""
        gate = self._gate(heard.gate_id, now_ms)
        if not gate.taken.are_left(now_ms):
            return False
        gate.taken.spend(1, len(heard.message.payload) + COST, now_ms)
        return True

    def set_waiting(self, gate_id: str, waiting: int, now_ms: int) -> None:
        """The gate reports that `waiting` of its records are still to come."""
        for pace in self._gate(gate_id, now_ms).paces.values():
            pace.set_waiting(waiting, now_ms)

    def believes(self, record: ScanRecord, now_ms: int) -> bool:
        """Whether a new admission or annulment counts."""
        gate = self._gate(record.gate_id, now_ms)
        if not gate.paces[record.record].take(record.occurred_at, now_ms):
            gate.over_ms = now_ms
        gate.refused += (floods := gate.floods(now_ms))
        return not floods

    def flooding(self, now_ms: int) -> tuple[str, ...]:
        """The gates that flood, by name."""
        return tuple(sorted(name for name, gate in self._gates.items() if gate.floods(now_ms)))

    def events(self, now_ms: int) -> list[FloodEvent]:
        """What is new since the last call: each flood once when it begins, and once when it ends."""
        now = set(self.flooding(now_ms))
        began = [FloodEvent(gate_id, began=True) for gate_id in sorted(now - self._flooding)]
        over = [
            FloodEvent(gate_id, began=False, refused=self._gates[gate_id].refused)
            for gate_id in sorted(self._flooding - now)
        ]
        for event in over:
            self._gates[event.gate_id].refused = 0
        self._flooding = now
        return began + over

    def _gate(self, gate_id: str, now_ms: int) -> _Gate:
        if gate_id not in self._gates:
            while len(self._gates) >= MOST_GATES:
                del self._gates[next(iter(self._gates))]
            self._gates[gate_id] = _Gate(now_ms)
        return self._gates[gate_id]
