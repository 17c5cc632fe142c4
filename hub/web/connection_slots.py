"""Who has a connection to the hub's web side, and who gives way when there are too many. Pure.

A connection counts for where it comes from, until a request on it has shown a gate's token; then it counts
for that gate. Nobody is turned away at the door, where a gate and a stranger look alike: who came first and
has not shown a token leaves. So a stranger who holds connections open loses them to whoever comes next, also
to a gate behind the same address, and no stranger ever costs a gate the connection it has.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, NamedTuple, TypeVar

MOST = 400
"""In all; with those that are on their way out they fit into 1,024 files, the usual limit."""
MOST_OF_HOME = 64
"""Of one address (`hub.web.minute_limits.network_of`)."""
MOST_OF_GATE = 16
"""Of one gate, which works with one."""

L = TypeVar("L")


class ConnectionOwner(NamedTuple):
    """For whom a connection counts: a ``gate``, a ``home`` of a stranger, or a ``proxy`` in front of many."""

    kind: str
    name: str


class ConnectionSlots(Generic[L]):
    """The connections there are, the oldest first."""

    def __init__(
        self, most: int = MOST, most_of_home: int = MOST_OF_HOME, most_of_gate: int = MOST_OF_GATE
    ) -> None:
        self._most = most
        self._limits = {"home": most_of_home, "gate": most_of_gate, "proxy": most}
        self._lines: dict[L, ConnectionOwner] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._lines)

    def owner(self, line: L) -> ConnectionOwner | None:
        """For whom it counts; None: it is not there any more."""
        return self._lines.get(line)

    def came(self, line: L, owner: ConnectionOwner) -> L | None:
        """A new one. Whoever has to leave for it, which may be itself, is not there any more."""
        self._lines[line] = owner
        if self._count(owner) > self._limits[owner.kind]:
            return self._first_of(owner)
        return self._first_stranger(line) if len(self._lines) > self._most else None

    def showed(self, line: L, gate_id: str) -> L | None:
        """A gate's token was shown on it. Who has to leave for that: the oldest of too many of that gate."""
        owner = ConnectionOwner("gate", gate_id)
        if self._lines.get(line) in (None, owner):
            return None
        self._lines[line] = owner
        return self._first_of(owner) if self._count(owner) > self._limits["gate"] else None

    def left(self, line: L) -> None:
        """It is gone."""
        self._lines.pop(line, None)

    def _count(self, owner: ConnectionOwner) -> int:
        return sum(other == owner for other in self._lines.values())

    def _first_stranger(self, newest: L) -> L:
        """The oldest of whoever has most; if all are gates, the newest itself."""
        strangers = Counter(owner for owner in self._lines.values() if owner.kind != "gate")
        return (
            self._first_of(max(strangers, key=lambda owner: strangers[owner]))
            if strangers
            else self._gone(newest)
        )

    def _first_of(self, owner: ConnectionOwner) -> L:
        return self._gone(next(line for line, other in self._lines.items() if other == owner))

    def _gone(self, line: L) -> L:
        del self._lines[line]
        return line
