"""The unit of the backups, judged by systemd's own tools: a user of its own, who reads everything."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.service.test_authority_unit import root as authority_root
from tests.integration.service.test_hub_units import AS_ROOT, SYSTEMD, call, settings

UNIT = SYSTEMD / "hub" / "maguey-hub-backup.service"
TIMER = UNIT.with_suffix(".timer")
root = authority_root


@pytest.fixture
def machine(root: Path) -> Path:
    """The tree of the authority's test, with our units."""
    for file in (UNIT, TIMER):
        shutil.copy(file, root / "etc/systemd/system")
    return root


def test_systemd_accepts_the_unit_and_the_timer_without_a_word(machine: Path) -> None:
    done = call("systemd-analyze", "verify", f"--root={machine}", UNIT.name, TIMER.name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_may_read_what_belongs_to_others_and_write_only_backups() -> None:
    done = call("systemd-analyze", "security", "--offline=true", "--threshold=20", UNIT)
    assert done.returncode == 0, done.stdout
    found = settings(UNIT)
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"] == ["CAP_DAC_READ_SEARCH"]
    assert (found["ProtectSystem"], found["ReadWritePaths"]) == (["strict"], ["/var/backups/maguey"])


def test_only_its_own_user_reads_the_backups(machine: Path) -> None:
    users = call(*AS_ROOT, "systemd-sysusers", f"--root={machine}")
    assert users.returncode == 0, users.stderr
    made = call(*AS_ROOT, "systemd-tmpfiles", f"--root={machine}", "--create", "maguey-hub-backup.conf")
    assert (made.returncode, made.stderr) == (0, "")
    numbers = {
        row.split(":")[0]: row.split(":")[2] for row in (machine / "etc/passwd").read_text().splitlines()
    }
    stat = (machine / "var/backups/maguey").stat()
    assert (oct(stat.st_mode & 0o7777), stat.st_uid) == ("0o700", int(numbers["maguey-backup"]))
    assert settings(UNIT)["User"] == ["maguey-backup"]


def test_a_backup_is_made_four_times_a_day_and_after_a_night_off() -> None:
    timer = settings(TIMER)
    assert (timer["OnCalendar"], timer["Persistent"]) == (["*-*-* 05,11,17,23:30"], ["yes"])
    assert "Restart" not in settings(UNIT)
