"""Connections to Postgres, and what its errors mean for the hub."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from hub.errors import DatabaseDownError

Connection = psycopg.Connection[DictRow]

_LIVELY: dict[str, str | int] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "application_name": "maguey-hub",
}
"""So that a silent network is noticed in about ten seconds, not in two hours (libpq defaults)."""

_OUTAGE_CLASSES = {"08", "25", "28", "3D", "40", "42", "53", "55", "57", "58"}
"""SQLSTATE classes that say nothing about the data: connection, rights, schema, locks, resources.

Source: PostgreSQL manual, appendix A.
"""


def conninfo(dsn: str) -> str:
    """`dsn` with the hub's timeouts, where it does not set its own."""
    known = conninfo_to_dict(dsn)
    return make_conninfo(dsn, **{key: value for key, value in _LIVELY.items() if key not in known})


def connect(dsn: str, autocommit: bool = False) -> Connection:
    """Open a connection whose rows are dicts.

    :raises DatabaseDownError: Postgres does not answer or refuses; the message says what to do.
    """
    try:
        return psycopg.connect(conninfo(dsn), autocommit=autocommit, row_factory=dict_row)
    except psycopg.Error as error:
        raise DatabaseDownError(_in_words(dsn, error)) from None


def is_outage(error: BaseException) -> bool:
    """Whether to try again later: the database's state is to blame, not the data."""
    if isinstance(error, DatabaseDownError):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    return error.sqlstate is None or error.sqlstate[:2] in _OUTAGE_CLASSES


def one_line(error: BaseException) -> str:
    """An error's first line: Postgres adds context over several."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _in_words(dsn: str, error: psycopg.Error) -> str:
    known = conninfo_to_dict(dsn)
    host, port = known.get("host", "local socket"), known.get("port", 5432)
    place = f"database '{known.get('dbname', '')}' at {host}:{port}"
    return f"Cannot reach {place}: {one_line(error)}. Start Postgres or correct [postgres] dsn."
