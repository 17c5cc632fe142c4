"""Turns errors of SQLite and of the disk into a `StoreError` that says what is wrong and what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gate.common.errors import Step, StoreError
from gate.common.owned_files import refuse_others
from gate.store.shared_files import database_files

LEAST_FREE = 256 * 1024
"""Bytes. With less there may be no room for a commit and the database's companions (a -shm is 32 KiB)."""
# SQLITE_ERROR: a table or a column is missing, or a text is not UTF-8
_DAMAGE = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
)

_FULL_WORDS = "The disk is full. No scan can be recorded, so nobody is admitted. Free some space (df -h)."
_READ_ONLY_WORDS = (
    "The disk is read-only. No scan can be recorded, so nobody is admitted. "
    "A worn card turns read-only: look at dmesg, and replace the card."
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
    """The file itself is damaged: waiting does not help, its contents have to be salvaged."""


@contextlib.contextmanager
def file_error_in_words(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the disk into a `StoreError` that says what to do next.

    :raises DamagedError: the file does not contain what this software wrote.
    """
    try:
        yield
    except StoreError:
        raise
    except sqlite3.Error as error:
        raise _of_sqlite(path, error) from error
    except OSError as error:
        raise _of_disk(path, error, error.errno or _why_unwritable(path)) from error


@contextlib.contextmanager
def reading_values(path: Path) -> Iterator[None]:
    """Wrap this around the reading of values, and nothing else.

    :raises DamagedError: a value is one that this software never writes.
    """
    try:
        yield
    except StoreError:
        raise
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise DamagedError(f"{path}: holds a wrong value: {error}. {_BROKEN_WORDS}") from error


def check_place(path: Path) -> None:
    """Refuse a folder that takes no files, and files that are links, before anything is tried on them.

    :raises StoreError: the file system is read-only or full, or a file of the database is not a regular one.
    """
    refuse_others(*database_files(path))
    number = _why_unwritable(path)
    if number is not None:
        raise _of_disk(path, os.strerror(number), number)


def _of_sqlite(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", None)
    primary = sqlite3.SQLITE_ERROR if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return _of_disk(path, error, errno.ENOSPC)
    if primary in _DAMAGE and not isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return DamagedError(f"{path}: {error}. {_BROKEN_WORDS}")
    # SQLite says "disk I/O error" or "unable to open" for many causes; the file system tells which
    number = _why_unwritable(path)
    if number is None and primary == sqlite3.SQLITE_READONLY:
        number = errno.EACCES
    return _of_disk(path, error, number)


def _of_disk(path: Path, error: Exception | str, number: int | None) -> StoreError:
    words, step = _KINDS.get(number, (_BROKEN_WORDS, Step.DISK_CHECK))
    return StoreError(f"{path}: {error}. {words}", step)


def _why_unwritable(path: Path) -> int | None:
    """Why the file system takes no files, as an error number; None if it does."""
    try:
        place = os.statvfs(path.parent)
    except OSError:
        return None
    if place.f_flag & os.ST_RDONLY:
        return errno.EROFS
    return errno.ENOSPC if place.f_bavail * place.f_frsize < LEAST_FREE else None
