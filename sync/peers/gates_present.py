"""Which of the other gates are online, and whether one appeared that lacks our waiting scans. Pure."""

from __future__ import annotations

from gate.common.allowance import Allowance, Rate

MOST_GATES = 64
WELCOMES = Rate(per_s=0.1, at_once=5)
"""How often one gate may appear and be sent everything again; after that it waits for the next resend."""


class GatesPresent:
    """The gates online, on one connection at a time."""

    def __init__(self) -> None:
        self._there: set[str] = set()
        self._welcomes: dict[str, Allowance] = {}
        self._has_grown = False

    def on_connect(self) -> None:
        """A new connection: the broker sends every status again."""
        self._there.clear()

    def on_status(self, gate_id: str, now_ms: int, *, online: bool) -> None:
        """A gate's status says that it is online or offline."""
        if not online:
            self._there.discard(gate_id)
        elif gate_id not in self._there and len(self._there) < MOST_GATES:
            self._there.add(gate_id)
            if self._welcome(gate_id, now_ms).spend(1, now_ms / 1000):
                self._has_grown = True

    def has_grown(self) -> bool:
        """Whether one appeared since this was last asked."""
        has_grown, self._has_grown = self._has_grown, False
        return has_grown

    def _welcome(self, gate_id: str, now_ms: int) -> Allowance:
        if gate_id not in self._welcomes and len(self._welcomes) >= MOST_GATES:
            del self._welcomes[next(iter(self._welcomes))]
        return self._welcomes.setdefault(gate_id, Allowance(WELCOMES, now_ms / 1000))
