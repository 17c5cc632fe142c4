"""What is said of gates in the log, so that no gate fills it: a line of a gate and kind in a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

EVERY_S = 60.0
GATES_LIMIT = 1000
"""Of so many gates and kinds; should there ever be more, the rest are not told of."""


class _Last(msgspec.Struct):
    at: float
    held_back: int = 0


class Seldom:
    """Says the first of a kind at once, and with the next how many it did not say meanwhile.

    :param now: seconds, of a clock that never jumps.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._last: dict[tuple[str, str], _Last] = {}

    def say(self, log: Callable[..., Any], event: str, gate_id: str, count: int = 1, **about: object) -> None:
        """Log an event of a gate that happened `count` times, unless it was logged within the last minute."""
        now = self._now()
        last = self._last.get((event, gate_id))
        if last is None and len(self._last) >= GATES_LIMIT:
            return
        if last is not None and 0 <= now - last.at < EVERY_S:
            last.held_back += count
            return
        count += last.held_back if last is not None else 0
        self._last[event, gate_id] = _Last(at=now)
        log(event, gate_id=gate_id, **about, **({"count": count} if count > 1 else {}))
