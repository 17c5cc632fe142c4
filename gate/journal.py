"""The journal: every scan, durable before the turnstile moves (data model 3.2).

One SQLite file in WAL mode with ``synchronous=FULL``: only that survives a power cut at the
last commit. A scan takes its turn in one ``BEGIN IMMEDIATE`` transaction, inside which the
past of its code is read, the verdict made and the row written; leaving it commits.

Beside each admission stands whether its turnstile was opened: `mark_opening` before the pulse,
`settle` after it. See docs/adr/0011-when-an-admission-counts.md for why both.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from gate.errors import StoreError
from gate.model import Entry, Now, ScanRecord
from gate.rows import COLUMNS, from_row, moment, to_row
from gate.sqlfile import load

SQL = load("gate", "journal.sql")
INSERT = f"insert into scans ({', '.join(COLUMNS)}) values ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_MIGRATIONS = Migrations("journal")


@_MIGRATIONS()
def first(db: Database) -> None:
    """The tables as they first were."""
    for statement in SQL["schema"].split(";\n"):
        db.execute(statement)


@_MIGRATIONS()
def openings(db: Database) -> None:
    """Which turnstiles were opened. What was released before this was known counts as opened."""
    for statement in SQL["openings"].split(";\n"):
        db.execute(statement)


class Turn:
    """One scan's transaction."""

    def __init__(self, db: sqlite3.Connection, epoch: str) -> None:
        self._db = db
        self._epoch = epoch

    def entries(self, code_hash: str) -> list[Entry]:
        """This gate's own admissions of a code that were not annulled, oldest first."""
        return _entries(self._db.execute(SQL["entries_of_code"], (code_hash,)).fetchall())

    def annulled(self, code_hash: str) -> list[Entry]:
        """This gate's own admissions of a code that were annulled: whoever else knows them is behind."""
        return _entries(self._db.execute(SQL["annulled_of_code"], (code_hash,)).fetchall())

    def append(self, record: ScanRecord) -> ScanRecord:
        """Write a record; it comes back with its `epoch` and `seq`."""
        ((seq,),) = self._db.execute(SQL["next_seq"]).fetchall()
        placed = msgspec.structs.replace(record, epoch=self._epoch, seq=seq)
        self._db.execute(INSERT, to_row(placed))
        return placed


def _entries(rows: list[tuple[str, str]]) -> list[Entry]:
    try:
        return [Entry(at=moment(at), gate=gate) for at, gate in rows]
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"the journal holds a time that is none: {error}. Run a check of the disk."
        ) from None


class Journal:
    """The door's journal file.

    :param new_epoch: id of a numbering that has never been used, taken when the file is new.
    :raises StoreError: the file cannot be opened, made or read, or belongs to another gate.
    """

    def __init__(self, path: Path, gate_id: str, new_epoch: str) -> None:
        self.path = path
        with _in_words(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = connect(path)
            database = Database(self._db)
            _MIGRATIONS.apply(database)
            self.epoch = self._identify(gate_id, new_epoch)
            self._inode = path.stat().st_ino

    def _identify(self, gate_id: str, new_epoch: str) -> str:
        self._db.execute("begin immediate")
        known = {key: value for key, value in self._db.execute("select key, value from meta")}
        if "epoch" not in known:
            self._db.execute(SQL["meta_set"], ("epoch", new_epoch))
            self._db.execute(SQL["meta_set"], ("gate_id", gate_id))
        self._db.execute("commit")
        owner = known.get("gate_id", gate_id)
        if owner != gate_id:
            raise StoreError(
                f"{self.path}: belongs to gate '{owner}', this one is '{gate_id}'. "
                "Correct gate_id, or give this gate an empty state_dir."
            )
        return str(known.get("epoch", new_epoch))

    @contextlib.contextmanager
    def turn(self) -> Iterator[Turn]:
        """One transaction; left normally it is on disk, left by an exception it never was.

        :raises StoreError: the disk is full or broken; nothing was written.
        """
        with _in_words(self.path):
            self._check_in_place()
            self._db.execute("begin immediate")
            try:
                yield Turn(self._db, self.epoch)
                self._db.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # a failed commit may have rolled back itself
                    self._db.execute("rollback")
                raise

    def _check_in_place(self) -> None:
        """A file that was deleted under us goes on taking writes that nobody will ever read."""
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            inode = None
        if inode != self._inode:
            raise StoreError(f"{self.path}: was moved or deleted while in use. A new journal is begun.")

    def mark_opening(self, scan_id: str) -> None:
        """The turnstile is about to be opened for this admission. Survives the process, not yet a power cut.

        :raises StoreError: it could not be written; do not open.
        """
        with _in_words(self.path):
            self._db.execute("pragma synchronous=normal")
            try:
                self._db.execute(SQL["mark_opening"], (scan_id,))
            finally:
                self._db.execute("pragma synchronous=full")

    def settle(self) -> None:
        """Make every mark so far durable. Called once the pulse is given, off the guest's path."""
        with _in_words(self.path):
            self._db.execute(SQL["settle"])

    def unopened(self) -> list[ScanRecord]:
        """Admissions whose turnstile was to open and never did: a crash or a fault came in between.

        :raises StoreError: the journal cannot be read.
        """
        with _in_words(self.path):
            rows = self._db.execute(SQL["unopened"].format(columns=", ".join(COLUMNS))).fetchall()
        try:
            return [from_row(row) for row in rows]
        except (msgspec.ValidationError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{self.path}: holds a row that is none: {error}. Run a check of the disk."
            ) from None

    def last_seq(self) -> int:
        """Number of the newest record, 0 if there was never one."""
        with _in_words(self.path):
            rows = self._db.execute(SQL["meta_get"], ("last_seq",)).fetchall()
        if len(rows) != 1 or not str(rows[0][0]).isdecimal():
            raise StoreError(f"{self.path}: has lost its numbering. Move it away, keep it, and restart.")
        return int(rows[0][0])

    def waiting_entries(self, after_seq: int, event_id: str) -> int:
        """First entries of an event that the hub has not acknowledged: guests only we count."""
        with _in_words(self.path):
            ((count,),) = self._db.execute(SQL["waiting_entries"], (after_seq, event_id)).fetchall()
            return int(count)

    def tidy(self, acked_seq: int, older_than: datetime, now: Now) -> int:
        """Prune rows that are in Postgres and past their retention, then checkpoint the WAL.

        Called between scans, never inside one: SQLite's own checkpoint would stall a decision.
        What was written since this boot is aged by the clock that does not jump.

        :param older_than: the oldest wall-clock time to keep.
        :returns: how many rows went.
        """
        retained_ms = int((now.wall - older_than).total_seconds() * 1000)
        limits = (acked_seq, older_than.isoformat(), now.boot_id, now.monotonic_ms - retained_ms)
        with _in_words(self.path):
            pruned = self._db.execute(SQL["prune"], limits).rowcount
            if pruned:
                self._db.execute(SQL["prune_openings"])
            self._db.execute(SQL["checkpoint"]).fetchall()
            return pruned

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def connect(path: Path) -> sqlite3.Connection:
    """A connection as the journal needs it: WAL, FULL, own transactions, no automatic checkpoint."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute("pragma wal_autocheckpoint=0")
    return db


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(
            f"{path}: {error}. No scan can be recorded, so nobody is admitted. "
            "Check the disk (df -h, dmesg) and the file's permissions."
        ) from error
