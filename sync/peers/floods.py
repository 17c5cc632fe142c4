"""Which of the other gates send more than a door can, and what is believed of them meanwhile. Pure.

Every gate has a budget of its own (protocol 4.5), which a night's whole backlog fits into. Beyond it, a gate
floods: until it has kept to its budget for a while, nothing new that it says it admitted counts here.
"""

from __future__ import annotations

import msgspec

from gate.common.allowance import Allowance, Rate
from gate.rules.model import ScanRecord
from sync.broker.inbox import COST, MOST_GATES, Arrivals, PeerMessage
from sync.peers.pace import EntryPace

MESSAGES = Rate(per_s=20, at_once=1_200)
"""Three for each scan of the busiest door, and more; at once, a night of two a second in batches of 50."""
BYTES = Rate(per_s=512 * 1024, at_once=48 * 1024 * 1024)
"""The same, at most 800 bytes a record."""
CALM_MS = 60_000
"""So long within its budget, and a gate does not flood any more."""


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
        """When it was last beyond its budget."""
        self.refused = 0
        """Admissions and annulments that did not count, and messages dropped, since it floods."""

    def floods(self, now_ms: int) -> bool:
        return self.over_ms is not None and now_ms - self.over_ms < CALM_MS


class FloodEvent(msgspec.Struct, frozen=True):
    """A gate that began to flood, or ended. `refused`: how much of it did not count, once it is over."""

    gate_id: str
    began: bool
    refused: int = 0


class PeerFloods:
    """Asked in the order in which a gate's messages came. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}
        self._told: set[str] = set()

    def arrived(self, gate_id: str, arrived: Arrivals, now_ms: int) -> None:
        """So much of it came, whether there was room for it or not."""
        gate = self._gate(gate_id, now_ms)
        if not gate.coming.spend(arrived.messages, arrived.bytes, now_ms):
            gate.over_ms = now_ms
            gate.refused += arrived.dropped

    def goes_on(self, gate_id: str, now_ms: int) -> None:
        """It is not listened to, so nobody can tell whether it still floods: till then it does."""
        self._gate(gate_id, now_ms).over_ms = now_ms

    def may_take(self, heard: PeerMessage, now_ms: int) -> bool:
        """Whether a message is to be looked at now, which then counts; else later."""
        gate = self._gate(heard.gate_id, now_ms)
        if not gate.taken.are_left(now_ms):
            return False
        gate.taken.spend(1, len(heard.message.payload) + COST, now_ms)
        return True

    def tell_waiting(self, gate_id: str, waiting: int, now_ms: int) -> None:
        """The gate says that so many of its records are still to come."""
        for pace in self._gate(gate_id, now_ms).paces.values():
            pace.tell_waiting(waiting, now_ms)

    def believes(self, record: ScanRecord, now_ms: int) -> bool:
        """Whether an admission or annulment that was not known before counts."""
        gate = self._gate(record.gate_id, now_ms)
        if not gate.paces[record.record].take(record.occurred_at, now_ms):
            gate.over_ms = now_ms
        gate.refused += (floods := gate.floods(now_ms))
        return not floods

    def flooding(self, now_ms: int) -> tuple[str, ...]:
        """The gates that flood, by name."""
        return tuple(sorted(name for name, gate in self._gates.items() if gate.floods(now_ms)))

    def episodes(self, now_ms: int) -> list[FloodEvent]:
        """What is to be told: each flood once when it begins, and once when it is over."""
        now = set(self.flooding(now_ms))
        began = [FloodEvent(gate_id, began=True) for gate_id in sorted(now - self._told)]
        over = [
            FloodEvent(gate_id, began=False, refused=self._gates[gate_id].refused)
            for gate_id in sorted(self._told - now)
        ]
        for episode in over:
            self._gates[episode.gate_id].refused = 0
        self._told = now
        return began + over

    def _gate(self, gate_id: str, now_ms: int) -> _Gate:
        if gate_id not in self._gates:
            while len(self._gates) >= MOST_GATES:
                del self._gates[next(iter(self._gates))]
            self._gates[gate_id] = _Gate(now_ms)
        return self._gates[gate_id]
