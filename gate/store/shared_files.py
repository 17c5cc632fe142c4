"""Files that both services open, though each runs as a user of its own.

SQLite in WAL mode keeps a ``-shm`` and a ``-wal`` beside the database. Whoever opens it first makes
them, readers included, with the *database's* permissions, and without write permission to them
the other service can no longer write its own file. SQLite itself makes databases that
their group may only read. See docs/adr/0014-two-users-one-folder.md.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

SHARED = 0o660
"""Read and write for owner and group, nothing for others."""


FileIdentity = tuple[int, int, int]
"""Which files stand under a database's three names: their inodes, 0 for none, or for what is no file."""


def companions(database: Path) -> tuple[Path, Path, Path]:
    """The database, and what SQLite keeps beside it in WAL mode."""
    return database, database.with_name(f"{database.name}-wal"), database.with_name(f"{database.name}-shm")


def identity(database: Path) -> FileIdentity:
    """The files under the names of a database, of its ``-wal`` and of its ``-shm``, right now.

    SQLite never looks at the names again once it has the files open. Whoever deletes or replaces one of them
    thereby parts those who have it open from those who open it later: each writes what the other never sees.
    So it is for us to look. While anybody has the database open these do not change by themselves.
    """
    main, wal, shm = (_inode(file) for file in companions(database))
    return main, wal, shm


def _inode(path: Path) -> int:
    """Only a regular file counts: nobody follows a link put there, or waits at a pipe for its other end."""
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_ino if stat.S_ISREG(found.st_mode) else 0


def share(database: Path) -> None:
    """Make sure that the group may open this database; an empty one is made if there is none.

    Called by the file's writer before it opens it. Never raises: what is wrong with the place is
    told by whoever then opens the file. What belongs to somebody else is left alone.
    """
    with contextlib.suppress(OSError):
        database.parent.mkdir(parents=True, exist_ok=True)
        # Only a new file is opened here: closing one that SQLite has open would drop its locks (fcntl(2)).
        os.close(os.open(database, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SHARED))
    for file in companions(database):
        with contextlib.suppress(OSError):
            if not file.is_symlink():
                file.chmod(SHARED)
