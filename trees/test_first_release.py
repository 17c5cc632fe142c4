"""A blank machine without internet gets its first release over SSH; again, nothing changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.paths import ROOT
from tests.patience import PATIENCE_S
from trees.club import Club
from trees.tree import USER

FILES = "find /opt/maguey /etc/maguey /var/lib/maguey-release -type f -newer /run/before | head"


def fleet(club: Club, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    call = [sys.executable, "-m", "fleet.cli.entry", *map(str, words)]
    return subprocess.run(
        club.laptop(*call), cwd=ROOT, capture_output=True, timeout=PATIENCE_S * 5, check=False
    )


def build_bundle(place: Path) -> None:
    """On the machine of the tests: the club has no internet."""
    words = ["build", "--kind", "gate", "--python", "cp313", "--machine", "x86_64"]
    files = ["--key", str(place / "release.key"), "--out", str(place / "bundles")]
    call = [sys.executable, "-m", "fleet.cli.entry", *words, *files]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, timeout=PATIENCE_S * 5, check=False)
    assert done.returncode == 0, done.stderr


def installed(club: Club) -> tuple[int, dict[str, dict[str, Any]]]:
    place = club.place
    done = fleet(
        club, "install", "--json", "--config", place / "inventory.toml", "--key", club.key,
        "--bundles", place / "bundles", "--release-key", place / "release.key",
    )  # fmt: skip
    return done.returncode, {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}


def test_a_blank_machine_gets_its_first_release_and_one_that_is_off_fails_alone(club: Club) -> None:
    gate, off = club.machine("gate-1"), club.machine("hub")
    (club.place / "inventory.toml").write_text(
        f'venue = "maguey"\nuser = "{USER}"\n[hub]\naddress = "{off.address}"\n'
        f'[gates.gate-1]\naddress = "{gate.address}"\n'
    )
    assert fleet(club, "key", "--out", club.place / "release.key").returncode == 0
    build_bundle(club.place)
    gate.boot()
    code, found = installed(club)
    assert code == 1
    assert found["gate-1"]["is_new"], found
    assert "nobody answers" in found["hub"]["problem"]
    assert gate.root("/opt/maguey/current/bin/maguey-gate --version").strip() == found["gate-1"]["release"]
    gate.root("touch /run/before")
    _, again = installed(club)
    assert (again["gate-1"]["is_new"], again["gate-1"]["problem"]) == (False, "")
    assert gate.root(FILES) == ""
