"""Housekeeping: every step each hour; a second run has no effect, and two at the same time do no harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.testing import CliRunner

from demo.servers import Postgres
from hub.cli.main import app
from hub.db.connection import Connection, connect
from hub.keeping.hourly import HourlyResult, Keeping, housekeep
from tests.integration.hub.test_archive import keep, part, parts
from tests.integration.hub.world import World

NOW = datetime(2027, 4, 20, 12, 0, tzinfo=UTC)

NO_BACKUP = "backups: none was made yet; systemctl enable --now maguey-hub-backup.timer"


def lines(conn: Connection) -> list[str]:
    steps = list(housekeep(conn, Keeping(), NOW))
    assert not [step for step in steps if step.failed]
    return [step.line for step in steps]


def fill(world: World) -> None:
    """Something for every step."""
    night = world.event()
    world.run("UPDATE events SET doors_open_at = '2027-04-01', starts_at = NULL, ends_at = '2027-04-02'")
    world.reservation(night)
    coming = world.event("CO")
    world.run(
        "UPDATE events SET doors_open_at = '2027-05-01', starts_at = NULL, ends_at = '2027-05-02'"
        " WHERE id = %s",
        coming,
    )
    world.reservation(coming, "pending")
    world.run("UPDATE vip_reservations SET created_at = '2027-04-20 11:29:00Z' WHERE status = 'pending'")
    world.run(
        "INSERT INTO webhook_events (stripe_event_id, processed_at)"
        " VALUES ('old', '2027-03-01'), ('new', %s)",
        NOW,
    )
    world.run(
        "INSERT INTO email_queue (recipient, kind, attempts, sent_at, updated_at) VALUES"
        " ('a@example.com', 'ticket', 1, '2027-03-01', now()), ('b@example.com', 'ticket', 1, %s, now()),"
        " ('c@example.com', 'ticket', 5, NULL, '2027-03-01'),"
        " ('d@example.com', 'ticket', 4, NULL, '2027-03-01')",
        NOW,
    )
    part(world, "2026-02")
    part(world, "2026-03")
    keep(world, "2026-02")
    keep(world, "2026-03")


def test_every_step_does_its_work_and_says_so(world: World, conn: Connection) -> None:
    fill(world)
    assert lines(conn) == [
        "nights: 1 nights, 1 reservations completed",
        "reservations: 1 released that were not paid in 30 minutes",
        "months of scans: made 2027-04, 2027-05, 2027-06, 2027-07",
        "webhooks: 1 forgotten that are older than 30 days",
        "mail: 2 purged that were sent or given up 30 days ago",
        "old scans: 2026-02 archived (3 scans)",
        "certificates: none ends within 90 days",
        NO_BACKUP,
    ]
    assert parts(world) == {"2026_03": 3}
    assert world.all("SELECT recipient FROM email_queue ORDER BY 1") == [
        ("b@example.com",),
        ("d@example.com",),
    ]


def test_the_second_time_there_is_nothing_to_do(world: World, conn: Connection) -> None:
    fill(world)
    lines(conn)
    assert lines(conn) == [
        "nights: 0 nights, 0 reservations completed",
        "reservations: 0 released that were not paid in 30 minutes",
        "months of scans: all there",
        "webhooks: 0 forgotten that are older than 30 days",
        "mail: 0 purged that were sent or given up 30 days ago",
        "old scans: nothing older than 13 months",
        "certificates: none ends within 90 days",
        NO_BACKUP,
    ]


def test_two_sessions_at_once_do_the_work_once(world: World, conn: Connection, dsn: str) -> None:
    fill(world)
    with connect(dsn) as other:
        other.execute("SELECT try_lock('housekeeping')")
        assert lines(conn)[0] == "nights: another session is doing it"
        assert world.one("SELECT count(*) FROM events WHERE status = 'completed'") == 0
    assert lines(conn)[0] == "nights: 1 nights, 1 reservations completed"


def test_a_step_that_fails_stops_none_of_the_others(world: World, conn: Connection) -> None:
    fill(world)
    world.run("DROP FUNCTION purge_mail(interval, timestamptz)")
    steps = list(housekeep(conn, Keeping(), NOW))
    assert [step.failed for step in steps] == [False] * 4 + [True, False, False, False]
    assert steps[4].line.startswith(
        "mail: failed, and will be tried again: the database is not migrated: run "
    )
    assert steps[5] == HourlyResult(line="old scans: 2026-02 archived (3 scans)")


def test_a_newest_backup_that_is_too_old_is_reported(world: World, conn: Connection) -> None:
    wanted = "INSERT INTO backups (name, taken_at, size_bytes, row_count) VALUES ('b', %s, 1, 1)"
    world.run(wanted, NOW - timedelta(hours=40))
    assert list(housekeep(conn, Keeping(), NOW))[-1].failed
    world.run(wanted, NOW - timedelta(hours=3))
    assert lines(conn)[-1] == "backups: the newest is 3 h old"


def test_the_command_prints_a_line_per_step_and_fails_if_a_step_did(world: World, config_file: Path) -> None:
    done = CliRunner().invoke(app, ["housekeeping", "--config", str(config_file)])
    assert (done.exit_code, len(done.output.splitlines())) == (0, 8), done.output
    world.run("DROP FUNCTION purge_mail(interval, timestamptz)")
    assert CliRunner().invoke(app, ["housekeeping", "--config", str(config_file)]).exit_code == 1


def test_a_database_that_is_not_migrated_is_reported_once(server: Postgres, tmp_path: Path) -> None:
    file = tmp_path / "empty.toml"
    file.write_text(f'venue = "v"\n[postgres]\ndsn = "{server.dsn}"\n')
    done = CliRunner().invoke(app, ["housekeeping", "--config", str(file)])
    assert (done.exit_code, len(done.output.splitlines())) == (1, 1), done.output
    assert done.output.startswith(
        "maguey-hub: Postgres: the database is not migrated: run 'maguey-hub migrate' ("
    )


def test_the_archive_command_first_shows_what_it_would_do(world: World, config_file: Path) -> None:
    part(world, "2020-02")
    keep(world, "2020-02", 1200)
    command = ["archive", "--config", str(config_file)]
    assert CliRunner().invoke(app, [*command, "--dry-run"]).output == (
        "2020-02: 1,200 scans would be counted and dropped\n"
    )
    assert CliRunner().invoke(app, command).output == "2020-02: 1,200 scans counted and dropped\n"
    assert CliRunner().invoke(app, command).output.startswith("no scans from before 20")
    assert CliRunner().invoke(app, [*command, "--months", "1"]).exit_code == 2
