"""Whether a journal can be trusted: looked at before it is opened, and nothing of it is changed.

SQLite itself tells of a page that is none, but not of everything that matters here: it forgets the end
of a write-ahead log with a spoiled frame without a word, and knows nothing of numbers without gaps.
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
"""All that is ever noted in the journal's table `meta`."""
LOOK_AGAIN_S = 0.05
"""Longer than the frames of one commit take to be written."""
_WAL_MODE = b"\2\2"


def journal_fault(path: Path, gate_id: str, hub: LinkState) -> str | None:
    """What is damaged about a journal; None: it is sound.

    :param hub: what the hub acknowledged, by sync's account.
    :raises StoreError: that cannot be told (disk), or the journal is another gate's.
    """
    try:
        return _spoiled_log(path) or _in_file(path, gate_id, hub)
    except DamagedError as error:
        return str(error)


def _spoiled_log(path: Path) -> str | None:
    """A command beside the door may be writing just now: what is spoiled then is so only once."""
    if first_spoiled_in_wal(path) is None:
        return None
    time.sleep(LOOK_AGAIN_S)
    number = first_spoiled_in_wal(path)
    if number is None:
        return None
    where = "the header" if number < 0 else f"frame {number + 1}"
    return f"{path}-wal: {where} is spoiled, and what was committed since would be forgotten."


def first_spoiled_in_wal(path: Path) -> int | None:
    """As `gate.recovery.sqlite_pages.first_spoiled`, of the write-ahead log beside a database."""
    with file_error_in_words(path):
        try:
            file = os.fdopen(open_own(companion(path, "-wal"), os.O_RDONLY), "rb")
        except FileNotFoundError:
            return None
        with file:
            header = file.read(pages.WAL_HEADER)
            return pages.first_spoiled(header, _frames(iter(lambda: file.read(pages.FRAME), b"")))


def _frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """A frame that is not all there was never committed."""
    return (chunk for chunk in chunks if len(chunk) == pages.FRAME)


def companion(path: Path, end: str) -> Path:
    """The file SQLite keeps beside a database."""
    return path.with_name(path.name + end)


def _in_file(path: Path, gate_id: str, hub: LinkState) -> str | None:
    with file_error_in_words(path), os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        mode = file.read(pages.HEADER)[18:20]
    if mode != _WAL_MODE:
        return f"{path}: its header is none; its write-ahead log would be forgotten."
    with file_error_in_words(path), reading_values(path), contextlib.closing(_open(path)) as db:
        found = _structure(db) or _numbering(path, db, gate_id, hub)
    return f"{path}: {found}" if found else None


def _open(path: Path) -> sqlite3.Connection:
    """Read only: such a connection takes nothing over from the log, and leaves the log when it closes."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0, isolation_level=None)


def _structure(db: sqlite3.Connection) -> str | None:
    (told,) = db.execute(SQL["integrity"]).fetchone()
    if told != "ok":
        return str(told)
    ours = _objects()
    for name, sql in db.execute(SQL["objects"]):
        if ours.get(name) != sql:
            return f"the definition of {name} is not what was written"
    return None


@cache
def _objects() -> dict[str, str]:
    """Tables and indexes of a journal, as this version makes them."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate_journal(Database(db))
        return dict(db.execute(SQL["objects"]).fetchall())


def _numbering(path: Path, db: sqlite3.Connection, gate_id: str, hub: LinkState) -> str | None:
    never_used = None if hub.epoch is None else "nothing is in it, and sync knows of records"
    if not db.execute(SQL["objects"]).fetchall():
        return never_used  # begun, and killed before it had tables
    meta = dict(db.execute(SQL["meta"]).fetchall())
    rows, first, last, foreign = db.execute(SQL["numbering"], (meta.get("epoch"), gate_id, 0)).fetchone()
    if not rows and not {"epoch", "gate_id"} & set(meta) and meta.get("last_seq") == "0":
        return never_used  # killed before it knew whose it is
    _refuse_a_strangers(path, gate_id, meta, is_all_foreign=foreign == rows)
    is_ours = meta.get("gate_id") == gate_id and not foreign and not set(meta) - META
    if not (is_ours and is_numbered(meta, rows, first, last)):
        return "its numbering is not what was written"
    if db.execute(SQL["marks_of_nothing"]).fetchone()[0]:
        return "it tells of turnstiles opened for nobody"
    if hub_has(hub, meta["epoch"]) > last_number(meta):
        return (
            f"it ends at number {meta['last_seq']}, and the hub has {hub_has(hub, meta['epoch'])}: "
            "it lost its end, or was put back from a backup"
        )
    return None


def _refuse_a_strangers(path: Path, gate_id: str, meta: dict[str, str], *, is_all_foreign: bool) -> None:
    """A journal that is another gate's from end to end is not damaged but in the wrong place."""
    owner = meta.get("gate_id")
    if is_all_foreign and owner is not None and owner != gate_id:
        raise StoreError(
            f"{path}: belongs to gate '{owner}', this one is '{gate_id}'. "
            "Correct gate_id, or give this gate an empty state_dir."
        )


def is_numbered(meta: dict[str, str], rows: int, first: int, last: int) -> bool:
    """Whether all numbers are there that were not pruned: they have no gaps (data model 3.2).

    :param meta: what is noted of the numbering.
    :param first: the lowest number there is, `last`: the highest; 0 if there are no rows.
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
    """Up to which number of a numbering the hub has the records, by sync's account."""
    return max(hub.acked_seq, hub.hub_seq) if hub.epoch == epoch else 0


def last_number(meta: dict[str, str]) -> int:
    """The newest number given."""
    return int(meta["last_seq"])
