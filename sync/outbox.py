"""The journal as sync sees it: read only, in order, above a number."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gate.errors import StoreError
from gate.model import ScanRecord
from gate.rows import COLUMNS, from_row
from gate.sqlfile import load

SQL = load("sync", "outbox.sql")
_ABOVE = f"select {', '.join(COLUMNS)} from scans where seq > ? order by seq limit ?"  # noqa: S608


class Outbox:
    """Reads `journal.db`. Before the door has made the file there is nothing to send.

    :raises StoreError: from every method, when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._is_made = False
        self._seen: tuple[int, int] | None = None

    def epoch(self) -> str | None:
        """The numbering the journal is in, None while there is no journal."""
        value = self._meta("epoch")
        return str(value) if value is not None else None

    def last_seq(self) -> int:
        """Number of the newest record, 0 if there is none."""
        return int(self._meta("last_seq") or 0)

    def above(self, seq: int, limit: int) -> list[ScanRecord]:
        """The next records, oldest first."""
        with self._in_words():
            db = self._open()
            rows = db.execute(_ABOVE, (seq, limit)).fetchall() if db else []
            return [from_row(row) for row in rows]

    def has_changed(self) -> bool:
        """Whether the door has written since this was last asked; costs next to nothing."""
        with self._in_words():
            db = self._open()
            if db is None:
                return False
            version = (self._inode, int(db.execute(SQL["version"]).fetchone()[0]))
            changed = version != self._seen
            self._seen = version
            return changed

    def _meta(self, key: str) -> Any:
        with self._in_words():
            db = self._open()
            row = db.execute(SQL["meta"], (key,)).fetchone() if db else None
            return row[0] if row else None

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.ValidationError, OSError) as error:
            self.close()
            self._seen = None  # what was not read has to be looked at again
            raise StoreError(
                f"{self._path}: {error}. Scans wait; the door goes on. Check the disk (df -h, dmesg)."
            ) from error

    def _open(self) -> sqlite3.Connection | None:
        try:
            inode = self._path.stat().st_ino
        except FileNotFoundError:
            self.close()
            return None
        if self._db is None or inode != self._inode:
            self.close()
            self._db = sqlite3.connect(
                f"file:{self._path}?mode=ro", uri=True, timeout=1, isolation_level=None
            )
            self._inode = inode
        if not self._is_made:  # the door makes the file first and its tables a moment later
            self._is_made = bool(self._db.execute(SQL["is_made"]).fetchone()[0])
        return self._db if self._is_made else None

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db, self._is_made = None, False
