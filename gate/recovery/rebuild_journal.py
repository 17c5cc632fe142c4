"""Builds a new journal from what can still be read of a damaged one.

Rows are read page by page, from the database and from every frame of its write-ahead log, older versions of
a page included: rows never change, so any intact version will do. An admission whose row is gone may still
be in the index of codes; it is then remembered, and refuses the ticket.

Numbers have no gaps, so we can tell whether anything is missing. If not, the numbering goes on. Otherwise a
new epoch begins with all rows that were found, under their old `scan_id`, so that the hub does not keep
anything twice. See docs/adr/0012-a-damaged-journal.md.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from gate.common.errors import StoreError
from gate.common.value import Value
from gate.recovery import sqlite_pages as pages
from gate.recovery.check_journal import (
    META,
    SQL,
    companion_file,
    first_spoiled_in_wal,
    hub_has,
    is_numbered,
    last_number,
)
from gate.store.cache import LinkState
from gate.store.file_errors import file_error_in_words
from gate.store.journal import SQL as JOURNAL
from gate.store.journal import connect_and_migrate
from gate.store.rows import COLUMNS, PAGE, from_row

PUT_ROW = SQL["put_row"].format(columns=", ".join(COLUMNS), places=", ".join("?" * len(COLUMNS)))
_SEQ, _GATE = COLUMNS.index("seq"), COLUMNS.index("gate_id")
_HASH = re.compile(r"[0-9a-f]{64}")
_LARGEST = 1 << 53


class Salvaged(Value, frozen=True):
    """The result. `remembered`: how many admissions are known only from an index."""

    epoch: str
    rows: int
    remembered: int
    history_lost: bool


def rebuild(  # noqa: PLR0913 – what is known of the old, and what is needed for the new
    old: Path, new: Path, *, gate_id: str, new_epoch: str, hub: LinkState, now: datetime
) -> Salvaged:
    """Make the file `new`, complete and on the disk, from what is left of `old`, which is only read.

    Needs memory for one page, not for the journal. Every attempt starts from the beginning.

    :param old: a journal; it may be missing.
    :param new_epoch: an epoch that was never used.
    :raises StoreError: the new file cannot be written, or the old one is another gate's.
    """
    with file_error_in_words(new):
        discard(new)
        try:
            with contextlib.closing(connect_and_migrate(new)) as db:
                for pragma in ("journal_mode=off", "synchronous=off", "temp_store=memory"):
                    db.execute(f"pragma {pragma}")  # nobody uses this file before it is complete
                db.execute("begin immediate")
                with _indexed_afterwards(db):
                    salvaged = _Salvage(db, gate_id).run(old, new_epoch, hub, now)
                db.execute("commit")
                db.execute("pragma journal_mode=wal")
            flush(new)
        except BaseException:
            discard(new)
            raise
    return salvaged


@contextlib.contextmanager
def _indexed_afterwards(db: sqlite3.Connection) -> Iterator[None]:
    """Make the indexes at the end: that takes a fraction of the time of updating them row by row."""
    indexes = dict(db.execute(SQL["indexes"]).fetchall())
    for name in indexes:
        db.execute(f"drop index {name}")
    yield
    for sql in indexes.values():
        db.execute(sql)


def discard(path: Path) -> None:
    """Remove a database and its companions."""
    for end in ("", "-wal", "-shm", "-journal"):
        companion_file(path, end).unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class _Salvage:
    """One attempt, in one transaction of the new journal."""

    def __init__(self, db: sqlite3.Connection, gate_id: str) -> None:
        self._db = db
        self._gate_id = gate_id
        self._meta: dict[str, str] = {}
        self._stranger: str | None = None

    def run(self, old: Path, new_epoch: str, hub: LinkState, now: datetime) -> Salvaged:
        self._db.execute(SQL["found_code"])
        self._read_all(old)
        self._refuse_a_strangers(old)
        # a file with a spoiled log may look complete although it holds less than was committed
        is_whole = old.exists() and first_spoiled_in_wal(old) is None and self._is_complete(hub)
        remembered = self._remember(int(self._meta["pruned"]) if is_whole else 0, now)
        rows = self._continue_epoch() if is_whole else self._begin_epoch(new_epoch)
        self._db.execute(SQL["count_all_as_opened"])
        epoch = self._meta["epoch"] if is_whole else new_epoch
        return Salvaged(epoch=epoch, rows=rows, remembered=remembered, history_lost=not is_whole)

    def _read_all(self, old: Path) -> None:
        for page in _pages(old):
            for cell in pages.cells(page):
                self._keep(cell)

    def _keep(self, cell: pages.Cell) -> None:
        values = cell.values
        if len(values) == len(COLUMNS) and cell.rowid is not None:
            self._keep_row(cell.rowid, values)
        elif len(values) == 2 and cell.rowid is None:
            first, second = values
            if isinstance(first, str) and isinstance(second, int) and _HASH.fullmatch(first):
                self._db.execute(SQL["put_found_code"], (first, second))
            elif isinstance(first, str) and isinstance(second, str):
                self._keep_note(first, second)

    def _keep_row(self, rowid: int, values: tuple[Any, ...]) -> None:
        """Keep a row if it is a record of this gate. Its number is the cell's rowid, not among its values."""
        row = (*values[:_SEQ], rowid, *values[_SEQ + 1 :])
        try:
            record = from_row(row)
        except (msgspec.ValidationError, ValueError, TypeError, AttributeError):
            return
        if record.gate_id != self._gate_id:
            self._stranger = record.gate_id
        elif 0 < rowid < _LARGEST:
            self._db.execute(PUT_ROW, row)

    def _keep_note(self, key: str, value: str) -> None:
        """Keep a note of `meta`, or a remembered admission. The newest version of a note is read last."""
        if key in META:
            self._meta[key] = value
        elif _HASH.fullmatch(key):
            with contextlib.suppress(ValueError):
                datetime.fromisoformat(value)
                self._db.execute(SQL["put_remembered"], (key, value))

    def _refuse_a_strangers(self, old: Path) -> None:
        if self._stranger is not None and not self._rows():
            raise StoreError(
                f"{old}: is damaged, and belongs to gate '{self._stranger}', this one is '{self._gate_id}'. "
                "Correct gate_id, or give this gate an empty state_dir."
            )

    def _rows(self) -> int:
        ((rows,),) = self._db.execute(SQL["rows"]).fetchall()
        return int(rows)

    def _is_complete(self, hub: LinkState) -> bool:
        """Whether everything is there that was ever written and not pruned."""
        meta = self._meta
        if meta.get("gate_id") != self._gate_id or not meta.get("pruned", "").isdecimal():
            return False
        asked = (meta.get("epoch"), self._gate_id, int(meta["pruned"]))
        rows, first, last, foreign = self._db.execute(SQL["numbering"], asked).fetchone()
        if foreign or not is_numbered(meta, rows, first, last):
            return False
        return hub_has(hub, meta["epoch"]) <= last_number(meta)

    def _remember(self, pruned: int, now: datetime) -> int:
        return self._db.execute(SQL["remember"], {"pruned": pruned, "now": now.isoformat()}).rowcount

    def _continue_epoch(self) -> int:
        """Drop rows that were pruned long ago and are still on unused pages."""
        self._db.execute(SQL["drop_pruned"], (int(self._meta["pruned"]),))
        self._note(self._meta)
        return self._rows()

    def _begin_epoch(self, epoch: str) -> int:
        self._db.execute(SQL["take_numbers_away"], {"epoch": epoch})
        self._db.execute(SQL["number_anew"])
        rows = self._rows()
        self._note(
            {
                "epoch": epoch,
                "gate_id": self._gate_id,
                "last_seq": str(rows),
                "pruned": "0",
                "history_lost": str(rows),
            }
        )
        return rows

    def _note(self, notes: dict[str, str]) -> None:
        self._db.executemany(JOURNAL["meta_set"], list(notes.items()))


def _pages(path: Path) -> Iterator[bytes]:
    """Every page of a database and its log, the newest version of each page last."""
    yield from _chunks(path, 0, PAGE)
    for frame in _chunks(companion_file(path, "-wal"), pages.WAL_HEADER, pages.FRAME):
        yield frame[pages.FRAME_HEADER :]


def _chunks(path: Path, start: int, size: int) -> Iterator[bytes]:
    """A file in pieces; a piece that the card does not deliver is empty."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        for at in range(start, os.fstat(file).st_size, size):
            chunk = b""
            with contextlib.suppress(OSError):
                chunk = os.pread(file, size, at)
            yield chunk
    finally:
        os.close(file)
