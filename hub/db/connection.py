"""Connections to Postgres, and what its errors mean for the hub."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from hub.errors import DatabaseDownError

Connection = psycopg.Connection[DictRow]
T = TypeVar("T")

ATTEMPTS = 5
"""Deadlocks and serialization failures pass; a caller that loses five times in a row gets the error."""

LOCK_SECONDS = 5
"""Longest wait for a lock at a time. Then the wait is logged, and the work tried again."""

_LIVELY: dict[str, str | int] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
    "application_name": "maguey-hub",
}
"""They notice a dead network within about ten seconds. The defaults need two hours, or a quarter of an hour
with a query under way (libpq; tcp(7), tcp_retries2)."""

_OUTAGE_CLASSES = {"08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"}
"""SQLSTATE classes that say nothing about the data: connection, rights, schema, locks, resources.

Source: PostgreSQL manual, appendix A.
"""

_NOT_MIGRATED = {"42883", "42P01", "42703"}
"""Function, table or column missing (PostgreSQL manual, appendix A)."""


def conninfo(dsn: str) -> str:
    """`dsn` with the hub's timeouts, unless it sets its own."""
    known = conninfo_to_dict(dsn)
    wanted = {key: value for key, value in _LIVELY.items() if key not in known}
    # times are written and read in UTC, whatever the server or the user sets
    own = known.get("options") or ""
    wanted["options"] = f"-c lock_timeout={LOCK_SECONDS}s {own} -c timezone=UTC"
    return make_conninfo(dsn, **wanted)


def connect(dsn: str, autocommit: bool = False) -> Connection:
    """Open a connection whose rows are dicts.

    :raises DatabaseDownError: Postgres does not answer or refuses; the message says what to do.
    """
    try:
        return psycopg.connect(conninfo(dsn), autocommit=autocommit, row_factory=dict_row)
    except psycopg.Error as error:
        raise DatabaseDownError(_in_words(dsn, error)) from None


def is_outage(error: BaseException) -> bool:
    """Whether to try again later, because the database's state is to blame and not the data."""
    if isinstance(error, DatabaseDownError):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        # raised by psycopg before the server saw it: a value Postgres cannot hold is no outage
        return not isinstance(error, psycopg.DataError)
    return error.sqlstate[:2] in _OUTAGE_CLASSES


def is_conflict(error: BaseException) -> bool:
    """Whether a retry may succeed at once: a deadlock or a serialization failure (class 40)."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith("40")


def retry_conflicts(transact: Callable[[], T]) -> T:
    """Run a transaction, and again if another writer was in the way, at most `ATTEMPTS` times in all.

    :param transact: begins and ends the transaction, so that a failed one leaves nothing behind.
    :raises psycopg.Error: any other error at once, or the last conflict.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return transact()
        except psycopg.Error as error:
            if not is_conflict(error):
                raise
            structlog.get_logger().info("transaction retried", attempt=attempt, error=one_line(error))
    return transact()


def database_error_in_words(error: BaseException) -> str:
    """Describe an outage for the log. A database without our tables gets words of its own."""
    if getattr(error, "sqlstate", None) in _NOT_MIGRATED:
        return f"the database is not migrated: run 'maguey-hub migrate' ({one_line(error)})"
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return (
            "another session holds a lock this needs; the log of 'maguey-hub ingest' says whose "
            f"({one_line(error)})"
        )
    return one_line(error)


def one_line(error: BaseException) -> str:
    """An error's first line: Postgres adds several of context."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _in_words(dsn: str, error: psycopg.Error) -> str:
    known = conninfo_to_dict(dsn)
    host, port = known.get("host", "local socket"), known.get("port", 5432)
    place = f"database '{known.get('dbname', '')}' at {host}:{port}"
    if "FATAL:" in str(error):  # said by the server, in every language
        return (
            f"Postgres runs but refuses the login to {place}: {one_line(error)}. "
            "Correct [postgres] dsn, or create the user and the database."
        )
    return f"Cannot reach {place}: {one_line(error)}. Start Postgres or correct [postgres] dsn."
