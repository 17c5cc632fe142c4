"""Writes rows of a feed into the cache's tables."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable

import msgspec

from gate.common.named_queries import load_queries
from gate.rules.model import Admission, Event, FeedRow, Removed, Status, Table
from sync.cache.digest import of_row

SQL = load_queries("sync", "cache.sql")
Columns = tuple[str | int | None, ...]


def as_json(value: msgspec.Struct) -> str:
    """A value as the door reads it back."""
    return msgspec.json.encode(value).decode()


def put(db: sqlite3.Connection, row: FeedRow) -> None:
    """Write one row, replacing the one with its key. Raises `sqlite3.Error`."""
    db.execute(SQL[_statement(row)], _columns(row))


def put_counted(db: sqlite3.Connection, row: FeedRow) -> None:
    """Write one row and update the sums of the nights it leaves and joins. Raises `sqlite3.Error`."""
    counting, key = _counting(row)
    db.execute(SQL[counting], {"key": key, "sign": -1})
    put(db, row)
    db.execute(SQL[counting], {"key": key, "sign": 1})


def put_all(db: sqlite3.Connection, rows: Iterable[FeedRow]) -> None:
    """Write rows in order, one at a time, without holding them in memory. Raises `sqlite3.Error`."""
    for statement, alike in itertools.groupby(rows, _statement):
        db.executemany(SQL[statement], map(_columns, alike))


def _statement(row: FeedRow) -> str:
    match row:
        case Admission():
            return "put_admission"
        case Table():
            return "put_table"
        case Event():
            return "put_event"
        case Removed():
            return "remove_admission"


def _counting(row: FeedRow) -> tuple[str, str]:
    match row:
        case Admission() | Removed():
            return "count_admission", row.code_hash
        case Table():
            return "count_table", row.reservation_id
        case Event():
            return "count_event", row.event_id


def _columns(row: FeedRow) -> Columns:
    match row:
        case Admission():
            entered = row.status is Status.CHECKED_IN
            return row.code_hash, row.event_id, row.reservation_id, entered, as_json(row), of_row(row)
        case Table():
            return row.reservation_id, row.event_id, as_json(row), of_row(row)
        case Event():
            # this gate serves it, or would not fetch its feed
            return row.event_id, as_json(msgspec.structs.replace(row, served=True)), of_row(row)
        case Removed():
            return row.code_hash, row.event_id
