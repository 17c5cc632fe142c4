"""Opens `cache.db`: its tables brought up to date, and a damaged file set aside first.

Everything in a cache is at the hub as well, so a damaged one is replaced and not repaired.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import structlog

from gate.common.errors import MagueyError, StoreError
from gate.store.file_errors import DamagedError, file_error_in_words
from gate.store.shared_files import share
from gate.store.sqlite_tables import Database, Migrations
from sync.cache.rows import SQL

LOG_BYTES = 4 * 1024 * 1024
"""Size the write-ahead log is cut back to; loading a large night makes it grow beyond that for a while."""
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


class DamagedCacheError(MagueyError):
    """The cache turned out to be damaged while it was in use."""


def _running(statements: str) -> Callable[[Database], None]:
    def migrate(db: Database) -> None:
        for statement in SQL[statements].split(";\n"):
            db.execute(statement)

    return migrate


MIGRATIONS = Migrations("cache")
MIGRATIONS(name="first")(_running("schema"))
for _name in ("annulments", "second_layout", "third_layout", "fourth_layout"):
    MIGRATIONS(name=_name)(_running(_name))


def open_cache(path: Path, now: Callable[[], datetime]) -> sqlite3.Connection:
    """A connection in WAL mode, every table in its newest form.

    :param now: the time, for the name of a damaged file.
    """
    why = _damage(path)
    if why is not None:
        _set_aside(path, why, f"{now():%Y%m%dT%H%M%SZ}")
    share(path)
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    db.execute("pragma journal_mode=wal")
    db.execute("pragma synchronous=normal")
    db.execute(f"pragma journal_size_limit={LOG_BYTES}")
    MIGRATIONS.apply(Database(db))
    return db


@contextlib.contextmanager
def cache_error_in_words(path: Path) -> Iterator[None]:
    """Turns errors of SQLite and the disk into ours, with what to do next.

    :raises DamagedCacheError: the file is damaged.
    :raises StoreError: it cannot be opened, read or written.
    """
    try:
        yield
    except StoreError:
        raise
    except (sqlite3.Error, OSError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            raise DamagedCacheError(
                f"{path}: {error}. The cache is damaged. maguey-sync has to be restarted: it then "
                "sets the file aside and fetches everything from the hub."
            ) from error
        raise StoreError(
            f"{path}: {error}. The gate decides from what it has. Check the disk (df -h, dmesg)."
        ) from error


def _damage(path: Path) -> str | None:
    """What is damaged about a cache; None: it is sound, or not there yet. Changes nothing in it."""
    if not path.exists() or not path.stat().st_size:
        return None
    try:
        with (
            file_error_in_words(path),
            contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
        ):
            (verdict,) = db.execute(SQL["integrity"]).fetchone()
            if verdict != "ok":
                return str(verdict)
            spoiled = MIGRATIONS.pending(Database(db)) == [] and db.execute(SQL["spoiled_rows"]).fetchone()
            return "holds rows that are not JSON" if spoiled else None
    except DamagedError as error:
        return str(error)
    except StoreError:
        return None  # the disk: opening the file fails next, and says so


def _set_aside(path: Path, why: str, stamp: str) -> None:
    """Move a damaged cache away, its log first: without the log the file is only older.

    Only the newest is kept. Everything in it is at the hub.
    """
    for older in path.parent.glob(f"{path.stem}.damaged-*"):
        older.unlink()
    for end in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(
                path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}{end}")
            )
    structlog.get_logger().error(
        "damaged cache set aside",
        why=why,
        set_aside=f"{path.stem}.damaged-{stamp}{path.suffix}",
        advice="Everything is fetched again from the hub. The card may be failing: look into dmesg.",
    )
