"""The journal as sync sees it: read only, in order, above a number.

A row that is damaged (a bit of the card flipped) or missing does not hold back the rows after it: a
`SpoiledRow` with what is left of it is sent in its place, so that the hub keeps that and the numbering has no
gap.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import structlog

from gate.common.errors import StoreError
from gate.common.named_queries import load_queries
from gate.rules.model import Now, ScanRecord
from gate.store.rows import COLUMNS, from_row, moment
from gate.store.shared_files import FileIdentity, identity
from sync.wire.scans import SpoiledRow

SQL = load_queries("sync", "outbox.sql")
CELL_CHARACTERS = 128
"""How much of one column of a spoiled row is sent; what the door writes is shorter."""
_LOGGED_ROWS = 10
_SEQ = COLUMNS.index("seq")
_ABOVE = f"select {', '.join(COLUMNS)} from scans where seq > ? and seq <= ? order by seq limit ?"  # noqa: S608

JournalPlace = ScanRecord | SpoiledRow
"""What the journal holds under one number."""


class Outbox:
    """Reads `journal.db`. There is nothing to send until the door has created the file.

    :raises StoreError: from every method, when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._identity: FileIdentity | None = None
        self._is_made = False
        self._seen: tuple[FileIdentity | None, int] | None = None
        self._logged: set[tuple[str, int]] = set()
        self._log = structlog.get_logger()

    def epoch(self) -> str | None:
        """The journal's epoch, None while there is no journal."""
        value = self._meta("epoch")
        return str(value) if value is not None else None

    def last_seq(self) -> int:
        """The number of the newest record, 0 if there is none."""
        with self._in_words():
            return int(self._meta("last_seq") or 0)

    def above(self, seq: int, limit: int) -> list[JournalPlace]:
        """The next records, oldest first; a `SpoiledRow` in the place of one that is damaged or missing."""
        with self._in_words():
            db = self._open()
            rows = db.execute(_ABOVE, (seq, self.last_seq(), limit)).fetchall() if db else []
            if db is None or not rows:
                return []
            owner = (str(self._meta("gate_id")), str(self._meta("epoch")))
            # nothing is missing below the oldest row of all: those were pruned
            before = seq if db.execute(SQL["any_up_to"], (seq,)).fetchone() else None
            places = _without_gaps([_read(row, *owner) for row in rows], before, limit, owner)
        self._log_spoiled([place for place in places if isinstance(place, SpoiledRow)])
        return places

    def _log_spoiled(self, spoiled: list[SpoiledRow]) -> None:
        """Each row once, however often it is sent."""
        fresh = [place for place in spoiled if (place.epoch, place.seq) not in self._logged]
        self._logged.update((place.epoch, place.seq) for place in fresh)
        if fresh:
            self._log.error(
                "journal rows spoiled",
                numbers=[place.seq for place in fresh[:_LOGGED_ROWS]],
                count=len(fresh),
                error=fresh[0].error,
                advice="What is left of them goes to the hub's quarantine; later scans are sent as usual. "
                "The card is failing: look into dmesg, and replace it.",
            )

    def has_changed(self) -> bool:
        """Whether the door has written since the last call; costs next to nothing."""
        with self._in_words():
            db = self._open()
            if db is None:
                return False
            version = (self._identity, int(db.execute(SQL["version"]).fetchone()[0]))
            changed = version != self._seen
            self._seen = version
            return changed

    def knows_unused(self, code_hash: str) -> bool:
        """Whether it is certain that nobody entered here with this code; annulled entries do not count.

        Nothing is certain if the journal is missing or has lost some of its history.
        """
        with self._in_words():
            db = self._open()
            return bool(db and db.execute(SQL["unused"], (code_hash,)).fetchone()[0])

    def knows_used(self, code_hash: str) -> bool:
        """Whether it is certain that somebody entered here with this code."""
        with self._in_words():
            db = self._open()
            return bool(db and db.execute(SQL["used"], (code_hash,)).fetchone()[0])

    def age_above(self, seq: int, now: Now) -> int | None:
        """The age of the first record after `seq`, in seconds; None if there is none.

        By the monotonic clock, unless the machine was rebooted since.
        """
        with self._in_words():
            db = self._open()
            row = db.execute(SQL["oldest_above"], (seq,)).fetchone() if db else None
        return _age(row, now) if row else None

    def _meta(self, key: str) -> Any:
        with self._in_words():
            db = self._open()
            row = db.execute(SQL["meta"], (key,)).fetchone() if db else None
            return row[0] if row else None

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, OSError) as error:
            if isinstance(error, StoreError):
                raise
            self.close()
            self._seen = None  # the next call has to look again
            raise StoreError(
                f"{self._path}: {error}. Scans wait; the door continues. Check the disk (df -h, dmesg)."
            ) from error

    def _open(self) -> sqlite3.Connection | None:
        found = identity(self._path)
        if not found[0]:
            self.close()
            return None
        if self._db is None or found != self._identity:
            self._log_removed_files(found)
            self.close()
            self._db = sqlite3.connect(
                f"file:{self._path}?mode=ro", uri=True, timeout=1, isolation_level=None
            )
            self._db.text_factory = _text
            self._db.execute(SQL["version"]).fetchone()  # makes the -wal and -shm, if nobody has yet
            self._identity = identity(self._path)
        if not self._is_made:  # the door creates the file first and its tables a moment later
            self._is_made = bool(self._db.execute(SQL["is_made"]).fetchone()[0])
        return self._db if self._is_made else None

    def _log_removed_files(self, found: FileIdentity) -> None:
        """The door restores its journal when it notices; until then sync cannot see the newest records."""
        before = self._identity
        if self._db is not None and before is not None and found[0] == before[0] and before[1] and before[2]:
            self._log.error(
                "journal's -wal or -shm removed",
                journal=str(self._path),
                advice="It is opened again, and the door restores it with all its records. Find out what "
                "deletes files in state_dir.",
            )

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db, self._is_made = None, False


def _age(row: tuple[Any, ...], now: Now) -> int | None:
    """Seconds since a record was made; None if its row is damaged."""
    boot_id, monotonic_ms, occurred_at = row
    try:
        if boot_id == now.boot_id:
            return max(0, int(now.monotonic_ms - monotonic_ms) // 1000)
        return max(0, int((now.wall - moment(occurred_at)).total_seconds()))
    except (TypeError, ValueError):
        return None


def _text(raw: bytes) -> str | bytes:
    """A column of text; bytes if it is not UTF-8, so that it spoils its own row and not the whole query."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _read(row: tuple[Any, ...], gate_id: str, epoch: str) -> JournalPlace:
    """A row as its record, if it still is a record of this journal."""
    try:
        record = from_row(row)
    except (ValueError, TypeError, AttributeError) as error:  # any column may hold anything
        return _spoiled(row, gate_id, epoch, str(error))
    if (record.gate_id, record.epoch) != (gate_id, epoch):
        return _spoiled(row, gate_id, epoch, "names another gate or epoch than its journal")
    return record


def _spoiled(row: tuple[Any, ...], gate_id: str, epoch: str, error: str) -> SpoiledRow:
    cells = {name: _cell(value) for name, value in zip(COLUMNS, row, strict=True)}
    return SpoiledRow(gate_id=gate_id, epoch=epoch, seq=row[_SEQ], error=error[:CELL_CHARACTERS], row=cells)


def _cell(value: Any) -> str | int | float | None:
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    return value[:CELL_CHARACTERS] if isinstance(value, str) else value


def _without_gaps(
    found: Sequence[JournalPlace], before: int | None, limit: int, owner: tuple[str, str]
) -> list[JournalPlace]:
    """Adds a place for each missing number: a journal has no gaps (data model 3.2), so its row was lost."""
    places: list[JournalPlace] = []
    for one in found:
        missing = range(one.seq if before is None else before + 1, one.seq)[: limit - len(places)]
        places += [_missing(seq, *owner) for seq in missing]
        places.append(one)
        before = one.seq
    return places[:limit]


def _missing(seq: int, gate_id: str, epoch: str) -> SpoiledRow:
    return SpoiledRow(gate_id=gate_id, epoch=epoch, seq=seq, error="there is no such row", row={})
