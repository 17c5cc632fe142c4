"""Gates are added and renamed by command, and the broker learns of them by itself."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hub.authority.service import authority_worker
from hub.cli.main import app
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.gates.revocation import revoke
from hub.gates.roster import GateEntry, add_gate
from sync.wire.topics import Topics
from tests.club import VENUE, certified, open_venue, quiet_venue
from tests.integration.hub.world import START, World
from tests.patience import PATIENCE_S, until


def gate(config: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["gate", *words, "--config", str(config), "--actor", "Eva"])
    return done.exit_code, done.output


def test_a_gate_is_added_once_and_serves_further_nights_when_it_is_added_again(
    config_file: Path, world: World
) -> None:
    first, second = world.event("PF"), world.event("PS")
    assert gate(config_file, "add", "gate-7", "--event", "PF") == (
        0,
        "gate-7 (GATE 7) is added, for 1 night\n",
    )
    again = gate(config_file, "add", "gate-7", "--event", "PF", "--event", "PS")
    assert again == (0, "gate-7 was there already; it serves 1 night more\n")
    assert gate(config_file, "add", "gate-7") == (0, "gate-7 is there already\n")
    assert gate(config_file, "rename", "gate-7", "--name", "YARD") == (0, "gate-7 is YARD now\n")
    assert world.all("SELECT gate_id, name, epoch FROM gates") == [("gate-7", "YARD", None)]
    served = {str(row[0]) for row in world.all("SELECT event_id FROM gate_events")}
    assert served == {first, second}
    audit = world.all("SELECT actor, action, target FROM audit_log ORDER BY created_at")
    assert audit == [("Eva", action, "gate-7") for action in ("add gate", "add gate", "rename gate")]


@pytest.mark.parametrize(
    "call",
    [
        (("add", "a b"), 2, "no gate's id"),
        (("add", "x" * 65), 2, "no gate's id"),
        (("add", "maguey-hub-1"), 2, "the hub's own"),
        (("add", "gate-1", "--name", "a\nb"), 2, "cannot be printed"),
        (("add", "gate-1", "--name", "x" * 121), 2, "at most 120"),
        (("add", "gate-1", "--event", "NOPE"), 2, "no night"),
        (("add", "gone"), 1, "never used again"),
        (("add", "elsewhere"), 1, "another venue"),
        (("rename", "nobody", "--name", "x"), 2, "has no gate"),
        (("rename", "gone", "--name", " "), 2, "is empty"),
    ],
)
def test_a_wrong_call_changes_nothing_and_says_what_was_expected(
    config_file: Path, config: HubConfig, world: World, call: tuple[tuple[str, ...], int, str]
) -> None:
    words, code, says = call
    world.gate("gone", "", venue=config.venue)
    world.run("UPDATE gates SET status = 'revoked', revoked_at = now()")
    world.gate("elsewhere", "", venue="cantina")
    exit_code, output = gate(config_file, *words)
    assert (exit_code, says in output) == (code, True), output
    assert world.one("SELECT count(*) FROM gates") == 2
    assert world.one("SELECT count(*) FROM audit_log") == 0


def test_a_gate_that_is_added_may_speak_once_the_broker_was_started_again(
    dsn: str, conn: Connection, tmp_path: Path
) -> None:
    add_gate(conn, VENUE, GateEntry(gate_id="gate-1"), "Eva")
    with open_venue(tmp_path, dsn) as venue, authority_worker(venue.config):
        venue.restart_broker()
        running = venue.broker.process
        assert running is not None
        add_gate(conn, VENUE, GateEntry(gate_id="gate-2"), "Eva")
        assert running.wait(PATIENCE_S) == 0  # by the authority; systemd would start it again
        venue.broker.start()
        client = venue.client("gate-2", certified(conn, "gate-2", tmp_path))
        assert client.next_told() == "connected"
        client.hear(Topics(venue=VENUE).ack("gate-2"))
        client.close()


def test_a_revocation_waits_for_a_broker_that_is_away_and_goes_on_by_itself(
    dsn: str, conn: Connection, world: World, tmp_path: Path
) -> None:
    add_gate(conn, VENUE, GateEntry(gate_id="gate-1"), "Eva")
    with open_venue(tmp_path, dsn) as venue, authority_worker(venue.config):
        venue.restart_broker()
        identity = certified(conn, "gate-1", tmp_path)
        venue.broker.stop()
        revoke(conn, VENUE, "gate-1", actor="Eva", reason="gone", now=START)
        until(lambda: world.one("SELECT trouble FROM revocations"))
        assert "does not answer" in world.one("SELECT trouble FROM revocations")
        venue.broker.start()
        until(lambda: world.one("SELECT refused_at FROM revocations"))
        assert world.one("SELECT trouble FROM revocations") == ""
        client = venue.client("gate-1", identity)
        assert client.next_told() == "lost"
        client.close()


def test_the_service_ends_when_it_is_told_and_says_what_it_lacks(
    dsn: str, conn: Connection, tmp_path: Path
) -> None:
    config = quiet_venue(tmp_path, dsn)
    file = tmp_path / "hub.toml"
    text = f'venue = "{VENUE}"\n[postgres]\ndsn = "{dsn}"\n[authority]\n'
    text += f'broker_dir = "{config.authority.broker_dir}"\n'
    command = [sys.executable, "-m", "hub.cli.main", "authority", "serve", "--config", str(file)]
    file.write_text(text + f'dir = "{tmp_path}/none"\n')
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "maguey-hub authority init" in done.stderr) == (1, True)
    file.write_text(text + f'dir = "{config.authority.dir}"\nbroker_pid_file = "{tmp_path}/none.pid"\n')
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        until((Path(config.authority.dir) / "told.json").exists)
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE_S) == 0
