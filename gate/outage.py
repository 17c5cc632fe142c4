"""An outage is logged once, and its end once; what lies between is silence."""

from __future__ import annotations

import structlog


class Outage:
    """The state of one thing that can fail. `name`: what it is, for the log."""

    def __init__(self, name: str) -> None:
        self._log = structlog.get_logger(part=name)
        self.error: Exception | None = None

    def began(self, error: Exception) -> None:
        """It fails; only the first of a row is logged."""
        if self.error is None:
            self._log.error("out of order", error=str(error))
        self.error = error

    def ended(self) -> None:
        """It works; logged if it had failed."""
        if self.error is not None:
            self._log.info("works again")
        self.error = None
