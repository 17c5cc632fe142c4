"""An outage is logged once when it begins and once when it is over, never in between."""

from __future__ import annotations

import time

import structlog

_log = structlog.get_logger()


class Outage:
    """State of one thing the hub depends on. Used from one thread."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._since: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether it is out right now."""
        return self._since is not None

    def began(self, reason: str) -> None:
        """It failed; only the first call is logged."""
        if self._since is None:
            self._since = time.monotonic()
            _log.warning(f"{self._what} is out; trying again until it is back", reason=reason)

    def over(self) -> None:
        """It works; logged if it had been out."""
        if self._since is not None:
            seconds = round(time.monotonic() - self._since, 1)
            self._since = None
            _log.info(f"{self._what} is back", out_for_s=seconds)
