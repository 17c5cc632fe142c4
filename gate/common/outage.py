"""An outage is logged once when it begins and once when it ends, never in between."""

from __future__ import annotations

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
