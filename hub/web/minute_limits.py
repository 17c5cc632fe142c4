"""How often somebody may ask, and who an address is. Pure.

A minute is counted from the first of its requests. What is kept is bounded: with more addresses than
`MOST_KEPT` at once, the one whose minute began first is forgotten, and may ask anew.
"""

from __future__ import annotations

import ipaddress
import threading

MINUTE_S = 60.0
MOST_KEPT = 20_000
"""Some 200 bytes each."""
_HOME_BITS = 64
"""Of an IPv6 address: who has one has all that begin like it (RFC 6177)."""
_LONGEST = 64


class MinuteLimits:
    """So many in a minute for each. From any thread.

    :param per_minute: how many.
    :param most: of how many at once it is known.
    """

    def __init__(self, per_minute: int, most: int = MOST_KEPT) -> None:
        self._per_minute = per_minute
        self._most = most
        self._lock = threading.Lock()
        self._begun: dict[str, tuple[float, int]] = {}
        """Of each when its minute began, and how many there were; the earliest first."""

    def __len__(self) -> int:
        """Of how many it is known."""
        return len(self._begun)

    def take(self, who: str, now: float) -> float:
        """Count one more. 0: it may be; else in how many seconds the next may, and nothing is counted."""
        with self._lock:
            began, count = self._begun.get(who, (now, 0))
            if not 0 <= now - began < MINUTE_S:
                began, count = now, 0
            if count >= self._per_minute:
                return MINUTE_S - (now - began)  # never 0: see above
            if not count:
                self._make_room(who)
            self._begun[who] = began, count + 1
            return 0.0

    def give_back(self, who: str) -> None:
        """One that was taken does not count after all."""
        with self._lock:
            began, count = self._begun.get(who, (0.0, 0))
            if count > 1:
                self._begun[who] = began, count - 1
            else:
                self._begun.pop(who, None)

    def _make_room(self, who: str) -> None:
        self._begun.pop(who, None)
        if len(self._begun) >= self._most:
            del self._begun[next(iter(self._begun))]


def network_of(address: str) -> str:
    """Whom an address stands for: itself, or of IPv6 the network it can take others from."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_LONGEST]
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, _HOME_BITS), strict=False))
