"""An outage is logged once when it begins and once when it is over, never in between."""

from __future__ import annotations

import time

import structlog


class Outage:
    """The state of one thing that can fail. Used from one thread.

    :param what: its name, for the log.
    :param begins, ends: what the log says instead, where that is no thing that is made again.
    """

    def __init__(self, what: str, *, begins: str = "", ends: str = "") -> None:
        self._begins = begins or f"{what} is out; trying again until it is back"
        self._ends = ends or f"{what} is back"
        self._since = 0.0
        self._log = structlog.get_logger()
        self.reason: Exception | str | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is out right now."""
        return self.reason is not None

    def began(self, reason: Exception | str) -> None:
        """It fails; only the first of a row is logged."""
        if self.reason is None:
            self._since = time.monotonic()
            self._log.warning(self._begins, reason=str(reason))
        self.reason = reason

    def over(self) -> None:
        """It works; logged if it had been out."""
        if self.reason is not None:
            self._log.info(self._ends, out_for_s=round(time.monotonic() - self._since, 1))
        self.reason = None
