"""A message that cannot be read is logged, once a minute for each kind, and stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from gate.common.seldom import Seldom
from sync.broker.mqtt import Message
from sync.wire.messages import WireError

M = TypeVar("M")


def read_or_log(message: M, use: Callable[[M], None], seldom: Seldom, kind: str = "") -> None:
    """Handle a message, or log that it cannot be read.

    :param use: handles it; raises `WireError` if it cannot be read.
    :param kind: messages of one kind are logged once a minute; by default the last level of the topic.
    """
    try:
        use(message)
    except (WireError, OverflowError) as error:  # a number may be larger than SQLite's
        where = message.topic if isinstance(message, Message) else type(message).__name__
        if count := seldom.due(kind or where.rsplit("/", 1)[-1]):
            structlog.get_logger().warning("message rejected", topic=where, error=str(error), count=count)
