"""A message that cannot be read is logged, once a minute and kind, and stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from gate.common.seldom import Seldom
from sync.broker.mqtt import Message
from sync.wire.messages import WireError

M = TypeVar("M")


def read_or_log(message: M, use: Callable[[M], None], seldom: Seldom, kind: str = "") -> None:
    """Use a message, if it can be read.

    :param kind: of what the log is told once a minute; if nothing is said, what the topic ends with.
    """
    try:
        use(message)
    except (WireError, OverflowError) as error:  # a number may be larger than SQLite's
        where = message.topic if isinstance(message, Message) else type(message).__name__
        if count := seldom.due(kind or where.rsplit("/", 1)[-1]):
            structlog.get_logger().warning(
                "message not understood", topic=where, error=str(error), count=count
            )
