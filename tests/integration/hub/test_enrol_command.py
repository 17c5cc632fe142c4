"""``maguey-hub enrol`` and ``maguey-sync enrol`` as two people call them, over the hub's own TLS."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hub.authority.service import authority_worker
from hub.db.connection import Connection
from hub.gates.roster import GateEntry, add_gate
from sync.feed.snapshot import HubClient
from sync.identity.files import successor
from tests.club import VENUE, Venue, open_venue
from tests.integration.hub.test_cli import hub
from tests.integration.hub.world import World
from tests.patience import PATIENCE_S


@dataclass
class Place:
    """A hub that answers at `url`, and a blank machine with an SSH host key and a folder for its identity."""

    venue: Venue
    url: str
    host_key: Path
    folder: Path
    log: Path

    def token(self) -> str:
        done = hub("enrol", "gate-1", "--host-key", self.fingerprint, "--json", "--config", self.venue.file)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["token"])

    @property
    def fingerprint(self) -> str:
        command = ["ssh-keygen", "-l", "-f", str(self.host_key)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]

    def enrol(self, token: str, *more: str, url: str = "") -> subprocess.CompletedProcess[str]:
        where = ["--hub", url or self.url, "--gate", "gate-1", "--dir", self.folder, "--owner", "root"]
        command = [sys.executable, "-m", "sync.cli", "enrol", *where, "--host-key", self.host_key, *more]
        return subprocess.run(
            [*map(str, command)], input=token, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    def files(self) -> dict[str, tuple[str, bytes]]:
        return {f.name: (oct(stat.S_IMODE(f.stat().st_mode)), f.read_bytes()) for f in self.folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path, dsn: str, conn: Connection) -> Iterator[Place]:
    add_gate(conn, VENUE, GateEntry(gate_id="gate-1"), "Eva")
    host_key, log = tmp_path / "host_key", tmp_path / "web.log"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key], check=True)
    with open_venue(tmp_path, dsn) as venue, authority_worker(venue.config), venue.web(log) as url:
        venue.restart_broker()
        yield Place(venue, url, host_key, tmp_path / "identity", log)


def test_a_blank_machine_becomes_a_gate_and_a_second_run_changes_nothing(
    place: Place, world: World, tmp_path: Path
) -> None:
    token = place.token()
    done = place.enrol(token)
    assert (done.stderr, done.returncode) == ("", 0)
    made = place.files()
    modes = {name: mode for name, (mode, _) in made.items()}
    assert modes == {"ca.pem": "0o444", "gate.pem": "0o444", "gate.key": "0o400", "token": "0o400"}
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    # with them it reads its configuration over TLS, and the broker lets it in
    shown = made["token"][1].decode().strip()
    client = HubClient(place.url, "gate-1", shown, str(place.folder / "ca.pem"))
    assert client.config().gate_name == "GATE 1"
    both = tmp_path / "both.pem"
    both.write_bytes(made["gate.pem"][1] + made["gate.key"][1])
    at_the_broker = place.venue.client("gate-1", both)
    assert at_the_broker.next_told() == "connected"
    at_the_broker.close()
    again = place.enrol("")
    assert (again.returncode, "already" in again.stdout, place.files()) == (0, True, made)
    # canaries: neither the tokens nor the key in anything that was said or written elsewhere
    key = made["gate.key"][1].decode().splitlines()[1]
    said = done.stdout + done.stderr + again.stdout + place.log.read_text()
    said += "".join(str(world.all(f"SELECT * FROM {t}")) for t in ("audit_log", "enrolments", "gates"))
    assert not [secret for secret in (token, token.split(".")[0], shown, key) if secret in said]


def test_what_goes_wrong_on_the_way_uses_up_nothing_and_a_cut_run_goes_on_with_its_key(place: Place) -> None:
    token = place.token()
    secret, _, authority = token.partition(".")
    # somebody with another authority, at the hub's address
    middle = place.enrol(f"{secret}.{'0' * len(authority)}")
    assert (middle.returncode, "was not sent" in middle.stderr) == (1, True)
    stranger = place.enrol(f"{'0' * len(secret)}.{authority}")
    assert (stranger.returncode, "made no such token" in stranger.stderr) == (1, True)
    key = place.files()["gate.key.new"][1]
    assert place.enrol(token).returncode == 0
    made = place.files()
    assert made["gate.key"][1] == key
    # as if it had been cut off when the hub had answered
    for name in made:
        (place.folder / name).rename(successor(place.folder / name))
    successor(place.folder / "gate.pem").unlink()
    assert place.enrol(token).returncode == 0
    assert place.files() == made
