"""Calls the database's functions from Python: answers are typed, and errors are answers too (domain 2.5).

A function answers a caller's mistake as JSON: `success` false, with `error` and `message`. A failure of the
database itself has the same form, as ``RPC_ERROR``.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import msgspec
import psycopg
import structlog
from psycopg import sql

from hub.db.connection import Connection, database_error_in_words

_log = structlog.get_logger()

RPC_ERROR = "RPC_ERROR"
"""`FunctionAnswer.error` when the database itself failed."""


class FunctionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What every function answers: `error` is a code of docs/data-model.md, `message` is for a person."""

    success: bool
    message: str = ""
    error: str | None = None


A = TypeVar("A", bound=FunctionAnswer)


def call(conn: Connection, function: str, **arguments: Any) -> Any:
    """What a function returns. Its parameters are those of `arguments`, with ``p_`` before each name.

    :raises psycopg.Error: as any statement.
    """
    # as text, so that the signature decides the type of a number: one that is too large is refused as such
    values = {name: str(value) if type(value) is int else value for name, value in arguments.items()}
    row = conn.execute(_call(function, *arguments), values).fetchone()
    assert row is not None  # a function call always returns a row
    return row["value"]


def ask(conn: Connection, function: str, answer: type[A], **arguments: Any) -> A:
    """`call` a function, in a transaction of its own (or a savepoint of the caller's)."""
    try:
        with conn.transaction():
            return msgspec.convert(call(conn, function, **arguments), answer)
    except (psycopg.Error, msgspec.ValidationError, UnicodeError) as error:
        _log.error("database call failed", call=function, error=database_error_in_words(error))
        return answer(success=False, error=RPC_ERROR, message=database_error_in_words(error))


@functools.cache
def _call(function: str, *names: str) -> bytes:
    """The statement. `function` and `names` are words of our own code; they are quoted all the same."""
    parameters = [sql.SQL("{} => {}").format(sql.Identifier(f"p_{n}"), sql.Placeholder(n)) for n in names]
    return (
        sql.SQL("SELECT {}({}) AS value")
        .format(sql.Identifier(function), sql.SQL(", ").join(parameters))
        .as_bytes(None)
    )
