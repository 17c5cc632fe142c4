"""The unit of the authority, judged by systemd's own tools: a user of its own, and one capability."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.integration.service.test_hub_units import AS_ROOT, SYSTEMD, call, settings

UNIT = SYSTEMD / "hub" / "maguey-hub-authority.service"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with systemd's own units, ours, and the program it starts."""
    root = tmp_path / "root"
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    program = root / "opt/maguey/current/bin/maguey-hub"
    units = root / "etc/systemd/system"
    for folder in (program.parent, units, root / "usr/lib/sysusers.d", root / "usr/lib/tmpfiles.d"):
        folder.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in ("maguey-hub-authority.service", "maguey-hub-migrate.service"):
        shutil.copy(SYSTEMD / "hub" / name, units)
    for kind in ("sysusers.d", "tmpfiles.d"):
        for file in (SYSTEMD / "hub" / kind).iterdir():
            shutil.copy(file, root / "usr/lib" / kind)
    (root / "usr/lib/sysusers.d/mosquitto.conf").write_text('u mosquitto - "as Debian\'s package"\n')
    return root


def test_systemd_accepts_the_unit_without_a_word(root: Path) -> None:
    done = call("systemd-analyze", "verify", f"--root={root}", UNIT.name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_may_send_a_signal_and_nothing_else_that_others_may_not() -> None:
    done = call("systemd-analyze", "security", "--offline=true", "--threshold=20", UNIT)
    assert done.returncode == 0, done.stdout
    assert settings(UNIT)["CapabilityBoundingSet"] == settings(UNIT)["AmbientCapabilities"] == ["CAP_KILL"]


def test_only_its_own_user_reads_the_keys_and_the_broker_reads_its_files(root: Path) -> None:
    users = call(*AS_ROOT, "systemd-sysusers", f"--root={root}")
    assert users.returncode == 0, users.stderr
    made = call(
        *AS_ROOT,
        "systemd-tmpfiles",
        f"--root={root}",
        "--create",
        "maguey-hub.conf",
        "maguey-hub-authority.conf",
    )
    assert (made.returncode, made.stderr) == (0, "")
    names = {0: "root"} | {
        int(row.split(":")[2]): row.split(":")[0]
        for file in ("passwd", "group")
        for row in (root / "etc" / file).read_text().splitlines()
    }
    told = {
        path: (oct(stat.st_mode & 0o7777), names[stat.st_uid], names[stat.st_gid])
        for path in ("var/lib/maguey-ca", "etc/mosquitto/maguey", "etc/maguey/tls")
        for stat in [(root / path).stat()]
    }
    assert told == {
        "var/lib/maguey-ca": ("0o700", "maguey-ca", "maguey-ca"),
        "etc/mosquitto/maguey": ("0o2750", "maguey-ca", "mosquitto"),
        "etc/maguey/tls": ("0o750", "root", "maguey-hub"),
    }
    assert settings(UNIT)["User"] == ["maguey-ca"]
