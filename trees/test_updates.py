"""A gate's release under real systemd: installed, tried, kept, rolled back, cut off in the middle."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.bundle.build import Sources, build_bundle
from fleet.bundle.lock import Target
from fleet.bundle.release_key import release_key_line
from fleet.bundle.wheels import PACKAGES
from tests.paths import ROOT
from tests.patience import until
from trees.club import Club
from trees.tree import Tree

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PREPARE = """
set -e
apt-get -qq update; apt-get -qq install -y --no-install-recommends libzbar0 >/dev/null
for group in gpio i2c spi; do groupadd --system $group; done
mkdir -p /etc/maguey /srv/bundles
cat >/etc/maguey/release-key.pub
"""
FIRST = """
set -e
mkdir /tmp/first /tmp/bundle; cd /tmp/bundle; tar xf /srv/bundles/1.0.0.tar
python3 -m venv --without-pip /tmp/first
python3 -c 'import json; print(json.load(open("manifest.json"))["lock"])' >lock
pip=$(echo wheels/pip-*.whl)/pip
/tmp/first/bin/python $pip install -q --no-index --find-links=wheels --require-hashes -r lock
/tmp/first/bin/maguey-release stage /srv/bundles/1.0.0.tar
/tmp/first/bin/maguey-release apply 1.0.0
rm -r /tmp/first /tmp/bundle
cd /opt/maguey/current/bundle/systemd
cp *.service /etc/systemd/system/
cp sysusers.d/* /usr/lib/sysusers.d/; systemd-sysusers
cp tmpfiles.d/* /usr/lib/tmpfiles.d/; systemd-tmpfiles --create
mkdir /var/lib/maguey/camera; chown maguey-gate:maguey /var/lib/maguey/camera
ln -s /opt/maguey/trusted/bin/maguey-release /usr/local/bin/
cat >/etc/maguey/gate.toml
systemctl daemon-reload
systemctl enable --now maguey-release-boot maguey-gate
"""
GATE = """
gate_id = "gate-1"
venue = "maguey"
state_dir = "/var/lib/maguey"
[hub]
url = "https://127.0.0.1:8443"
broker = "127.0.0.1"
token_file = "/etc/maguey/token"
[camera]
driver = "folder"
path = "/var/lib/maguey/camera"
[screen]
driver = "file"
path = "/run/maguey/screen.png"
[turnstile]
driver = "mock"
trace = "/var/lib/maguey/relay"
[inputs]
driver = "mock"
[lights]
driver = "mock"
"""


def a_bundle(source: Path, out: Path, version: str) -> Path:
    """The libraries come from the index once; later bundles take them from the first."""
    target, wheels = Target(kind="gate", python="cp313", machine="x86_64"), out / "wheels"
    have = wheels if wheels.is_dir() else None
    bundle = build_bundle(Sources(checkout=source, version=version, wheels=have), target, KEY, out)
    if have is None:
        with tarfile.open(bundle) as tar:
            tar.extractall(out, [one for one in tar if one.name.startswith("wheels/")], filter="data")
    return bundle


def upload(gate: Tree, bundle: Path, version: str) -> None:
    gate.root(f"cat >/srv/bundles/{version}.tar", bundle.read_bytes())


def status(gate: Tree) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gate.root("maguey-release status --json"))
    return found


def door(gate: Tree) -> str:
    """The version of the door that runs, and looks at frames."""
    said = gate.root("cat /run/maguey/door.json 2>/dev/null || echo null")
    live = json.loads(said) or {}
    is_looking = live.get("frame_ms") is not None and live["monotonic_ms"] - live["frame_ms"] < 2000
    return str(live["version"]) if is_looking else ""


@pytest.fixture
def gate(club: Club, source: Path, tmp_path: Path) -> Iterator[Tree]:
    """A machine that runs 1.0.0."""
    made = club.machine("gate-1")
    made.boot()
    made.root(PREPARE, release_key_line(KEY).encode())
    upload(made, a_bundle(source, tmp_path, "1.0.0"), "1.0.0")
    made.root(FIRST, GATE.encode())
    until(lambda: door(made) == "1.0.0", lambda: made.journal("-u", "maguey-gate"))
    yield made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A checkout that a test may spoil."""
    copy = tmp_path / "source"
    for folder in (*PACKAGES, "systemd", "config", "requirements"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    return copy


def test_a_release_is_kept_a_broken_one_rolled_back_and_one_cut_off_given_up(
    gate: Tree, source: Path, tmp_path: Path
) -> None:
    good = a_bundle(source, tmp_path, "1.1.0")
    upload(gate, good, "1.1.0")
    gate.root("maguey-release stage /srv/bundles/1.1.0.tar")
    gate.root("maguey-release apply 1.1.0 --probation 8")
    assert status(gate)["update"]["phase"] == "good"
    until(lambda: door(gate) == "1.1.0")
    assert "self-test" not in gate.root("cat /var/lib/maguey/relay 2>/dev/null || true")

    upload(gate, a_bundle(source, tmp_path, "1.3.0"), "1.3.0")
    loop = source / "gate" / "door" / "loop.py"
    broken = "    def step(self) -> None:\n        raise SystemExit(1)\n"
    loop.write_text(loop.read_text().replace("    def step(self) -> None:\n", broken))
    upload(gate, a_bundle(source, tmp_path, "1.2.0"), "1.2.0")
    gate.root("maguey-release stage /srv/bundles/1.2.0.tar")
    done = gate.ssh("sudo maguey-release apply 1.2.0 --probation 8")
    assert (done.returncode, b"1.2.0 was rolled back; 1.1.0 runs." in done.stderr) == (1, True), done
    said = status(gate)
    assert (said["current"], said["good"], said["update"]["phase"]) == ("1.1.0", "1.1.0", "rolled_back")
    until(lambda: door(gate) == "1.1.0")

    gate.root("maguey-release stage /srv/bundles/1.3.0.tar")
    with ThreadPoolExecutor() as hands:
        waiting = hands.submit(gate.ssh, "sudo maguey-release apply 1.3.0 --probation 3000")
        until(lambda: door(gate) == "1.3.0")
        gate.hard_stop()
        waiting.result()
    gate.boot()
    until(lambda: door(gate) == "1.1.0", lambda: gate.journal("-u", "maguey-gate"))
    said = status(gate)
    assert (said["current"], said["good"], said["update"]["phase"]) == ("1.1.0", "1.1.0", "rolled_back")
    assert "lost power" in said["update"]["reason"]
    assert len(said["releases"]) == 3


def test_an_update_goes_on_when_ssh_is_cut_and_is_undone_when_its_process_is_killed(
    gate: Tree, source: Path, tmp_path: Path
) -> None:
    upload(gate, a_bundle(source, tmp_path, "1.1.0"), "1.1.0")
    gate.root("maguey-release stage /srv/bundles/1.1.0.tar")
    gate.root("setsid maguey-release apply 1.1.0 --probation 3000 >/dev/null 2>&1 & ")
    until(lambda: door(gate) == "1.1.0")
    gate.root("pkill -9 -f 'maguey-release[ ]apply'")
    assert status(gate)["update"]["phase"] == "trying"
    gate.root("systemctl kill -s KILL maguey-release-try")
    until(lambda: status(gate)["update"]["phase"] == "rolled_back")
    until(lambda: door(gate) == "1.0.0")
    assert "ended before it was judged" in status(gate)["update"]["reason"]
