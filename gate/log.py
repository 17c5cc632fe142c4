"""One line per event to stderr, where journald takes it."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog


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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    # contextvars do not reach other threads: what every line carries is added by a processor
    structlog.configure(processors=[_carry(always), *structlog.get_config()["processors"]])


def _carry(always: dict[str, str]) -> structlog.typing.Processor:
    def add(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**always, **event}

    return add
