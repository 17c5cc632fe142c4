"""Calls the database's functions from Python: answers are typed, and errors are answers too (domain 2.5).

A function answers a caller's mistake as JSON: `success` false, with `error` and `message`. A failure of the
database itself has the same form, as ``RPC_ERROR``.
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
    """What every function answers: `error` is a code of docs/data-model.md, `message` is for a person."""

    success: bool
    message: str = ""
    error: str | None = None


A = TypeVar("A", bound=FunctionAnswer)


def ask(conn: Connection, name: str, answer: type[A], **wanted: Any) -> A:
    """Call the function in query `name`, in a transaction of its own (or a savepoint of the caller's)."""
    try:
        with conn.transaction():
            row = conn.execute(query(name), wanted).fetchone()
        assert row is not None  # a function call always returns a row
        return msgspec.convert(next(iter(row.values())), answer)
    except (psycopg.Error, msgspec.ValidationError, UnicodeError) as error:
        _log.error("database call failed", call=name, error=database_error_in_words(error))
        return answer(success=False, error=RPC_ERROR, message=database_error_in_words(error))
