"""The journal: every scan, durable before the turnstile moves (data model 3.2).

One SQLite file in WAL mode with ``synchronous=FULL``, without which the last commit might not survive a power
cut. Each scan takes its turn in one ``BEGIN IMMEDIATE`` transaction: it reads the past of its code, makes the
verdict and writes the row; leaving the turn commits.

The journal also holds whether the turnstile was opened for each admission: `mark_opening` before the pulse,
`settle` after it. docs/adr/0011-when-an-admission-counts.md says why both are needed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from gate.common.errors import StoreError
from gate.common.named_queries import load_queries
from gate.common.value import Value
from gate.rules.model import Entry, Now, ScanRecord
from gate.store.file_errors import DamagedError, check_place, file_error_in_words, reading_values
from gate.store.rows import COLUMNS, PAGE, from_row, moment, to_row
from gate.store.shared_files import identity
from gate.store.sqlite_tables import Database, Migrations

SQL = load_queries("gate", "journal.sql")
INSERT = f"insert into scans ({', '.join(COLUMNS)}) values ({', '.join('?' * len(COLUMNS))})"  # noqa: S608
_MIGRATIONS = Migrations("journal")


@_MIGRATIONS()
def first(db: Database) -> None:
    """The tables as they first were."""
    for statement in SQL["schema"].split(";\n"):
        db.execute(statement)


@_MIGRATIONS()
def openings(db: Database) -> None:
    """Whether a turnstile was opened. What was released before this table existed counts as opened."""
    for statement in SQL["openings"].split(";\n"):
        db.execute(statement)


@_MIGRATIONS()
def memory(db: Database) -> None:
    """What a salvaged journal remembers, and up to which number rows were pruned."""
    for statement in SQL["memory"].split(";\n"):
        db.execute(statement)


class Past(Value, frozen=True):
    """This gate's own admissions of a code, in any order.

    `annulled`: other sources may still report these as admissions. `lost`: this gate has lost some of its
    admissions, of whatever code.
    """

    entries: tuple[Entry, ...] = ()
    annulled: tuple[Entry, ...] = ()
    lost: bool = False


class Turn:
    """One scan's transaction."""

    def __init__(self, path: Path, db: sqlite3.Connection, epoch: str) -> None:
        self._path = path
        self._db = db
        self._epoch = epoch

    def past(self, code_hash: str) -> Past:
        """This gate's own admissions of a code."""
        rows = self._db.execute(SQL["past_of_code"], (code_hash,)).fetchall()
        return _past(self._path, rows) if rows else Past()

    def admitted(self, code_hashes: Sequence[str]) -> int:
        """How many of these codes this gate has let in."""
        asked = msgspec.json.encode(code_hashes).decode()
        ((count,),) = self._db.execute(SQL["admitted"], (asked,)).fetchall()
        return int(count)

    def append(self, record: ScanRecord) -> ScanRecord:
        """Write a record and return it with its `epoch` and `seq`.

        :raises DamagedError: the record is not there afterwards. A trigger that somebody put into the file
            can drop a row without an error, and the turnstile would open without a record.
        """
        ((seq,),) = self._db.execute(SQL["next_seq"]).fetchall()
        placed = msgspec.structs.replace(record, epoch=self._epoch, seq=seq)
        written = self._db.execute(INSERT, to_row(placed)).rowcount
        if written != 1 or self._db.execute(SQL["knows"], (placed.scan_id,)).fetchone() is None:
            raise DamagedError(
                f"{self._path}: accepted a record and did not keep it: somebody changed its tables. "
                "Nobody is admitted until it is salvaged."
            )
        return placed


def _past(path: Path, rows: Sequence[tuple[Any, ...]]) -> Past:
    """Reads the rows of the query `past_of_code`."""
    with reading_values(path):
        return Past(
            entries=tuple(_entry(row) for row in rows if row[0] == "entry"),
            annulled=tuple(_entry(row) for row in rows if row[0] == "annulled"),
            lost=any(what == "lost" for what, *_ in rows),
        )


def _entry(row: tuple[Any, ...]) -> Entry:
    """Reads one row of `past_of_code` that is an admission."""
    _, at, gate, scan = row
    return Entry(at=moment(at), gate=gate, scan=scan or "")


class Journal:
    """The door's journal file.

    :param new_epoch: an epoch that was never used, for a new file.
    :raises StoreError: the file cannot be opened, made or read, or it belongs to another gate.
    """

    def __init__(self, path: Path, gate_id: str, new_epoch: str) -> None:
        self.path = path
        self.damage: str | None = None
        """The damage found in use, after which the file has to be salvaged."""
        check_place(path)
        with file_error_in_words(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = connect_and_migrate(path)
            try:
                with reading_values(path):
                    self.epoch = self._identify(gate_id, new_epoch)
                self._db.execute(
                    SQL["settle"]
                )  # a disk that takes no writes fails here and not when a guest comes
                self._identity = identity(path)
            except BaseException:
                self._db.close()
                raise

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
        """One transaction: it is on disk when the block ends, and never happened if the block raises.

        :raises StoreError: the disk is full or broken; nothing was written.
        """
        self._check_in_place()
        try:
            self._db.execute("begin immediate")
            yield Turn(self.path, self._db, self.epoch)
            self._db.execute("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a failed commit may have rolled back already
                self._db.execute("rollback")
            with self._in_words():
                raise

    def is_in_place(self) -> bool:
        """Whether the open files, the log included, are still the files with these names."""
        return identity(self.path) == self._identity

    def _check_in_place(self) -> None:
        """Raises if a file was deleted or replaced: it would go on taking writes that nobody ever reads."""
        if not self.is_in_place():
            raise StoreError(
                f"{self.path}: it, or its -wal or -shm, was moved or deleted in use. It will be put back."
            )

    def copy_to(self, path: Path) -> None:
        """Copy all of it to another file, even if this one was deleted.

        :raises StoreError: this file cannot be read, or the other not written.
        """
        with file_error_in_words(path), contextlib.closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    def mark_opening(self, scan_id: str) -> None:
        """Note that the turnstile is about to open for this admission; a power cut may still undo that.

        :raises StoreError: do not open, because the mark could not be written, or the admission was annulled
            meanwhile (a door started while a command runs annuls what was not opened yet).
        """
        with self._in_words():
            self._db.execute("pragma synchronous=normal")
            try:
                marked = self._db.execute(SQL["mark_opening"], (scan_id,)).fetchall()
            finally:
                self._db.execute("pragma synchronous=full")
        if not marked:
            raise StoreError(
                f"{self.path}: the admission {scan_id} was annulled before the turnstile opened. "
                "Nobody came in with it, so the ticket is still good: scan it again."
            )

    def check_numbering(self, epoch: str | None, hub_seq: int, last_seq: int | None = None) -> None:
        """Compare with what the hub has of an epoch, so that no number is ever used for a second record.

        :param last_seq: this journal's newest number, if the caller has it at hand.
        :raises DamagedError: the hub has more than this file, so the file was restored from a backup.
        """
        if epoch != self.epoch:
            return
        with self._in_words():
            last = self.last_seq() if last_seq is None else last_seq
            if hub_seq > last:
                raise DamagedError(
                    f"{self.path}: ends at number {last}, but the hub has {hub_seq} of this numbering. "
                    "It was put back from a backup, or lost its end. It is salvaged into a new numbering."
                )

    def knows(self, scan_id: str) -> bool:
        """Whether there is a record with this id; an order of staff that has one was followed.

        :raises StoreError: the journal cannot be read.
        """
        with self._in_words():
            return self._db.execute(SQL["knows"], (scan_id,)).fetchone() is not None

    def last_ordered(self) -> ScanRecord | None:
        """The newest record of an order to hold open, close or resume; None if there is none.

        :raises StoreError: the journal cannot be read.
        """
        with self._in_words():
            row = self._db.execute(SQL["last_ordered"].format(columns=", ".join(COLUMNS))).fetchone()
            with reading_values(self.path):
                return from_row(row) if row else None

    def settle(self) -> None:
        """Make all marks so far durable. Call it after the pulse, when no guest waits."""
        with self._in_words():
            self._db.execute(SQL["settle"])

    def unopened(self) -> list[ScanRecord]:
        """Admissions whose turnstile should have opened and never did, because of a crash or a fault.

        :raises StoreError: the journal cannot be read.
        """
        with self._in_words():
            rows = self._db.execute(SQL["unopened"].format(columns=", ".join(COLUMNS))).fetchall()
            with reading_values(self.path):
                return [from_row(row) for row in rows]

    def last_seq(self) -> int:
        """The number of the newest record, 0 if there never was one."""
        with self._in_words():
            rows = self._db.execute(SQL["meta_get"], ("last_seq",)).fetchall()
        if len(rows) != 1 or not str(rows[0][0]).isdecimal():
            self.damage = f"{self.path}: has lost its numbering. Nobody is admitted until it is salvaged."
            raise DamagedError(self.damage)
        return int(rows[0][0])

    def history_lost(self) -> int | None:
        """If this gate has lost some of its admissions: up to which number the hub has to have all others.

        None if nothing was lost, or the hub has made up for it (`end_history_lost`).
        """
        with self._in_words():
            rows = self._db.execute(SQL["meta_get"], ("history_lost",)).fetchall()
        with reading_values(self.path):
            return int(rows[0][0]) if rows else None

    def end_history_lost(self) -> None:
        """This gate knows again what the hub knows, or somebody decided to go on without."""
        with self._in_words():
            self._db.execute(SQL["end_history_lost"])

    def waiting_entries(self, after_seq: int, event_id: str) -> int:
        """First entries of an event that the hub has not acknowledged: guests whom only this gate counts."""
        with self._in_words():
            ((count,),) = self._db.execute(SQL["waiting_entries"], (after_seq, event_id)).fetchall()
            return int(count)

    def tidy(self, acked_seq: int, older_than: datetime, now: Now) -> int:
        """Prune rows that are in Postgres and past their retention, then checkpoint the WAL.

        Call it between scans: SQLite's automatic checkpoint would delay a decision. The age of rows of this
        boot is measured by the clock that does not jump.

        :param older_than: the oldest wall-clock time to keep.
        :returns: how many rows were pruned.
        """
        limits = {
            "acked": acked_seq,
            "oldest": older_than.isoformat(),
            "boot_id": now.boot_id,
            "since_ms": now.monotonic_ms - int((now.wall - older_than).total_seconds() * 1000),
        }
        self._check_in_place()
        with self._in_words():
            pruned = 0
            if self._db.execute(SQL["is_prunable"], limits).fetchone():
                pruned = self._prune(limits)
            self._db.execute(SQL["checkpoint"]).fetchall()
            return pruned

    def _prune(self, limits: dict[str, object]) -> int:
        with self.turn():
            pruned = self._db.execute(SQL["prune"], limits).rowcount
            for step in ("note_pruned", "prune_openings", "prune_remembered"):
                self._db.execute(SQL[step], limits)
        return pruned

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            with file_error_in_words(self.path):
                yield
        except DamagedError as error:
            self.damage = str(error)
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def connect_and_migrate(path: Path) -> sqlite3.Connection:
    """A connection to a journal whose tables exist and are of this version."""
    db = connect_journal(path)
    try:
        with reading_values(path):
            migrate_journal(Database(db))
    except BaseException:
        db.close()
        raise
    return db


def migrate_journal(db: Database) -> None:
    """Make or migrate the journal's tables."""
    _MIGRATIONS.apply(db)


def connect_journal(path: Path) -> sqlite3.Connection:
    """A connection as the journal needs it: WAL, FULL, explicit transactions, no automatic checkpoint."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
    db.execute(f"pragma page_size={PAGE}")
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=full")
    db.execute("pragma wal_autocheckpoint=0")
    return db
