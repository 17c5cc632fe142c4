"""An outage of what several threads use is one outage, and logged as one."""

from __future__ import annotations

import threading

from gate.common.outage import Outage


class SharedOutage:
    """Logged when the first of its users is without it, and when all of them have it again.

    :param what: its name, for the log.
    """

    def __init__(self, what: str) -> None:
        self._outage = Outage(what)
        self._without: set[str] = set()
        self._lock = threading.Lock()

    def lost(self, user: str) -> None:
        """One of its users lost it just now: no outage yet, but one that began is not over without it."""
        with self._lock:
            self._without.add(user)

    def began(self, user: str, reason: str) -> None:
        """One of its users is without it."""
        with self._lock:
            self._without.add(user)
            self._outage.began(reason)

    def over(self, user: str) -> None:
        """One of its users has it."""
        with self._lock:
            self._without.discard(user)
            if not self._without:
                self._outage.over()

    def leave(self, user: str) -> None:
        """One that does not use it any more: it can say neither."""
        with self._lock:
            self._without.discard(user)
