"""The outage of something several threads use is logged as one."""

from __future__ import annotations

import threading

from gate.common.outage import Outage


class SharedOutage:
    """Logged when the first user loses it, and again when every user has it back.

    :param what: its name, for the log.
    """

    def __init__(self, what: str) -> None:
        self._outage = Outage(what)
        self._without: set[str] = set()
        self._lock = threading.Lock()

    def lost(self, user: str) -> None:
        """A user has just lost it: not yet an outage, but one that began lasts until it is back."""
        with self._lock:
            self._without.add(user)

    def began(self, user: str, reason: str) -> None:
        """A user is without it."""
        with self._lock:
            self._without.add(user)
            self._outage.began(reason)

    def over(self, user: str) -> None:
        """A user has it."""
        with self._lock:
            self._without.discard(user)
            if not self._without:
                self._outage.over()

    def leave(self, user: str) -> None:
        """A user is gone, and counts no more."""
        with self._lock:
            self._without.discard(user)
