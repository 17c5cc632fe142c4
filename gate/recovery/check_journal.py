"""Checks whether a journal can be trusted, before it is opened and without changing anything.

SQLite reports broken pages, but not everything that matters here: it silently forgets the end of a
write-ahead log behind a spoiled frame, and does not know that numbers must have no gaps.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from gate.common.errors import StoreError
from gate.common.named_queries import load_queries
from gate.common.owned_files import open_own
from gate.recovery import sqlite_pages as pages
from gate.store.cache import LinkState
from gate.store.file_errors import DamagedError, file_error_in_words, reading_values
from gate.store.journal import migrate_journal
from gate.store.sqlite_tables import Database

SQL = load_queries("gate", "salvage.sql")
META = frozenset({"epoch", "gate_id", "last_seq", "pruned", "settled", "history_lost"})
"""All keys of the journal's table `meta`."""
LOOK_AGAIN_S = 0.05
"""Longer than it takes to write the frames of one commit."""
_WAL_MODE = b"\2\2"


def journal_fault(path: Path, gate_id: str, hub: LinkState) -> str | None:
    """What is damaged in a journal; None if it is sound.

    :param hub: what the hub acknowledged, as sync reports it.
    :raises StoreError: the disk does not let us tell, or the journal is another gate's.
    """
    try:
        return _fault_of_log(path) or _fault_of_file(path, gate_id, hub)
    except DamagedError as error:
        return str(error)


def _fault_of_log(path: Path) -> str | None:
    """Looks twice, because a command may be writing a frame right now."""
    if first_spoiled_in_wal(path) is None:
        return None
    time.sleep(LOOK_AGAIN_S)
    number = first_spoiled_in_wal(path)
    if number is None:
        return None
    where = "the header" if number < 0 else f"frame {number + 1}"
    return f"{path}-wal: {where} is spoiled, so everything committed since would be forgotten."


def first_spoiled_in_wal(path: Path) -> int | None:
    """As `gate.recovery.sqlite_pages.first_spoiled`, for the write-ahead log beside a database."""
    with file_error_in_words(path):
        try:
            file = os.fdopen(open_own(companion_file(path, "-wal"), os.O_RDONLY), "rb")
        except FileNotFoundError:
            return None
        with file:
            header = file.read(pages.WAL_HEADER)
            return pages.first_spoiled(header, _frames(iter(lambda: file.read(pages.FRAME), b"")))


def _frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Leaves out an incomplete frame at the end, which was never committed."""
    return (chunk for chunk in chunks if len(chunk) == pages.FRAME)


def companion_file(path: Path, end: str) -> Path:
    """The file SQLite keeps beside a database."""
    return path.with_name(path.name + end)


def _fault_of_file(path: Path, gate_id: str, hub: LinkState) -> str | None:
    with file_error_in_words(path), os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        mode = file.read(pages.HEADER)[18:20]
    if mode != _WAL_MODE:
        return f"{path}: its header is wrong, so its write-ahead log would be forgotten."
    with file_error_in_words(path), reading_values(path), contextlib.closing(_open(path)) as db:
        found = _structure(db) or _numbering(path, db, gate_id, hub)
    return f"{path}: {found}" if found else None


def _open(path: Path) -> sqlite3.Connection:
    """A read-only connection: it moves nothing from the log to the file, and closing it keeps the log."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0, isolation_level=None)


def _structure(db: sqlite3.Connection) -> str | None:
    (fault,) = db.execute(SQL["integrity"]).fetchone()
    if fault != "ok":
        return str(fault)
    ours = _objects()
    for name, sql in db.execute(SQL["objects"]):
        if ours.get(name) != sql:
            return f"the definition of {name} is not what was written"
    return None


@cache
def _objects() -> dict[str, str]:
    """The definitions of a journal's tables and indexes, as this version makes them."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate_journal(Database(db))
        return dict(db.execute(SQL["objects"]).fetchall())


def _numbering(path: Path, db: sqlite3.Connection, gate_id: str, hub: LinkState) -> str | None:
    never_used = None if hub.epoch is None else "it is empty, but sync knows of records"
    if not db.execute(SQL["objects"]).fetchall():
        return never_used  # the process was killed before it made the tables
    meta = dict(db.execute(SQL["meta"]).fetchall())
    rows, first, last, foreign = db.execute(SQL["numbering"], (meta.get("epoch"), gate_id, 0)).fetchone()
    if not rows and not {"epoch", "gate_id"} & set(meta) and meta.get("last_seq") == "0":
        return never_used  # the process was killed before it noted the gate
    _refuse_a_strangers(path, gate_id, meta, is_all_foreign=foreign == rows)
    is_ours = meta.get("gate_id") == gate_id and not foreign and not set(meta) - META
    if not (is_ours and is_numbered(meta, rows, first, last)):
        return "its numbering is not what was written"
    if db.execute(SQL["marks_of_nothing"]).fetchone()[0]:
        return "it has marks of turnstiles that opened for nobody"
    if hub_has(hub, meta["epoch"]) > last_number(meta):
        return (
            f"it ends at number {meta['last_seq']}, but the hub has {hub_has(hub, meta['epoch'])}: "
            "it lost its end, or was put back from a backup"
        )
    return None


def _refuse_a_strangers(path: Path, gate_id: str, meta: dict[str, str], *, is_all_foreign: bool) -> None:
    """A journal with nothing but another gate's records is not damaged, it is in the wrong place."""
    owner = meta.get("gate_id")
    if is_all_foreign and owner is not None and owner != gate_id:
        raise StoreError(
            f"{path}: belongs to gate '{owner}', this one is '{gate_id}'. "
            "Correct gate_id, or give this gate an empty state_dir."
        )


def is_numbered(meta: dict[str, str], rows: int, first: int, last: int) -> bool:
    """Whether all numbers are there that were not pruned; they have no gaps (data model 3.2).

    :param meta: the table `meta`.
    :param first: the lowest number; `last`: the highest; 0 if there are no rows.
    """
    if not {"epoch", "gate_id", "last_seq"} <= set(meta):
        return False
    pruned = meta.get("pruned", str(first - 1) if rows else meta["last_seq"])
    if not (meta["last_seq"].isdecimal() and pruned.isdecimal()):
        return False
    if not rows:
        return pruned == meta["last_seq"]
    return (int(pruned) + 1, last_number(meta), last - first + 1) == (first, last, rows)


def hub_has(hub: LinkState, epoch: str) -> int:
    """Up to which number of an epoch the hub has the records, as sync reports it."""
    return max(hub.acked_seq, hub.hub_seq) if hub.epoch == epoch else 0


def last_number(meta: dict[str, str]) -> int:
    """The newest number that was given."""
    return int(meta["last_seq"])
