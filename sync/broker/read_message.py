"""A message that is none is told of and stops nothing; however many come, the log is told once a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from gate.clock import Clock
from sync.broker.mqtt import Message
from sync.wire.messages import WireError

M = TypeVar("M")

TELL_MS = 60_000
MOST_KINDS = 400
"""More than this program and a venue's gates make; what a broker makes up beyond that is told together."""


class Rarely:
    """When the log is told of something that may come in any number. Used from one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_ms: dict[str, int] = {}
        self._counts: dict[str, int] = {}

    def due(self, kind: str, count: int = 1) -> int:
        """So many of a kind came: how many since the log was last told of it, or 0 if it is not time yet."""
        if kind not in self._due_ms and len(self._due_ms) >= MOST_KINDS:
            kind = "other"
        counted = self._counts.get(kind, 0) + count
        now_ms = self._clock.now().monotonic_ms
        if now_ms < self._due_ms.get(kind, now_ms):
            self._counts[kind] = counted
            return 0
        self._due_ms[kind], self._counts[kind] = now_ms + TELL_MS, 0
        return counted


def understand(message: M, use: Callable[[M], None], rarely: Rarely, kind: str = "") -> None:
    """Use a message, if it can be read.

    :param kind: of what the log is told once a minute; if nothing is said, what the topic ends with.
    """
    try:
        use(message)
    except (WireError, OverflowError) as error:  # a number may be larger than SQLite's
        where = message.topic if isinstance(message, Message) else type(message).__name__
        if count := rarely.due(kind or where.rsplit("/", 1)[-1]):
            structlog.get_logger().warning(
                "message not understood", topic=where, error=str(error), count=count
            )
