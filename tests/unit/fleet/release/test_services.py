"""What systemd says of its units, as `systemctl show` prints it (systemd 252 and 257)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleet.release.services import ServiceError, SystemdServices, UnitReading

SAID = """Type=notify
NRestarts=2
WatchdogUSec=1min 30s
WatchdogTimestampMonotonic=5000000
MemoryCurrent=104857600
Id=maguey-gate.service
ActiveState=active
UnitFileState=enabled

NRestarts=0
WatchdogUSec=infinity
WatchdogTimestampMonotonic=0
MemoryCurrent=[not set]
Id=maguey-sync.service
ActiveState=inactive
UnitFileState=enabled

MemoryCurrent=18446744073709551615
Id=maguey-other.service
ActiveState=inactive
UnitFileState=
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `systemctl` that says what is in ``said`` and notes what it was asked for in ``asked``."""
    program = tmp_path / "systemctl"
    (tmp_path / "said").write_text(SAID)
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\ncat {tmp_path}/said\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_enabled_units_are_read_with_restarts_memory_and_the_age_of_their_ping(systemctl: Path) -> None:
    services = SystemdServices(["maguey-gate.service", "maguey-sync.service"], lambda: 7_000)
    assert services.units() == (
        UnitReading(
            name="maguey-gate.service",
            state="active",
            restarts=2,
            memory=104857600,
            ping_age_ms=2_000,
            watchdog_ms=90_000,
        ),
        UnitReading(name="maguey-sync.service", state="inactive"),
    )


def test_what_is_not_enabled_is_left_alone(systemctl: Path) -> None:
    services = SystemdServices(["maguey-gate.service"])
    services.start()
    services.stop()
    asked = [line for line in (systemctl / "asked").read_text().splitlines() if " show " not in line]
    assert asked == [
        "--no-pager reset-failed maguey-gate.service maguey-sync.service",
        "--no-pager start maguey-gate.service maguey-sync.service",
        "--no-pager stop maguey-sync.service maguey-gate.service",
    ]


def test_systemds_own_words_are_passed_on(systemctl: Path) -> None:
    (systemctl / "systemctl").write_text("#!/bin/sh\necho 'Job failed. See journalctl' >&2\nexit 1\n")
    with pytest.raises(ServiceError, match="Job failed"):
        SystemdServices(["maguey-gate.service"]).start()
