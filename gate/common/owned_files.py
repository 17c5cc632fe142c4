"""Files in folders that more than one user may write to: opened as themselves, or not at all.

Door and sync run as two users who share `state_dir` and `runtime_dir` (ADR 0014), and root looks in with
``maguey-gate doctor``. Whoever has taken one of the two over could put a symbolic link where another is
about to write, or a pipe where it is about to read. So a name there is never followed to another place.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from gate.common.errors import StoreError


def refuse_others(*paths: Path) -> None:
    """Before a library opens files by their names: SQLite follows a link, and waits at a pipe for ever.

    :raises StoreError: one of them is a symbolic link, or anything else that is no regular file.
    """
    for path in paths:
        if path.is_symlink():
            raise StoreError(
                f"{path}: is a symbolic link, and the gate follows none: whoever may write to this folder "
                "could make it write anywhere. Find out who made the link, and remove it."
            )
        if path.exists() and not path.is_file():
            raise StoreError(
                f"{path}: is not a regular file but a folder, a pipe or the like, and who opens it may "
                "wait for ever. Find out who made it, and remove it."
            )


def open_own(path: Path, flags: int, mode: int = 0o660) -> int:
    """As `os.open`, for a regular file under this very name. Never waits for a pipe's other end.

    :raises OSError: also for a link (``ELOOP``), and for what is no file (``EINVAL``).
    """
    fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return fd


def create_own(path: Path, mode: int = 0o660) -> int:
    """A new file, open for writing; whatever stood under its name is gone, and what a link led to untouched.

    :raises OSError: as `os.open`.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


def read_own(path: Path, limit: int) -> bytes:
    """The first `limit` + 1 bytes of a file, so that a longer one can be told. Raises `OSError`."""
    with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
        return file.read(limit + 1)
