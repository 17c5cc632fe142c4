"""Backups are whole or not there, readable by their owner alone, and restored as they were."""

from __future__ import annotations

import fcntl
import itertools
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from demo.servers import Postgres
from hub.cli.main import app
from hub.db.connection import Connection, connect
from hub.db.migrate import dump_schema
from hub.errors import HubError, UsageError
from hub.keeping import backup as backup_module
from hub.keeping.backup import BackupOrder, newest_backup, row_counts, take_backup
from hub.keeping.backup_file import BackupError, check_backup, read_manifest
from hub.keeping.restore import put_files_back, restore_backup
from tests.integration.hub.test_ingest import take
from tests.integration.hub.world import World, record

NOW = datetime(2026, 11, 30, 5, 30, tzinfo=UTC)
PASSWORD = "pa55-word of:the=owner\\"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder of secrets."""
    folder = tmp_path / "keys"
    (folder / "ca").mkdir(parents=True)
    (folder / "command.key").write_text("the key of orders")
    (folder / "command.key").chmod(0o600)
    (folder / "ca" / "ca.key").write_text("the authority's key")
    (folder / "elsewhere").symlink_to("/etc/passwd")
    return folder


@pytest.fixture
def order(owner_dsn: str, tmp_path: Path, keys: Path) -> BackupOrder:
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    (tmp_path / "single.toml").write_text("the configuration")
    files = (str(keys), str(tmp_path / "none"), str(tmp_path / "single.toml"))
    return BackupOrder(dsn=owner_dsn, venue="main", folder=folder, files=files, keep=3)


@pytest.fixture
def empty(server: Postgres) -> Iterator[Callable[[], str]]:
    """Makes an empty database; returns its connection string as its owner."""
    names = (f"restored_{number}_{os.getpid()}" for number in itertools.count(1))
    made: list[str] = []

    def make() -> str:
        made.append(next(names))
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {made[-1]}".encode())
        return server.database(made[-1])

    yield make
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        for name in made:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def spies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script in the place of a program of Postgres."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(program: str, script: str) -> None:
        (folder / program).write_text(f"#!/bin/sh\n{script}\n")
        (folder / program).chmod(0o755)

    return put


def night(world: World, conn: Connection) -> None:
    """Tickets, a table, scans that have an effect."""
    event = world.event()
    world.gate("gate-1", "0" * 64, event)
    tickets = [world.ticket(event, f"Guest {number}") for number in range(5)]
    world.link(world.reservation(event), tickets[0])
    take(conn, *(record(seq, subject_id=ticket) for seq, ticket in enumerate(tickets[:3], start=1)))


def rows(dsn: str) -> dict[str, list[str]]:
    """All rows of all tables, apart from what every migration and every backup notes."""
    with connect(dsn, autocommit=True) as conn:
        tables = [name for name in row_counts(conn) if "yoyo" not in name and name != "public.backups"]
        return {
            name: [
                row["it"] for row in conn.execute(f"SELECT t::text AS it FROM {name} t ORDER BY 1".encode())
            ]
            for name in tables
        }


def test_a_restored_night_has_the_same_rows_rights_and_functions(
    world: World, conn: Connection, order: BackupOrder, empty: Callable[[], str]
) -> None:
    night(world, conn)
    before, schema = rows(order.dsn), dump_schema(order.dsn)
    done = take_backup(order, NOW)
    world.run("DELETE FROM vip_linked_tickets")
    into = empty()
    restored = restore_backup(done.file, into, "Ana")
    assert (restored.nights, restored.migrated) == (1, ())
    after = rows(into)
    changed = {name for name in before if before[name] != after[name]}
    # the night's list begins a new generation, and it is recorded by whom
    assert changed == {"public.events", "public.audit_log"}
    assert [len(found) for name, found in before.items() if "scan_logs_" in name and found] == [3]
    assert dump_schema(into) == schema
    with connect(make_conninfo(into, user="maguey_hub"), autocommit=True) as hub:
        take(hub, record(4))
        found = hub.execute("SELECT feed_generation FROM events").fetchall()
    assert found[0]["feed_generation"] > 1


def test_a_backup_is_read_back_noted_and_its_owners_alone(
    world: World, conn: Connection, order: BackupOrder, keys: Path
) -> None:
    night(world, conn)
    done = take_backup(order, NOW)
    assert done.file.name == "maguey-20261130T053000Z.tar"
    assert stat.S_IMODE(done.file.stat().st_mode) == 0o600
    assert check_backup(done.file) == done.manifest
    assert done.manifest.rows["public.tickets"] == 5
    assert [Path(kept.path).name for kept in done.manifest.files] == ["ca.key", "command.key", "single.toml"]
    assert done.missing == (order.files[1],)
    assert newest_backup(conn) == NOW
    assert [name.name for name in order.folder.iterdir() if name.suffix == ".tar"] == [done.file.name]


def test_the_oldest_go_and_the_new_one_stays_even_if_the_clock_went_back(order: BackupOrder) -> None:
    times = [NOW + timedelta(days=day) for day in (1, 2, 3, 0)]
    done = [take_backup(order, at) for at in times]
    assert [each.removed for each in done] == [(), (), (), (done[0].file.name,)]
    assert sorted(file.name for file in order.folder.glob("*.tar")) == sorted(
        each.file.name for each in done[1:]
    )


def test_files_go_back_to_where_they_were_with_their_modes(
    order: BackupOrder, keys: Path, tmp_path: Path
) -> None:
    done = take_backup(order, NOW)
    root = tmp_path / "new machine"
    root.mkdir()
    written = put_files_back(done.file, root)
    place = root / keys.relative_to("/") / "command.key"
    assert (str(place) in written, place.read_text()) == (True, "the key of orders")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert put_files_back(done.file, root) == ()
    place.write_text("another key")
    with pytest.raises(BackupError, match="There already, and not as in the backup"):
        put_files_back(done.file, root)
    assert place.read_text() == "another key"


def cut(data: bytes) -> bytes:
    return data[:-20_000]


def flip(data: bytes) -> bytes:
    return data[:9000] + bytes([data[9000] ^ 1]) + data[9001:]


@pytest.mark.parametrize("harm", [cut, flip, lambda _: b"", lambda _: os.urandom(4096)])
def test_a_damaged_backup_is_refused_before_anything_is_restored(
    order: BackupOrder, empty: Callable[[], str], harm: Callable[[bytes], bytes]
) -> None:
    done = take_backup(order, NOW)
    done.file.write_bytes(harm(done.file.read_bytes()))
    into = empty()
    with pytest.raises(BackupError):
        restore_backup(done.file, into, "Ana")
    with connect(into) as conn:
        assert row_counts(conn) == {}


def test_a_backup_of_another_format_says_which_version_reads_it(order: BackupOrder, tmp_path: Path) -> None:
    done = take_backup(order, NOW)
    data = done.file.read_bytes()
    done.file.write_bytes(data.replace(b'{"format":1,', b'{"format":2,'))
    with pytest.raises(BackupError, match="of format 2, made by version"):
        read_manifest(done.file)


def test_a_database_that_is_not_empty_is_refused(order: BackupOrder) -> None:
    done = take_backup(order, NOW)
    before = rows(order.dsn)
    with pytest.raises(UsageError, match="a backup goes into an empty one"):
        restore_backup(done.file, order.dsn, "Ana")
    assert rows(order.dsn) == before


def test_a_restore_that_fails_leaves_the_database_empty(
    order: BackupOrder, empty: Callable[[], str], spies: Callable[[str, str], None]
) -> None:
    done = take_backup(order, NOW)
    into = empty()
    spies("pg_restore", 'head -c 50000 | /usr/bin/pg_restore "$@"')
    with pytest.raises(BackupError, match="as empty as before"):
        restore_backup(done.file, into, "Ana")
    with connect(into) as conn:
        assert row_counts(conn) == {}


def test_only_one_backup_is_made_at_a_time(order: BackupOrder) -> None:
    with (order.folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BackupError, match="another backup is being made"):
            take_backup(order, NOW)
    assert [*order.folder.glob("maguey-*")] == []


def test_what_a_killed_one_left_is_removed(order: BackupOrder) -> None:
    (order.folder / "maguey-20260101T000000Z.tar.unfinished").write_bytes(b"half")
    done = take_backup(order, NOW)
    assert [file.name for file in order.folder.glob("maguey-*")] == [done.file.name]


def test_a_full_disk_is_noticed_before_anything_is_written(
    order: BackupOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = take_backup(order, NOW)
    monkeypatch.setattr(backup_module, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(BackupError, match="MiB are needed"):
        take_backup(order, NOW + timedelta(days=1))
    assert [file.name for file in order.folder.glob("maguey-*")] == [first.file.name]


def test_a_login_that_may_not_see_every_row_makes_no_backup(order: BackupOrder) -> None:
    with pytest.raises((HubError, psycopg.Error), match=r"permission denied|row-level security"):
        take_backup(msgspec.structs.replace(order, dsn=make_conninfo(order.dsn, user="maguey_hub")), NOW)
    assert [*order.folder.glob("maguey-*")] == []


def test_a_file_that_cannot_be_read_is_named_and_no_backup_is_made(order: BackupOrder, keys: Path) -> None:
    (keys / "large").write_bytes(bytes((16 << 20) + 1))
    with pytest.raises(BackupError, match="too large"):
        take_backup(order, NOW)
    assert [*order.folder.glob("maguey-*")] == []


def test_no_program_is_told_a_password_by_arguments_or_environment(
    order: BackupOrder, tmp_path: Path, spies: Callable[[str, str], None]
) -> None:
    told = tmp_path / "told"
    write = f'{{ echo "$@"; env; cat "$PGSERVICEFILE"; stat -c %a "$PGSERVICEFILE"; }} > {told}'
    spies("pg_dump", f'{write}; exec /usr/bin/pg_dump "$@"')
    take_backup(msgspec.structs.replace(order, dsn=make_conninfo(order.dsn, password=PASSWORD)), NOW)
    shown, _, service = told.read_text().partition("[maguey]")
    assert PASSWORD not in shown
    assert f"password={PASSWORD}" in service
    assert service.endswith("\n600\n")


def invoke(*words: str | Path) -> tuple[int, str]:
    answer = CliRunner().invoke(app, [*map(str, words)])
    return answer.exit_code, answer.output


def configured(config_file: Path, order: BackupOrder) -> tuple[str, Path]:
    text = config_file.read_text().replace("[mqtt]", f'migrate_dsn = "{order.dsn}"\n[mqtt]')
    config_file.write_text(f'{text}[backup]\nfolder = "{order.folder}"\nfiles = ["{order.files[0]}"]\n')
    return "--config", config_file


def made(order: BackupOrder) -> Path:
    return next(order.folder.glob("*.tar"))


def test_the_commands_say_what_they_did_and_what_to_do_now(
    config_file: Path, order: BackupOrder, empty: Callable[[], str], world: World
) -> None:
    world.event()
    config = configured(config_file, order)
    code, said = invoke("backup", *config)
    assert (code, "read back, and sound" in said) == (0, True), said
    code, said = invoke("backup-show", made(order))
    assert (code, "command.key" in said, "mode 0600" in said) == (0, True, True), said
    code, said = invoke("restore", made(order), *config, "--into", empty(), "--actor", "Ana")
    assert (code, "1 nights: every gate loads them again" in said) == (0, True), said
    assert "start the hub's services" in said


def test_a_wrong_call_is_said_and_changes_nothing(config_file: Path, order: BackupOrder) -> None:
    config = configured(config_file, order)
    take_backup(order, NOW)
    assert invoke("restore", order.folder / "none.tar", *config)[0] == 2
    code, said = invoke("restore", made(order), *config, "--into", "password=x dbname=y")
    assert (code, ".pgpass" in said) == (2, True), said
    code, said = invoke("restore", made(order), *config, "--into", "nonsense")
    assert (code, "not a connection string" in said) == (2, True), said
    code, said = invoke("restore", made(order), *config)
    assert (code, "a backup goes into an empty one" in said) == (2, True), said
    code, said = invoke("backup", *config, "--out", order.folder / "none")
    assert (code, "there is no such file or folder" in said) == (1, True), said
