"""Rows of a feed as rows of the cache's tables."""

from __future__ import annotations

import sqlite3

import msgspec

from gate.model import Admission, Event, FeedRow, Removed, Status, Table
from gate.sqlfile import load

SQL = load("sync", "cache.sql")


def as_json(value: msgspec.Struct) -> str:
    """A value as the door reads it back."""
    return msgspec.json.encode(value).decode()


def put(db: sqlite3.Connection, row: FeedRow) -> None:
    """Write one row; what was there under its key is replaced. Raises `sqlite3.Error`."""
    match row:
        case Admission():
            entered = row.status is Status.CHECKED_IN
            db.execute(
                SQL["put_admission"],
                (row.code_hash, row.event_id, row.reservation_id, entered, as_json(row)),
            )
        case Table():
            db.execute(SQL["put_table"], (row.reservation_id, row.event_id, as_json(row)))
        case Event():
            _put_event(db, row)
        case Removed():
            db.execute(SQL["remove_admission"], (row.code_hash, row.event_id))


def _put_event(db: sqlite3.Connection, row: Event) -> None:
    """An event in the feed is one this gate serves, or it would not be fetched."""
    db.execute(SQL["put_event"], (row.event_id, as_json(msgspec.structs.replace(row, served=True))))
