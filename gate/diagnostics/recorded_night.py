"""Reads a recorded night for `gate.diagnostics.replay` from the gate's journal or a copy. Writes nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from gate.common.errors import CallError, StoreError
from gate.common.named_queries import load_queries
from gate.config import GateFile
from gate.diagnostics.replay import Replayed, replay
from gate.rules.decide import Policy
from gate.rules.model import Event, ScanRecord
from gate.store.cache import CacheReader
from gate.store.rows import COLUMNS, from_row

SQL = load_queries("gate", "replay.sql")


def replay_night(config: GateFile, journal: Path, event: str | None = None) -> Replayed:
    """Decide a journal's scans again, with this gate's cache and policy.

    :param event: code or id of a night: only its scans are compared, with the past of all.
    :raises StoreError: journal or cache cannot be read.
    :raises CallError: neither knows such a night.
    """
    cache = CacheReader(config.cache)
    policy = Policy(unknown=config.door.unknown, passback_window=config.door.passback_window)
    try:
        with cache.view(), _records(journal) as records:
            event_id = None if event is None else _night(event, cache.events(), records)
            return replay(records, cache.find, cache.events(), policy, event_id)
    finally:
        cache.close()


def _night(name: str, events: Iterable[Event], records: Iterable[ScanRecord]) -> str:
    """The id of a night: of one in the cache by code or id, of one that only the journal still has by id."""
    known = {event.event_id for event in events if name.lower() in (event.code.lower(), event.event_id)}
    if known:
        return known.pop()
    if not any(record.event_id == name for record in records):
        raise CallError(f"--event: no night {name[:40]!r} in guest list or journal. Give its code or its id.")
    return name


class _Rows:
    """A journal's records, read from the file on every iteration: a year of them does not fit into memory."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __iter__(self) -> Iterator[ScanRecord]:
        return map(from_row, self._db.execute(SQL["records"].format(columns=", ".join(COLUMNS))))


@contextlib.contextmanager
def _records(path: Path) -> Iterator[Iterable[ScanRecord]]:
    if not path.exists():
        raise StoreError(f"{path}: there is no journal here. Give one with --journal FILE.")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)) as db:
            yield _Rows(db)
    except (sqlite3.Error, msgspec.ValidationError, ValueError) as error:
        raise StoreError(
            f"{path}: {error}. Is it a whole journal? A copy needs its -wal beside it."
        ) from None
