"""How many requests an address may make in a minute, and what counts as one address. Pure.

A minute begins with its first request. Memory is bounded: with more than `MOST_KEPT` addresses at once, the
one whose minute began first is forgotten, and starts again.
"""

from __future__ import annotations

import ipaddress
import threading

MINUTE_S = 60.0
MOST_KEPT = 20_000
"""About 200 bytes each."""
_HOME_BITS = 64
"""Of an IPv6 address: whoever has one usually has all with the same beginning (RFC 6177)."""
_LONGEST = 64


class MinuteLimits:
    """At most so many requests in a minute for each name. From any thread.

    :param per_minute: how many.
    :param most: how many names are remembered at once.
    """

    def __init__(self, per_minute: int, most: int = MOST_KEPT) -> None:
        self._per_minute = per_minute
        self._most = most
        self._lock = threading.Lock()
        self._begun: dict[str, tuple[float, int]] = {}
        """For each name, when its minute began and how many requests there were; the earliest first."""

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._begun)

    def take(self, who: str, now: float) -> float:
        """Count a request. Returns 0 if it is allowed; else the seconds to wait, and it is not counted."""
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
        """Do not count one request after all."""
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
    """The address itself, or for IPv6 the network its owner can take others from."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:_LONGEST]
    if isinstance(known, ipaddress.IPv4Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, _HOME_BITS), strict=False))
