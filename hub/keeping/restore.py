"""Puts a backup back: the database into an empty one, the files beside it to where they were."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec
import psycopg

from hub.db.client_programs import BY_SERVICE, ProgramError, await_end, client_programs, feed_program
from hub.db.connection import Connection, connect, retry_conflicts
from hub.db.migrate import migrate
from hub.db.statements import query
from hub.errors import NOTHING_CHANGED, UsageError
from hub.keeping.backup import row_counts
from hub.keeping.backup_file import (
    DUMP,
    BackupError,
    BackupManifest,
    KeptFile,
    check_backup,
    member,
    open_backup,
    small_member,
)

_MOST_NAMED = 5


class RestoreDone(msgspec.Struct, frozen=True, kw_only=True):
    """`migrated`: what was brought up to date. `nights`: whose lists the gates load again."""

    manifest: BackupManifest
    migrated: tuple[str, ...]
    nights: int


def restore_backup(file: Path, dsn: str, actor: str) -> RestoreDone:
    """Put a backup's database into an empty one, and have the gates load their nights from it.

    :param dsn: of the login that is to own the tables.
    :raises UsageError: the database is not empty.
    :raises HubError: it did not work; the message says how far it came.
    """
    manifest = check_backup(file)
    with contextlib.closing(connect(dsn, autocommit=True)) as conn:
        _check_empty(conn)
        _make_roles(conn)
    _load(file, dsn)
    with contextlib.closing(connect(dsn, autocommit=True)) as conn:
        _compare(conn, manifest)
        migrated = migrate(dsn)
        said = {
            "actor": actor,
            "reason": f"the backup of {manifest.taken_at:%Y-%m-%d %H:%M} UTC, {file.name}",
        }
        row = retry_conflicts(lambda: conn.execute(query("feed_restored"), said).fetchone())
    return RestoreDone(manifest=manifest, migrated=tuple(migrated), nights=row["nights"] if row else 0)


def _check_empty(conn: Connection) -> None:
    found = (conn.execute(query("anything_there")).fetchone() or {})["count"]
    if found:
        name = conn.info.dbname
        raise UsageError(
            NOTHING_CHANGED,
            [
                f"--into: the database '{name}' has {found} tables and functions, and a backup goes into an "
                f'empty one. Put the old one aside: ALTER DATABASE "{name}" RENAME TO …, and make a new one.'
            ],
        )


def _make_roles(conn: Connection) -> None:
    try:
        conn.execute(query("make_roles"))
    except psycopg.errors.InsufficientPrivilege:
        user = conn.info.user
        raise BackupError(
            f"The roles anon, authenticated and service_role are missing, and '{user}' may not create them. "
            f'{NOTHING_CHANGED}. Have an administrator run: ALTER ROLE "{user}" CREATEROLE.'
        ) from None


def _load(file: Path, dsn: str) -> None:
    """All or nothing: one transaction."""
    arguments = ("--exit-on-error", "--single-transaction", "--no-owner", BY_SERVICE)
    with client_programs(dsn) as programs, tempfile.TemporaryFile() as errors, open_backup(file) as tar:
        dump = member(file, tar, DUMP)
        restoring = programs.start(
            "pg_restore", *arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, errors=errors
        )
        with restoring:
            feed_program(restoring, dump)
            try:
                await_end(restoring, "pg_restore", errors)
            except ProgramError as error:
                raise BackupError(f"{error} The database is as empty as before.") from None


def _compare(conn: Connection, manifest: BackupManifest) -> None:
    found = row_counts(conn)
    wrong = [
        f"{table} has {found.get(table, 0)} rows instead of {count}"
        for table, count in manifest.rows.items()
        if found.get(table) != count
    ]
    if wrong:
        raise BackupError(
            f"Restored, but not as it was backed up: {'; '.join(wrong[:_MOST_NAMED])}. Does a hub run on "
            "this database already? Stop it, drop the database, and restore again."
        )


def put_files_back(file: Path, root: Path) -> tuple[str, ...]:
    """Write the files of a backup below `root`, each where it was. Those that are there as they were stay.

    As root they get their owners back, if these exist.

    :returns: the paths that were written.
    :raises BackupError: one of them is there and differs, or cannot be written.
    """
    manifest = check_backup(file)
    with open_backup(file) as tar:
        contents = {kept.member: small_member(file, tar, kept.member) for kept in manifest.files}
    waiting = [(kept, _place(root, kept), contents[kept.member]) for kept in manifest.files]
    try:
        waiting = [(kept, place, data) for kept, place, data in waiting if not _is_there(place, data)]
        if differing := [str(place) for _, place, _ in waiting if os.path.lexists(place)]:
            raise BackupError(
                f"There already, and not as in the backup: {', '.join(differing[:_MOST_NAMED])}. Nothing was "
                "written. Move them away, or choose another folder."
            )
        for kept, place, data in waiting:
            _put(kept, place, data)
    except OSError as error:
        raise BackupError(
            f"{error.filename or root}: {error.strerror}. Not all files were written."
        ) from None
    return tuple(str(place) for _, place, _ in waiting)


def _place(root: Path, kept: KeptFile) -> Path:
    parts = Path(kept.path).parts[1:]
    if not parts or ".." in parts or not kept.path.startswith("/") or "\0" in kept.path:
        raise BackupError(f"The backup names a file {kept.path[:200]!r}, which no backup of a hub has.")
    return root.joinpath(*parts)


def _is_there(place: Path, data: bytes) -> bool:
    return place.is_file() and not place.is_symlink() and place.read_bytes() == data


def _put(kept: KeptFile, place: Path, data: bytes) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(place, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(handle)
    if os.geteuid() == 0:
        for owner in ({"user": kept.owner}, {"group": kept.group}):
            with contextlib.suppress(LookupError):  # no such account on this machine
                shutil.chown(place, **owner)
    place.chmod(kept.mode & 0o777)
