"""A message that is none is told of and stops nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog

from sync.link import Message
from sync.wire import WireError

M = TypeVar("M")


def understand(message: M, use: Callable[[M], None], may_tell: Callable[[], bool] = lambda: True) -> None:
    """Use a message, if it can be read.

    :param may_tell: whether the log may be told; asked when there is something to tell.
    """
    try:
        use(message)
    except (WireError, OverflowError) as error:  # a number may be larger than SQLite's
        where = message.topic if isinstance(message, Message) else type(message).__name__
        if may_tell():
            structlog.get_logger().warning("message not understood", topic=where, error=str(error))
