"""One line per event to stderr, where journald takes it.

A line that cannot be written (the disk behind stderr is full, its reader is gone) is dropped. No part of
the gate may stop because of it, least of all the thread that moves the turnstile.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Literal, TextIO, cast

from gate.common.without import without

with without("rich"):  # it would draw tracebacks; journald gets plain ones
    import structlog


class LossyStream:
    """As much of a text stream as a logger needs; never raises.

    :param stream: None if there is none, as in a process that was started with stderr closed.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write it, or drop it."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed, or not encodable
            if self._stream is not None:
                self._stream.write(text)

    def flush(self) -> None:
        """Hand on what is buffered, if possible."""
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()


def configure(style: Literal["text", "json"], **always: str) -> None:
    """Set up logging once per process.

    :param always: fields every line carries, such as the service and the gate.
    """
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, LossyStream(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    # contextvars do not reach other threads, so a processor adds the fields that every line carries
    structlog.configure(processors=[_carry(always), *structlog.get_config()["processors"]])


def _carry(always: dict[str, str]) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**always, **event}

    return add
