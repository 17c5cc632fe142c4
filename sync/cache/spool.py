"""A file beside the cache in which a snapshot is assembled before it is copied into the cache.

Only the last line of the hub's answer shows whether it is complete, and a slow connection may take minutes to
deliver it. So its rows are written here as they arrive, in the fetcher's thread: the cache stays free for
heartbeats, and memory does not grow with the night. The cache then copies all of them in one short
transaction, in SQL alone (`Cache.put_snapshot`).

There is one file, for one snapshot at a time. Nobody reads it before it is complete and nobody needs it after
a crash, so it has no journal and is not flushed; what `kill -9` leaves of it is removed when the cache is
next opened.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gate.common.errors import MagueyError, StoreError
from gate.rules.model import FeedRow
from sync.cache.rows import SQL, put_all

PORTION = 1_000
"""Rows between two checks of the disk."""
LEFT_BYTES = 64 * 1024 * 1024
"""What a snapshot leaves free: the journal is on the same disk, and without the journal nobody enters."""


class SpoolBusy(MagueyError):
    """The previous snapshot is not in the cache yet."""


class SpooledSnapshot:
    """A complete snapshot of `count` rows. Its file is removed at the latest with this object."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file = weakref.finalize(self, _remove, path)

    @property
    def is_there(self) -> bool:
        """Whether its file is still there."""
        return self._file.alive

    def discard(self) -> None:
        """Remove its file: it is in the cache, or not wanted."""
        self._file()


class Spool:
    """Holds one snapshot at a time.

    :param path: its file, on the disk of the cache.
    :param free: returns the free bytes of a folder's disk.
    """

    def __init__(
        self, path: Path, free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free
    ) -> None:
        self.path = path
        self._free = free
        self._held: weakref.ref[SpooledSnapshot] | None = None
        _remove(path)

    def check(self) -> None:
        """Raise `SpoolBusy` while a snapshot waits here."""
        held = self._held() if self._held else None
        if held is not None and held.is_there:
            raise SpoolBusy(f"{self.path}: the previous snapshot is not loaded yet.")

    def fill(self, rows: Iterable[FeedRow]) -> SpooledSnapshot:
        """Write all rows. An error raised by `rows` is passed on, and the file is removed.

        :raises SpoolBusy: a snapshot waits here.
        :raises StoreError: the disk is too full, or the file cannot be written.
        """
        self.check()
        spooled = SpooledSnapshot(self.path)
        self._held = weakref.ref(spooled)
        try:
            spooled.count = self._write(rows)
        except BaseException as error:
            spooled.discard()
            if isinstance(error, sqlite3.Error):
                raise StoreError(
                    f"{self.path}: {error}. The gate continues with the tickets it has. "
                    "Check the disk (df -h, dmesg)."
                ) from error
            raise
        return spooled

    def _write(self, rows: Iterable[FeedRow]) -> int:
        counted = _Counted(rows, self._check_room)
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as db:
            db.execute("pragma journal_mode=off")
            db.execute("pragma synchronous=off")
            db.executescript(SQL["spool"])
            db.execute("begin")
            put_all(db, counted)
            db.execute("commit")
            self._check_room()
        return counted.count

    def _check_room(self) -> None:
        """Copying writes everything twice more: into the cache's log, and from there into the cache."""
        free = self._free(self.path.parent)
        if free < LEFT_BYTES + 2 * self.path.stat().st_size:
            raise StoreError(
                f"{self.path}: the disk is nearly full ({free // 1_000_000} MB free). No tickets are "
                "fetched, so that scans can still be recorded. Free some space (df -h)."
            )


class _Counted:
    """Counts rows as they pass, and calls `look` every `PORTION` rows."""

    def __init__(self, rows: Iterable[FeedRow], look: Callable[[], None]) -> None:
        self._rows = iter(rows)
        self._look = look
        self.count = 0

    def __iter__(self) -> Iterator[FeedRow]:
        return self

    def __next__(self) -> FeedRow:
        row = next(self._rows)
        self.count += 1
        if self.count % PORTION == 0:
            self._look()
        return row


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
