"""The hub's units, judged by systemd's own tools. Nothing is booted."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.patience import PATIENCE_S

SYSTEMD = ROOT / "systemd"
RUNNING = ["maguey-hub-ingest.service", "maguey-hub-web.service"]
STARTED = [*RUNNING, "maguey-hub-migrate.service"]
UNITS = [*STARTED, "maguey-hub-housekeeping.service"]
TIMER = "maguey-hub-housekeeping.timer"
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", "-n"]


def call(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def settings(unit: Path) -> dict[str, list[str]]:
    """The values of each key, in their order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not key.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A tree with systemd's own units, ours, and the program they start."""
    root = tmp_path / "root"
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    (root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
    for unit in (*UNITS, TIMER):
        shutil.copy(SYSTEMD / "hub" / unit, root / "etc/systemd/system")
    program = root / "opt/maguey/current/bin/maguey-hub"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for folder in ("sysusers.d", "tmpfiles.d"):
        (root / "usr/lib" / folder).mkdir()
        shutil.copy(SYSTEMD / "hub" / folder / "maguey-hub.conf", root / "usr/lib" / folder)
    (root / "etc/maguey").mkdir()
    for file in ("hub.toml", "command.key"):
        (root / "etc/maguey" / file).write_text("secret")
    return root


def test_systemd_accepts_the_units_without_a_word(machine: Path) -> None:
    done = call("systemd-analyze", "verify", f"--root={machine}", *UNITS, TIMER)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", UNITS)
def test_the_exposure_equals_that_of_the_gates_service_with_a_network(unit: str) -> None:
    done = call("systemd-analyze", "security", "--offline=true", "--threshold=15", SYSTEMD / "hub" / unit)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", UNITS)
def test_the_hardening_equals_that_of_the_gates_service_with_a_network(unit: str) -> None:
    def walls(file: Path) -> list[str]:
        _, walls, rest = file.read_text().partition("PrivateDevices=yes")
        return [*(walls + rest).partition("[Install]")[0].split()]

    assert walls(SYSTEMD / "hub" / unit) == walls(SYSTEMD / "maguey-sync.service")


def test_enabled_units_start_with_the_machine(machine: Path) -> None:
    done = call("systemctl", f"--root={machine}", "enable", *STARTED, TIMER)
    assert done.returncode == 0, done.stderr
    wanted = machine / "etc/systemd/system/multi-user.target.wants"
    assert sorted(link.name for link in wanted.iterdir()) == sorted(STARTED)
    assert (machine / "etc/systemd/system/timers.target.wants" / TIMER).is_symlink()


def test_user_and_files_are_made_as_the_units_expect(machine: Path) -> None:
    users = call(*AS_ROOT, "systemd-sysusers", f"--root={machine}", "maguey-hub.conf")
    complaints = [line for line in users.stderr.splitlines() if not line.startswith("Creating ")]
    assert (users.returncode, complaints) == (0, [])
    folders = call(*AS_ROOT, "systemd-tmpfiles", f"--root={machine}", "--create", "maguey-hub.conf")
    assert (folders.returncode, folders.stderr) == (0, "")
    passwd = [line.split(":") for line in (machine / "etc/passwd").read_text().splitlines()]
    (user,) = [int(row[2]) for row in passwd if row[0] == "maguey-hub"]
    modes = {name: (machine / name).stat() for name in ("etc/maguey/hub.toml", "etc/maguey/command.key")}
    assert [(oct(stat.st_mode & 0o777), stat.st_uid) for stat in modes.values()] == [
        ("0o640", 0),
        ("0o600", user),
    ]
    assert all(settings(SYSTEMD / "hub" / unit)["User"] == ["maguey-hub"] for unit in UNITS)


@pytest.mark.parametrize("unit", RUNNING)
def test_no_unit_ever_gives_up_or_waits_for_a_missing_database(unit: str) -> None:
    found = settings(SYSTEMD / "hub" / unit)
    assert (found["Restart"], found["StartLimitIntervalSec"]) == (["always"], ["0"])
    # wanted, not required: a migration that fails at boot would keep the others from starting
    assert (found["Wants"], "Requires" in found) == (["maguey-hub-migrate.service"], False)


def test_a_migration_is_tried_until_postgres_is_there_but_not_with_a_wrong_configuration() -> None:
    found = settings(SYSTEMD / "hub" / "maguey-hub-migrate.service")
    assert (found["Type"], found["Restart"], found["RestartPreventExitStatus"]) == (
        ["oneshot"],
        ["on-failure"],
        ["2"],
    )


def test_housekeeping_is_started_by_its_timer_every_hour_and_after_a_night_off() -> None:
    timer = settings(SYSTEMD / "hub" / TIMER)
    assert (timer["OnCalendar"], timer["Persistent"]) == (["hourly"], ["yes"])
    found = settings(SYSTEMD / "hub" / "maguey-hub-housekeeping.service")
    assert (found["Type"], "Restart" in found, "WantedBy" in found) == (["oneshot"], False, False)
    assert "hub.toml" in found["ExecStart"][0]
    assert " housekeeping " in found["ExecStart"][0]
