"""Makes backups: the database and the files without which its gates would not know the hub again.

One file, written beside its name, read back, and only then given it. So whatever has the name of a backup is
whole, and the older ones go only after that.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from grp import getgrgid
from importlib.metadata import version
from pathlib import Path
from typing import IO

import msgspec
from psycopg import sql

from hub.db.client_programs import BY_SERVICE, await_end, client_programs, feed_program
from hub.db.connection import Connection, connect
from hub.db.statements import query
from hub.keeping.backup_file import (
    DUMP,
    FILE_BYTES,
    FORMAT,
    MODE,
    MOST_FILES,
    BackupError,
    BackupManifest,
    BackupWriter,
    KeptFile,
    check_backup,
    member,
    open_backup,
)

RESERVE_BYTES = 256 << 20
"""What a backup leaves free: Postgres may be on the same disk, and stops when that is full."""
_NAME = re.compile(r"maguey-\d{8}T\d{6}Z\.tar")
_LOCK = ".lock"
_UNFINISHED = ".unfinished"
_KEPT = "No backup was made; the older ones are as they were."


class BackupOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to back up, and where to.

    `dsn`: of the owner of the tables. `files`: files and folders to take along. `keep`: how many backups
    stay, this one included.
    """

    dsn: str
    venue: str
    folder: Path
    files: tuple[str, ...]
    keep: int


class BackupDone(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was made and read back. `missing`: what was to be taken along and is not there."""

    file: Path
    size: int
    manifest: BackupManifest
    missing: tuple[str, ...]
    removed: tuple[str, ...]


def take_backup(order: BackupOrder, now: datetime) -> BackupDone:
    """Make a backup, and remove the oldest.

    :param now: in UTC; it becomes the file's name.
    :raises HubError: there is none; the older ones are untouched.
    """
    with _alone(order.folder):
        _remove_unfinished(order.folder)
        file = order.folder / f"maguey-{now:%Y%m%dT%H%M%SZ}.tar"
        if file.exists():
            raise BackupError(f"{file} is there already: one is made a second at most.")
        found, missing = _look_for(order.files)
        manifest = _write(order, file, found, now)
        removed = _prune(order, file)
        with contextlib.closing(connect(order.dsn, autocommit=True)) as conn:
            size = file.stat().st_size
            conn.execute(
                query("note_backup"),
                {"name": file.name, "taken_at": now, "size": size, "rows": manifest.row_count},
            )
    return BackupDone(file=file, size=size, manifest=manifest, missing=missing, removed=removed)


def newest_backup(conn: Connection) -> datetime | None:
    """When the newest backup known to this database was made; None if none was."""
    row = conn.execute(query("newest_backup")).fetchone()
    taken_at: datetime | None = row["taken_at"] if row else None
    return taken_at


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One backup at a time in a folder. Raises `BackupError`, also for what goes wrong with files in it."""
    try:
        with (folder / _LOCK).open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
    except BlockingIOError:
        raise BackupError(f"{folder}: another backup is being made. {_KEPT}") from None
    except FileNotFoundError as error:
        raise BackupError(f"{error.filename}: there is no such file or folder. {_KEPT}") from None
    except OSError as error:
        raise BackupError(f"{error.filename or folder}: {error.strerror}. {_KEPT}") from None


def _remove_unfinished(folder: Path) -> None:
    """What was left by one that was killed."""
    for left in folder.glob(f"maguey-*{_UNFINISHED}"):
        left.unlink()


def _write(order: BackupOrder, file: Path, found: Sequence[Path], now: datetime) -> BackupManifest:
    new = file.with_name(file.name + _UNFINISHED)
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_RDWR | os.O_EXCL, MODE), "w+b") as opened:
            manifest = _fill(order, opened, found, now)
            opened.flush()
            os.fsync(opened.fileno())
        check_backup(new)
        _check_dump(order, new)
        new.rename(file)
        _sync_folder(order.folder)
    finally:
        new.unlink(missing_ok=True)
    return manifest


def _fill(order: BackupOrder, opened: IO[bytes], found: Sequence[Path], now: datetime) -> BackupManifest:
    writer = BackupWriter(opened)
    with contextlib.closing(connect(order.dsn)) as conn:
        conn.execute(query("read_only_snapshot"))
        state = conn.execute(query("read_as_dumped")).fetchone() or {}
        _check_room(order.folder, state["size"])
        rows = row_counts(conn)
        size, sha256 = _dump(order, writer, state["snapshot"], now)
    manifest = BackupManifest(
        format=FORMAT,
        taken_at=now,
        venue=order.venue,
        version=version("maguey-gate"),
        server=state["server"],
        database=state["database"],
        sha256=sha256,
        size=size,
        rows=rows,
        files=tuple(_add_file(writer, path, number, now) for number, path in enumerate(found, start=1)),
    )
    writer.finish(manifest)
    return manifest


def _check_room(folder: Path, database_bytes: int) -> None:
    """Before anything is written: a dump is compressed and without indexes, so smaller than its database."""
    newest = max(_backups(folder), default=None)
    needed = min(database_bytes, newest.stat().st_size * 2 if newest else database_bytes) + RESERVE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackupError(
            f"{folder}: {free >> 20} MiB are free, and {needed >> 20} MiB are needed, of which "
            f"{RESERVE_BYTES >> 20} stay free. {_KEPT} Make room, keep fewer (--keep), or use another disk."
        )


def row_counts(conn: Connection) -> dict[str, int]:
    """The rows of each table."""
    found = {}
    for table in conn.execute(query("dumped_tables")).fetchall():
        name = sql.Identifier(table["schema"], table["name"])
        row = conn.execute(sql.SQL("SELECT count(*) AS count FROM {}").format(name)).fetchone() or {}
        found[f"{table['schema']}.{table['name']}"] = row["count"]
    return found


def _dump(order: BackupOrder, writer: BackupWriter, snapshot: str, now: datetime) -> tuple[int, str]:
    with client_programs(order.dsn) as programs, tempfile.TemporaryFile() as errors:
        arguments = ("--format=custom", "--lock-wait-timeout=60s", f"--snapshot={snapshot}", BY_SERVICE)
        dump = programs.start(
            "pg_dump", *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, errors=errors
        )
        with dump:
            assert dump.stdout is not None
            try:
                done = writer.add_stream(DUMP, dump.stdout, now)
            except BaseException:
                dump.kill()  # it would wait for somebody to read
                raise
            await_end(dump, "pg_dump", errors)
    return done


def _check_dump(order: BackupOrder, file: Path) -> None:
    """That pg_restore understands it."""
    with client_programs(order.dsn) as programs, tempfile.TemporaryFile() as errors, open_backup(file) as tar:
        listing = programs.start(
            "pg_restore", "--list", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, errors=errors
        )
        with listing:
            feed_program(listing, member(file, tar, DUMP))  # the list is at the beginning
            await_end(listing, "pg_restore --list", errors)


def _look_for(wanted: Sequence[str]) -> tuple[list[Path], tuple[str, ...]]:
    """The regular files among these and below them, and what is not there."""
    missing = tuple(path for path in wanted if not Path(path).exists())
    found = [file for path in wanted if path not in missing for file in _regular(Path(path))]
    if len(found) > MOST_FILES:
        raise BackupError(f"[backup] files: {len(found)} files, at most {MOST_FILES}. {_KEPT}")
    return found, missing


def _regular(path: Path) -> Iterator[Path]:
    """Symbolic links are not followed: below `path` they may lead anywhere."""
    yield from (file for file in sorted(_below(path)) if file.is_file() and not file.is_symlink())


def _below(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path, onerror=_refuse):
        yield from (Path(folder) / name for name in names)


def _refuse(error: OSError) -> None:
    """A folder that cannot be read is not left out in silence."""
    raise error


def _add_file(writer: BackupWriter, path: Path, number: int, now: datetime) -> KeptFile:
    with path.open("rb") as opened:
        found = os.fstat(opened.fileno())
        data = opened.read(FILE_BYTES + 1)
    if len(data) > FILE_BYTES:
        raise BackupError(f"{path}: more than {FILE_BYTES >> 20} MiB, too large for [backup] files. {_KEPT}")
    name = f"files/{number:04}-{path.name}"[:90]
    writer.add_bytes(name, data, now)
    return KeptFile(
        path=str(path.absolute()),
        member=name,
        sha256=hashlib.sha256(data).hexdigest(),
        mode=stat.S_IMODE(found.st_mode),
        owner=_user(found.st_uid),
        group=_group(found.st_gid),
    )


def _user(number: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _group(number: int) -> str:
    with contextlib.suppress(KeyError):
        return getgrgid(number).gr_name
    return str(number)


def _backups(folder: Path) -> list[Path]:
    """The backups in a folder, the oldest first."""
    return sorted(file for file in folder.iterdir() if _NAME.fullmatch(file.name))


def _prune(order: BackupOrder, new: Path) -> tuple[str, ...]:
    """Remove the oldest beyond `keep`. The new one stays, even if the clock went back and it seems older."""
    others = [file for file in _backups(order.folder) if file != new]
    removed = others[: max(0, len(others) - (order.keep - 1))]
    for file in removed:
        file.unlink()
    return tuple(file.name for file in removed)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
