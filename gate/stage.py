"""Which screen is on: the answer to a guest for its time, else what the gate is. Pure."""

from __future__ import annotations

from gate.model import Value
from gate.screen import Screen, stays


class Stage(Value, frozen=True):
    """`until_ms`: monotonic time at which the answer gives way, None if nothing is being answered."""

    until_ms: int | None = None
    shown: Screen | None = None


def answer(screen: Screen, now_ms: int) -> Stage:
    """A new scan replaces whatever is on at once (domain 2.4)."""
    seconds = stays(screen)
    return Stage(until_ms=None if seconds is None else now_ms + int(seconds * 1000), shown=screen)


def is_free(stage: Stage, now_ms: int) -> bool:
    """Whether the answer has had its time."""
    return stage.until_ms is None or now_ms >= stage.until_ms
