"""Files that both services open, though each runs as a user of its own.

SQLite in WAL mode keeps a ``-shm`` and a ``-wal`` beside the database. Whoever opens the database first,
even to read, makes them with the *database's* permissions; without write permission to them, the other
service could no longer write its own file. By default SQLite makes databases that the group may only read.
See docs/adr/0014-two-users-one-folder.md.
"""

from __future__ import annotations

import contextlib
import os
import stat
from functools import lru_cache
from pathlib import Path

SHARED = 0o660
"""Read and write for owner and group, nothing for others."""
FileIdentity = tuple[int, int, int]
"""The inodes of the files under a database's three names; 0 if there is none, or no regular file."""


def database_files(database: Path) -> tuple[Path, Path, Path]:
    """The database, and what SQLite keeps beside it in WAL mode."""
    return database, database.with_name(f"{database.name}-wal"), database.with_name(f"{database.name}-shm")


def identity(database: Path) -> FileIdentity:
    """The files under the names of a database, of its ``-wal`` and of its ``-shm``, right now.

    SQLite never looks at the names again once it has the files open. If somebody deletes or replaces one of
    them, those who have it open and those who open it later no longer see what the other writes. So we have
    to look. While anybody has the database open, the names do not change by themselves.
    """
    main, wal, shm = map(_inode, _names(database))
    return main, wal, shm


@lru_cache
def _names(database: Path) -> tuple[str, ...]:
    """Remembered, because a guest waits while we look, and paths are slow to make."""
    return tuple(map(str, database_files(database)))


def _inode(name: str) -> int:
    """Only a regular file counts: a link that somebody put there is not followed, a pipe not waited for."""
    try:
        found = os.lstat(name)
    except OSError:
        return 0
    return found.st_ino if stat.S_ISREG(found.st_mode) else 0


def share(database: Path) -> None:
    """Make sure that the group may open this database; make an empty one if there is none.

    The file's writer calls this before it opens the file. Never raises: opening the file then reports what is
    wrong. Files of other users are left alone.
    """
    with contextlib.suppress(OSError):
        database.parent.mkdir(parents=True, exist_ok=True)
        # only a new file is opened here: closing one that SQLite has open would drop its locks (fcntl(2))
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SHARED))
    for file in database_files(database):
        with contextlib.suppress(OSError):
            if not file.is_symlink():
                file.chmod(SHARED)
