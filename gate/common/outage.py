"""An outage is logged once when it begins and once when it ends, never in between."""

from __future__ import annotations

import threading
import time

import structlog


class Outage:
    """The state of one thing that can fail. Used from one thread.

    :param what: its name, for the log.
    :param begins, ends: log events to use instead of ``… failed`` and ``… recovered``.
    """

    def __init__(self, what: str, *, begins: str = "", ends: str = "") -> None:
        self._begins = begins or f"{what} failed"
        self._ends = ends or f"{what} recovered"
        self._since = 0.0
        self._log = structlog.get_logger()
        self.reason: Exception | str | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is failing right now."""
        return self.reason is not None

    def began(self, reason: Exception | str) -> None:
        """It failed; only the first failure in a row is logged."""
        if self.reason is None:
            self._since = time.monotonic()
            self._log.warning(self._begins, reason=str(reason))
        self.reason = reason

    def over(self) -> None:
        """It works; logged if it was failing before."""
        if self.reason is not None:
            self._log.info(self._ends, out_for_s=round(time.monotonic() - self._since, 1))
        self.reason = None


class SharedOutage:
    """The outage of something that several threads use. It ends when each of them has it back.

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
