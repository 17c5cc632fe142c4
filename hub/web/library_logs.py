"""Logs of libraries, of which a stranger can cause any number: written as seldom as our own."""

from __future__ import annotations

import logging
from typing import Any

import structlog

from gate.common.seldom import Seldom

_LONGEST_KIND = 200


class SeldomHandler(logging.Handler):
    """Passes warnings and errors on to the program's own log."""

    def __init__(self, seldom: Seldom) -> None:
        super().__init__(logging.WARNING)
        self._seldom = seldom
        self._log = structlog.get_logger()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`. The kind is the text's first line without its arguments."""
        kind = (str(record.msg).splitlines() or [""])[0][:_LONGEST_KIND]
        log = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        fields: dict[str, Any] = {"library": record.name}
        if record.args:
            fields["text"] = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = record.exc_info[1]
        self._seldom.say(log, kind, **fields)
