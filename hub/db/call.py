"""Calling the database's functions from Python: typed answers, never a bare exception (domain 2.5).

The functions answer what a caller did wrong as JSON, `success` false with `error` and `message`; what the
database itself could not do comes back in the same form, as ``RPC_ERROR``.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
import psycopg
import structlog

from hub.db.connection import Connection, database_error_in_words
from hub.db.statements import query

_log = structlog.get_logger()

RPC_ERROR = "RPC_ERROR"
"""`FunctionAnswer.error` when the database itself failed."""


class FunctionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What every function says: `error` is a code of docs/data-model.md, `message` words for a person."""

    success: bool
    message: str = ""
    error: str | None = None


A = TypeVar("A", bound=FunctionAnswer)


def ask(conn: Connection, name: str, answer: type[A], **wanted: Any) -> A:
    """Call the function that query `name` calls, in a transaction of its own (or a savepoint of yours)."""
    try:
        with conn.transaction():
            row = conn.execute(query(name), wanted).fetchone()
        assert row is not None  # a function call always gives one row
        return msgspec.convert(next(iter(row.values())), answer)
    except (psycopg.Error, msgspec.ValidationError, UnicodeError) as error:
        _log.error("database call failed", call=name, error=database_error_in_words(error))
        return answer(success=False, error=RPC_ERROR, message=database_error_in_words(error))
