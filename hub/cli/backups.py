"""Commands of ``maguey-hub`` about backups: backup, backup-show, restore."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from psycopg.conninfo import conninfo_to_dict

from hub.cli.common import ConfigOption, DecidedByOption, decided_by, plain_errors
from hub.config import dsn_mistakes, read_hub_config
from hub.errors import NOTHING_CHANGED, UsageError
from hub.keeping.backup import BackupDone, BackupOrder, take_backup
from hub.keeping.backup_file import BackupManifest, check_backup
from hub.keeping.restore import RestoreDone, put_files_back, restore_backup

app = typer.Typer()

BackupArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A backup: maguey-….tar.", exists=True, dir_okay=False)
]


@app.command()
def backup(
    config: ConfigOption,
    out: Annotated[Path | None, typer.Option(help="The folder. Default: folder in hub.toml.")] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="How many stay, this one included. Default: keep in hub.toml."),
    ] = None,
) -> None:
    """Back up the database, the configuration and the hub's keys into one file, and read it back.

    As the owner of the tables (hub.toml, migrate_dsn). The oldest go only after that. Whoever has the file
    has every name and every key: it is readable by its owner alone. Exit code 1 if none was made.
    """
    with plain_errors():
        settings = read_hub_config(config)
        order = BackupOrder(
            dsn=settings.postgres.migrate_dsn or settings.postgres.dsn,
            venue=settings.venue,
            folder=out or Path(settings.backup.folder),
            files=settings.backup.files,
            keep=keep or settings.backup.keep,
        )
        done = take_backup(order, datetime.now(UTC))
    typer.echo("\n".join(backup_in_words(done)))


@app.command("backup-show")
def backup_show(
    file: BackupArgument,
    files_to: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Write its files below this folder, each where it was: / on a new machine, as root.",
        ),
    ] = None,
) -> None:
    """Check a backup and say what is in it. Exit code 1 if it is damaged."""
    with plain_errors():
        manifest = check_backup(file)
        written = put_files_back(file, files_to) if files_to else ()
    typer.echo("\n".join(manifest_in_words(manifest)))
    if files_to:
        typer.echo("\n".join(f"written: {path}" for path in written) or "all files were there already")


@app.command()
def restore(
    file: BackupArgument,
    config: ConfigOption,
    into: Annotated[
        str, typer.Option(metavar="DSN", help="An empty database. Default: migrate_dsn in hub.toml.")
    ] = "",
    actor: DecidedByOption = "",
) -> None:
    """Put a backup into an empty database, bring it up to date, and have every gate load its nights from it.

    Scans that came after the backup come again from the gates by themselves. The hub's files are not touched:
    backup-show --files-to. Exit code 2 if the database is not empty.
    """
    with plain_errors():
        if mistakes := list(_into_mistakes(into)):
            raise UsageError(NOTHING_CHANGED, mistakes)
        place = read_hub_config(config).postgres
        done = restore_backup(file, into or place.migrate_dsn or place.dsn, decided_by(actor))
    typer.echo("\n".join(restored_in_words(done)))


def _into_mistakes(into: str) -> Iterator[str]:
    if not into:
        return
    yield from (wrong := list(dsn_mistakes("--into", into)))
    if not wrong and conninfo_to_dict(into).get("password"):
        yield "--into: others on this machine can read a password here; put it into ~/.pgpass."


def backup_in_words(done: BackupDone) -> Iterator[str]:
    """What was made, and what is missing in it."""
    yield f"{done.file}: {_size(done.size)}, {_contents(done.manifest)}; read back, and sound"
    for path in done.missing:
        yield f"not there, so not in it: {path}"
    for name in done.removed:
        yield f"removed: {name}"


def manifest_in_words(manifest: BackupManifest) -> Iterator[str]:
    """What a backup holds."""
    taken = f"{manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"taken {taken} of venue '{manifest.venue}': {_contents(manifest)}"
    yield f"by version {manifest.version}, of Postgres {manifest.server}, database '{manifest.database}'"
    for kept in manifest.files:
        yield f"file: {kept.path} ({kept.owner}:{kept.group}, mode {kept.mode:04o})"


def restored_in_words(done: RestoreDone) -> Iterator[str]:
    """What was done, and what a person has to do now."""
    manifest = done.manifest
    rows = f"{manifest.row_count:,} rows of {len(manifest.rows)} tables"
    yield f"restored {rows}, as of {manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"{len(done.migrated)} migrations applied, {done.nights} nights: every gate loads them again"
    yield "Now start the hub's services: every gate sends again what this database lacks of its scans. Before"
    yield "the doors open, do again what was done since then:"
    yield "  gates that were revoked: revoke them; sales and refunds: have the shop send them"


def _contents(manifest: BackupManifest) -> str:
    files = f", {len(manifest.files)} files" if manifest.files else ""
    return f"{manifest.row_count:,} rows of {len(manifest.rows)} tables{files}"


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
