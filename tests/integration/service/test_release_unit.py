"""The units that put releases right, judged by systemd's own tools. Nothing is booted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from fleet.release.on_machine import SETTLE
from fleet.release.services import UNITS
from tests.paths import ROOT
from tests.patience import PATIENCE_S

UNIT = ROOT / "systemd" / "maguey-release-boot.service"
UNITS_OF_RELEASES = (UNIT, ROOT / "systemd" / SETTLE)


def test_systemd_accepts_the_units_without_a_word(tmp_path: Path) -> None:
    shutil.copytree("/usr/lib/systemd/system", tmp_path / "usr/lib/systemd/system", symlinks=True)
    (tmp_path / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
    for unit in UNITS_OF_RELEASES:
        shutil.copy(unit, tmp_path / "etc/systemd/system")
    program = tmp_path / "opt/maguey/trusted/bin/maguey-release"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    call = ["systemd-analyze", "verify", f"--root={tmp_path}", *(unit.name for unit in UNITS_OF_RELEASES)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_comes_before_every_service_that_releases_have_and_never_from_the_release_on_trial() -> None:
    lines = UNIT.read_text("utf-8").splitlines()
    before = {
        name for line in lines if line.startswith("Before=") for name in line.removeprefix("Before=").split()
    }
    assert before == {unit for units in UNITS.values() for unit in units}
    assert "ExecStart=/opt/maguey/trusted/bin/maguey-release boot" in lines
