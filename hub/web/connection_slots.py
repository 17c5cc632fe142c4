"""Who may keep a connection to the hub's web server when there are too many. Pure.

A connection counts for the address it comes from, until a request on it shows a gate's token; then it counts
for that gate. New connections are always accepted, because at first a gate and a stranger look alike. Instead
the oldest without a token is closed. So a stranger who holds connections open loses them to the next who
comes, also to a gate behind the same address, and never costs an identified gate its connection.
"""

from __future__ import annotations

from collections import Counter
from typing import Generic, NamedTuple, TypeVar

MOST = 400
"""In all. With those that are being closed they fit into 1,024 files, the usual limit."""
MOST_OF_ADDRESS = 64
"""Of one address (`hub.web.minute_limits.network_of`)."""
MOST_OF_GATE = 16
"""Of one gate, which needs one."""

C = TypeVar("C")


class ConnectionOwner(NamedTuple):
    """Whom a connection counts for: a ``gate``, an ``address``, or a ``proxy`` in front of many addresses."""

    kind: str
    name: str


class ConnectionSlots(Generic[C]):
    """The open connections, the oldest first."""

    def __init__(
        self, most: int = MOST, most_of_address: int = MOST_OF_ADDRESS, most_of_gate: int = MOST_OF_GATE
    ) -> None:
        self._most = most
        self._limits = {"address": most_of_address, "gate": most_of_gate, "proxy": most}
        self._owners: dict[C, ConnectionOwner] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._owners)

    def add(self, connection: C, owner: ConnectionOwner) -> C | None:
        """Add a new one. Returns the one to close for it, already removed; it may be the new one."""
        self._owners[connection] = owner
        if self._count(owner) > self._limits[owner.kind]:
            return self._remove_oldest(owner)
        return self._remove_stranger(connection) if len(self._owners) > self._most else None

    def identify(self, connection: C, gate_id: str) -> C | None:
        """It showed a gate's token. Returns the one to close for it: the oldest of too many of that gate."""
        owner = ConnectionOwner("gate", gate_id)
        if self._owners.get(connection) in (None, owner):
            return None
        self._owners[connection] = owner
        return self._remove_oldest(owner) if self._count(owner) > self._limits["gate"] else None

    def remove(self, connection: C) -> None:
        """It was closed."""
        self._owners.pop(connection, None)

    def _count(self, owner: ConnectionOwner) -> int:
        return sum(other == owner for other in self._owners.values())

    def _remove_stranger(self, newest: C) -> C:
        """The oldest of the owner with most that is no gate; the newest if all are gates."""
        strangers = Counter(owner for owner in self._owners.values() if owner.kind != "gate")
        if strangers:
            return self._remove_oldest(max(strangers, key=lambda owner: strangers[owner]))
        self.remove(newest)
        return newest

    def _remove_oldest(self, owner: ConnectionOwner) -> C:
        oldest = next(connection for connection, other in self._owners.items() if other == owner)
        self.remove(oldest)
        return oldest
