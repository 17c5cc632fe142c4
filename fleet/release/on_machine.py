"""Puts a trial together on a real machine, and starts it as a service of its own. All wiring is here."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from fleet.errors import FleetError
from fleet.release.disk import ReleaseDisk
from fleet.release.environment import InstallFailed
from fleet.release.gate_probes import GateProbes
from fleet.release.hub_probes import HubProbes
from fleet.release.lifecycle import ReleaseState
from fleet.release.services import START_S, STOP_S, UNITS, SystemdServices
from fleet.release.trial import QUIET_S, Probes, Trial
from fleet.release.unit_probes import UnitProbes
from gate.clock import SystemClock
from gate.common.config_file import config_place

UNIT = "maguey-release-try.service"
SETTLE = "maguey-release-settle.service"
_CHECKS_S = 600.0
"""What may be added to a trial by the checks before it."""


def make_trial(disk: ReleaseDisk, state: ReleaseState, version: str, *, new_rules: bool = False) -> Trial:
    """A trial of a staged release.

    :raises InstallFailed: it is not here.
    """
    manifest = disk.installed().get(version)
    if manifest is None:
        raise InstallFailed(f"{version} is not on this machine. Run: maguey-release stage BUNDLE")
    services = SystemdServices(UNITS[manifest.kind])
    units = UnitProbes(services.units, _machine_memory())
    make = _gate_probes if manifest.kind == "gate" else _hub_probes
    return Trial(
        files=disk,
        services=services,
        probes=make(disk, units, state.good, new_rules),
        clock=SystemClock(),
        wait=time.sleep,
    )


def running_services(disk: ReleaseDisk) -> SystemdServices:
    """The services of this machine; none before its first release."""
    kinds = {manifest.kind for manifest in disk.installed().values()}
    return SystemdServices([unit for kind in sorted(kinds) for unit in UNITS[kind]])


def _gate_probes(disk: ReleaseDisk, units: UnitProbes, old: str, new_rules: bool) -> Probes:
    return GateProbes(
        _programs(disk, "maguey-gate"),
        units,
        SystemClock(),
        live=disk.paths.runtime / "door.json",
        picture=Path(str(resources.files("fleet.release") / "self_test.png")),
        old=old,
        new_rules=new_rules,
    )


def _hub_probes(disk: ReleaseDisk, units: UnitProbes, _old: str, _new_rules: bool) -> Probes:
    return HubProbes(_programs(disk, "maguey-hub"), units, config_place("hub.toml", os.environ))


def _programs(disk: ReleaseDisk, name: str) -> Callable[[str], Path]:
    return lambda version: disk.folder(version) / "bin" / name


def _machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def try_apart(  # noqa: PLR0913 – what the trial is told
    disk: ReleaseDisk, good: str, version: str, probation_s: float, *, insist: bool, new_rules: bool
) -> None:
    """Have systemd run the trial from the present release, and wait for its end.

    It outlives whoever waits. However it ends, systemd then has the same release put right what is left: at
    once, and by a unit of its own if whoever killed the one killed that, too.

    :raises FleetError: systemd cannot start it.
    """
    program = disk.folder(good) / "bin" / "maguey-release"
    limit_s = _CHECKS_S + QUIET_S + 2 * (STOP_S + START_S) + 3 * probation_s
    options = [f"--probation={probation_s}", *["--insist"] * insist, *["--new-rules"] * new_rules]
    command = [
        "systemd-run", f"--unit={UNIT}", "--collect", "--wait", "--quiet", "--service-type=exec",
        "--description=Tries a release of Maguey Gate", f"--property=ExecStopPost={program} settle",
        f"--property=OnFailure={SETTLE}",
        f"--property=RuntimeMaxSec={limit_s:.0f}", f"--property=TimeoutStopSec={STOP_S + START_S:.0f}",
        "--property=UMask=0022", str(program), "try", version, *options,
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise FleetError(f"systemd-run: {error.strerror}. Nothing was changed.") from None
    if done.returncode != 0 and done.stderr.strip():
        raise FleetError(f"The update did not start: {' '.join(done.stderr.split())[-300:]}")
