"""The units, judged by systemd's own tools. Nothing is booted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.patience import PATIENCE_S

SYSTEMD = ROOT / "systemd"
UNITS = ["maguey-gate.service", "maguey-sync.service"]
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]


def call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A tree with systemd's own units, ours, and the programs they start."""
    root = tmp_path / "root"
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    for unit in UNITS:
        (root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
        shutil.copy(SYSTEMD / unit, root / "etc/systemd/system")
    for name in ("opt/maguey/current/bin/maguey-gate", "opt/maguey/current/bin/maguey-sync", "usr/bin/chown"):
        program = root / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    for folder in ("sysusers.d", "tmpfiles.d"):
        (root / "usr/lib" / folder).mkdir()
        shutil.copy(SYSTEMD / folder / "maguey.conf", root / "usr/lib" / folder)
    return root


def test_systemd_accepts_the_units_without_a_word(machine: Path) -> None:
    done = call("systemd-analyze", "verify", f"--root={machine}", *UNITS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")  # a misspelt key still exits 0


def test_a_misspelt_key_would_be_noticed(machine: Path) -> None:
    unit = machine / "etc/systemd/system" / UNITS[0]
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchDogSecs"))
    assert "WatchDogSecs" in call("systemd-analyze", "verify", f"--root={machine}", *UNITS).stderr


@pytest.mark.parametrize(("unit", "most"), [(UNITS[0], 10), (UNITS[1], 15)])
def test_the_exposure_is_low(unit: str, most: int) -> None:
    done = call("systemd-analyze", "security", "--offline=true", f"--threshold={most}", SYSTEMD / unit)
    assert done.returncode == 0, done.stdout


def test_enabled_units_start_with_the_machine(machine: Path) -> None:
    done = call("systemctl", f"--root={machine}", "enable", *UNITS)
    assert done.returncode == 0, done.stderr
    wanted = machine / "etc/systemd/system/multi-user.target.wants"
    assert sorted(link.name for link in wanted.iterdir()) == UNITS


def test_users_and_folders_are_made_as_the_units_expect(machine: Path) -> None:
    users = call(*AS_ROOT, "systemd-sysusers", f"--root={machine}", "maguey.conf")
    complaints = [line for line in users.stderr.splitlines() if not line.startswith("Creating ")]
    assert (users.returncode, complaints) == (0, [])
    folders = call(*AS_ROOT, "systemd-tmpfiles", f"--root={machine}", "--create", "maguey.conf")
    assert (folders.returncode, folders.stderr) == (0, "")
    users_by_name = _by_name(machine / "etc/passwd", 2)
    groups = _by_name(machine / "etc/group", 2)
    for shared in ((machine / "var/lib/maguey").stat(), (machine / "run/maguey").stat()):
        assert (shared.st_uid, shared.st_gid) == (users_by_name["maguey-gate"], groups["maguey"])
        assert oct(shared.st_mode & 0o7777) == "0o2770"
    for unit in UNITS:
        wanted = _settings(SYSTEMD / unit)
        assert wanted["User"][0] in users_by_name
        assert {*wanted["Group"], *wanted.get("SupplementaryGroups", [])} <= groups.keys()


def _by_name(file: Path, column: int) -> dict[str, int]:
    rows = [line.split(":") for line in file.read_text().splitlines()]
    return {row[0]: int(row[column]) for row in rows}


def _settings(unit: Path) -> dict[str, list[str]]:
    """The words of each key; a key given twice adds to the first."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            found.setdefault(key, []).extend(value.split())
    return found


def test_the_door_has_no_network_and_sync_no_devices() -> None:
    door, sync = (_settings(SYSTEMD / unit) for unit in UNITS)
    assert (door["PrivateNetwork"], door["RestrictAddressFamilies"]) == (["yes"], ["AF_UNIX"])
    assert sync["PrivateDevices"] == ["yes"]
    assert "DeviceAllow" not in sync


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_ever_gives_up(unit: str) -> None:
    settings = _settings(SYSTEMD / unit)
    assert (settings["Restart"], settings["StartLimitIntervalSec"]) == (["always"], ["0"])


@pytest.mark.parametrize("unit", UNITS)
def test_no_unit_takes_a_shared_folder_for_itself(unit: str) -> None:
    """`StateDirectory=` hands a folder and all in it to one unit's user, `RuntimeDirectory=` takes it away
    when that unit stops (systemd.exec(5))."""
    settings = _settings(SYSTEMD / unit)
    assert "RuntimeDirectory" not in settings
    assert settings.get("StateDirectory", []) in ([], ["maguey-sync"])  # which is not shared
    assert settings["ReadWritePaths"] == ["/var/lib/maguey", "/run/maguey"]


def test_what_sync_is_known_by_is_its_own_whoever_wrote_it() -> None:
    sync = _settings(SYSTEMD / "maguey-sync.service")
    assert (sync["StateDirectory"], sync["StateDirectoryMode"]) == (["maguey-sync"], ["0700"])
    assert sync["ExecStartPre"][0] == "+/usr/bin/chown"
    assert "--no-dereference" in sync["ExecStartPre"]
