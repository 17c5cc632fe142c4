"""Logs what a stranger can cause at most once a minute for each kind, with a count."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

MINUTE_S = 60.0
MOST_KINDS = 1000
"""More kinds than this program and a venue's gates make; any that a stranger invents beyond count as one."""
_LONGEST = 200


class _Kind:
    """When a kind was last logged, and how many came since."""

    def __init__(self, logged_at: float) -> None:
        self.logged_at = logged_at
        self.count = 0
        self.log: Callable[..., Any] | None = None


class Seldom:
    """Logs the first of a kind at once, and counts the rest of the minute in the next line. Thread-safe.

    :param clock: seconds, of any origin; it never jumps.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}

    def due(self, kind: str, count: int = 1) -> int:
        """`count` of a kind came. How many to log: those since the last line, or 0 if no line is due yet."""
        return self._count(kind, count, None)

    def say(self, log: Callable[..., Any], event: str, count: int = 1, **fields: Any) -> None:
        """Log an event that happened `count` times, or count it if it was logged within the minute.

        Each `gate_id` among the fields makes a kind of its own.

        :param log: a method of a logger.
        """
        line = partial(log, event, **{key: _short(value) for key, value in fields.items()})
        if counted := self._count(f"{event} {fields.get('gate_id', '')}", count, line):
            _write(line, counted)

    def look(self) -> None:
        """Log the counts of minutes that are over, in case no more of that kind comes."""
        now = self._clock()
        with self._lock:
            over = {name: kind for name, kind in self._kinds.items() if now - kind.logged_at >= MINUTE_S}
            for name, kind in over.items():
                del self._kinds[name]
                if kind.count:
                    self._kinds[name] = _Kind(now)
        for kind in over.values():
            if kind.count and kind.log is not None:
                _write(kind.log, kind.count)

    def _count(self, kind: str, count: int, line: Callable[..., Any] | None) -> int:
        now = self._clock()
        with self._lock:
            name = kind if kind in self._kinds or self._has_room(now) else "other"
            known = self._kinds.get(name)
            if known is not None and 0 <= now - known.logged_at < MINUTE_S:
                known.count += count
                known.log = line
                return 0
            self._kinds[name] = _Kind(now)
            return count + (known.count if known is not None else 0)

    def _has_room(self, now: float) -> bool:
        if len(self._kinds) >= MOST_KINDS:
            for name, kind in list(self._kinds.items()):
                if not kind.count and now - kind.logged_at >= MINUTE_S:
                    del self._kinds[name]
        return len(self._kinds) < MOST_KINDS


def _write(line: Callable[..., Any], count: int) -> None:
    line(**({"count": count} if count > 1 else {}))


def _short(value: Any) -> Any:
    return value[:_LONGEST] if isinstance(value, str) else value
