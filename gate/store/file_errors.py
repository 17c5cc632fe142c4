"""What is wrong with a file of the gate, in words: an error of SQLite or of the disk as a `StoreError`."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gate.common.errors import Step, StoreError
from gate.common.owned_files import refuse_others
from gate.store.shared_files import companions

LEAST_FREE = 256 * 1024
"""Bytes. With less a commit and the companions of its database (a -shm is 32 KiB) may find no room."""
# SQLITE_ERROR: a table or a column is not there, or a text is none
_DAMAGE = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)

_FULL_WORDS = "The disk is full. No scan can be recorded, so nobody is admitted. Free some space (df -h)."
_READ_ONLY_WORDS = (
    "The disk is read-only. No scan can be recorded, so nobody is admitted. "
    "A worn card turns read-only: look into dmesg, and change the card."
)
_RIGHTS_WORDS = (
    "The door may not write there. No scan can be recorded, so nobody is admitted. "
    "Give the file and its folder to the door's user (ls -l)."
)
_BROKEN_WORDS = (
    "No scan can be recorded, so nobody is admitted. "
    "Check the disk (df -h, dmesg) and the file's permissions."
)
_KINDS: dict[int | None, tuple[str, Step]] = {
    errno.ENOSPC: (_FULL_WORDS, Step.DISK_FULL),
    errno.EDQUOT: (_FULL_WORDS, Step.DISK_FULL),
    errno.EROFS: (_READ_ONLY_WORDS, Step.DISK_READ_ONLY),
    errno.EACCES: (_RIGHTS_WORDS, Step.DISK_READ_ONLY),
    errno.EPERM: (_RIGHTS_WORDS, Step.DISK_READ_ONLY),
}


class DamagedError(StoreError):
    """The file itself is damaged: waiting does not help, what is in it has to be salvaged."""


@contextlib.contextmanager
def file_error_in_words(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the disk become a `StoreError` that carries what to do next.

    :raises DamagedError: what stands in the file is not what this software wrote.
    """
    try:
        yield
    except StoreError:
        raise
    except sqlite3.Error as error:
        raise _of_sqlite(path, error) from error
    except OSError as error:
        raise _of_disk(path, error, error.errno or _place(path)) from error


@contextlib.contextmanager
def reading_values(path: Path) -> Iterator[None]:
    """Around nothing but the reading of values.

    :raises DamagedError: a value is none that was ever written.
    """
    try:
        yield
    except StoreError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise DamagedError(f"{path}: holds a value that is none: {error}. {_BROKEN_WORDS}") from error


def check_place(path: Path) -> None:
    """Tell of a place that takes nothing, or leads elsewhere, before anything is tried on it.

    :raises StoreError: the folder's file system is read-only or full, or a file of the database is none.
    """
    refuse_others(*companions(path))
    number = _place(path)
    if number is not None:
        raise _of_disk(path, os.strerror(number), number)


def _of_sqlite(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = sqlite3.SQLITE_ERROR if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return _of_disk(path, error, errno.ENOSPC)
    if primary in _DAMAGE and not isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return DamagedError(f"{path}: {error}. {_BROKEN_WORDS}")
    # SQLite says "disk I/O error" or "unable to open" of many things; the place tells which
    number = _place(path)
    if number is None and primary == sqlite3.SQLITE_READONLY:
        number = errno.EACCES
    return _of_disk(path, error, number)


def _of_disk(path: Path, error: Exception | str, number: int | None) -> StoreError:
    words, step = _KINDS.get(number, (_BROKEN_WORDS, Step.DISK_CHECK))
    return StoreError(f"{path}: {error}. {words}", step)


def _place(path: Path) -> int | None:
    """What keeps the file system from taking anything, as an error number."""
    try:
        place = os.statvfs(path.parent)
    except OSError:
        return None
    if place.f_flag & os.ST_RDONLY:
        return errno.EROFS
    return errno.ENOSPC if place.f_bavail * place.f_frsize < LEAST_FREE else None
