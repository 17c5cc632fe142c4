"""`maguey-fleet reach` with real sshd: machines are remembered, and one that is not there fails alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.paths import ROOT
from tests.patience import PATIENCE_S
from trees.club import Club
from trees.tree import USER


def reach(club: Club) -> tuple[int, dict[str, dict[str, Any]]]:
    words = [sys.executable, "-m", "fleet.cli.entry", "reach", "--json"]
    inventory = ["--config", str(club.place / "inventory.toml"), "--key", str(club.key)]
    done = subprocess.run(
        club.laptop(*words, *inventory), cwd=ROOT, capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert done.stderr == b""
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {one["name"]: one for one in found}


def test_of_three_machines_the_one_that_is_off_fails_alone(club: Club) -> None:
    hub, gate, off = club.machine("hub", 12), club.machine("gate-1"), club.machine("gate-2")
    (club.place / "inventory.toml").write_text(
        f'venue = "maguey"\nuser = "{USER}"\n[hub]\naddress = "{hub.address}"\n'
        f'[gates.gate-1]\naddress = "{gate.address}"\n[gates.gate-2]\naddress = "{off.address}"\n'
    )
    known = club.known_hosts
    for tree in (hub, gate):
        tree.boot()
    known.unlink(missing_ok=True)
    code, found = reach(club)
    assert code == 1
    assert (found["hub"]["facts"]["system"], found["hub"]["problems"]) == ("debian 12", [])
    assert (found["gate-1"]["facts"]["python"], found["gate-1"]["problems"]) == ("cp313", [])
    assert "nobody answers" in found["gate-2"]["problems"][0]
    assert len(known.read_text().splitlines()) == 2
    assert (
        gate.root("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]
        == found["gate-1"]["host_key"]
    )
