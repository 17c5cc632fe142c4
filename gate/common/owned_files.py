"""Opens files in folders that several users may write to, without following links or waiting at pipes.

Door and sync run as two users who share `state_dir` and `runtime_dir` (ADR 0014), and root reads them with
``maguey-gate doctor``. Somebody who has taken over one of the two could put a symbolic link where another is
about to write, or a pipe where it is about to read.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from gate.common.errors import StoreError


def refuse_others(*paths: Path) -> None:
    """Call this before a library opens files by name: SQLite follows links and waits at a pipe for ever.

    :raises StoreError: one of them is a symbolic link or anything else but a regular file.
    """
    for path in paths:
        if path.is_symlink():
            raise StoreError(
                f"{path}: is a symbolic link. The gate follows none, because anybody who may write to this "
                "folder could make it write anywhere. Find out who made the link, and remove it."
            )
        if path.exists() and not path.is_file():
            raise StoreError(
                f"{path}: is a folder, a pipe or the like and not a regular file; opening it could take "
                "for ever. Find out who made it, and remove it."
            )


def open_own(path: Path, flags: int, mode: int = 0o660) -> int:
    """As `os.open`, but only for a regular file, not for a link to one. Never waits for a pipe's other end.

    :raises OSError: also for a link (``ELOOP``) and for anything but a file (``EINVAL``).
    """
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return fd


def create_own(path: Path, mode: int = 0o660) -> int:
    """A new file, open for writing. It replaces what had this name; the target of a link is left alone.

    :raises OSError: as `os.open`.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def read_own(path: Path, limit: int) -> bytes:
    """The first `limit` + 1 bytes of a file, so that the caller notices a longer one. Raises `OSError`."""
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read(limit + 1)
