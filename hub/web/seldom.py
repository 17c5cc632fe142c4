"""Log lines that a stranger can cause: one of a kind in a minute, with how many there were.

The first is told at once. What comes within the minute is counted, and told with one line when it is over.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

MINUTE_S = 60.0
MOST_KINDS = 100
"""Kinds are words of this program; should a library make up ever new ones, they are told as one."""
_LONGEST = 200


class _Kind:
    """When it was told last, and what came since."""

    def __init__(self, told_at: float) -> None:
        self.told_at = told_at
        self.count = 0
        self.last: tuple[str, dict[str, Any]] = ("info", {})


class Seldom:
    """From any thread.

    :param clock: seconds, of any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}
        self._log = structlog.get_logger()

    def say(self, level: str, event: str, **fields: Any) -> None:
        """Tell it, or count it if it was told within the minute."""
        now = self._clock()
        with self._lock:
            name = event if event in self._kinds or len(self._kinds) < MOST_KINDS else "other"
            kind = self._kinds.get(name)
            if kind is not None:
                kind.count += 1
                kind.last = level, fields
                return
            self._kinds[name] = _Kind(now)
        self._write(level, event, fields)

    def look(self) -> None:
        """Tell what was counted in the minutes that are over. Call it every few seconds."""
        now = self._clock()
        with self._lock:
            over = {name: kind for name, kind in self._kinds.items() if now - kind.told_at >= MINUTE_S}
            for name, kind in over.items():
                if kind.count:
                    self._kinds[name] = _Kind(now)
                else:
                    del self._kinds[name]
        for name, kind in over.items():
            if kind.count:
                level, fields = kind.last
                self._write(
                    level, name, fields | {"times": kind.count, "within_s": round(now - kind.told_at)}
                )

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        short = {key: _short(value) for key, value in fields.items()}
        getattr(self._log, level)(event, **short)


def _short(value: Any) -> Any:
    return value[:_LONGEST] if isinstance(value, str) else value


class SeldomHandler(logging.Handler):
    """What libraries log, told as seldom."""

    def __init__(self, seldom: Seldom) -> None:
        super().__init__(logging.WARNING)
        self._seldom = seldom

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`. The kind is the text before anything is put into it, on its first line."""
        kind = (str(record.msg).splitlines() or [""])[0][:_LONGEST]
        level = "error" if record.levelno >= logging.ERROR else "warning"
        fields: dict[str, Any] = {"library": record.name}
        if record.args:
            fields["text"] = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            fields["exc_info"] = record.exc_info[1]
        self._seldom.say(level, kind, **fields)
