"""The services of a machine, by systemd: stopped and started together, and looked at."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

from fleet.errors import FleetError
from gate.common.value import Value

MachineKind = Literal["gate", "hub"]
UNITS: dict[MachineKind, tuple[str, ...]] = {
    "gate": ("maguey-gate.service", "maguey-sync.service"),
    "hub": (
        "maguey-hub-migrate.service",
        "maguey-hub-authority.service",
        "maguey-hub-ingest.service",
        "maguey-hub-web.service",
    ),
}
"""In the order in which they are started. Those that are not enabled are left alone."""
START_S = 120.0
"""Longest wait for all to start: on a slow Pi both services of a gate together take up to 40 s."""
STOP_S = 30.0
_LOOK_S = 10.0
_SHOWN = "Id,ActiveState,Type,UnitFileState,NRestarts,MemoryCurrent,WatchdogUSec,WatchdogTimestampMonotonic"


class ServiceError(FleetError):
    """systemd could not do it; the message has its own words."""


class UnitReading(Value, frozen=True):
    """A service at one moment. `state`: systemd's ActiveState; `restarts`: by systemd, since it was started;
    `memory`: bytes, None if not counted; `ping_age_ms`, `watchdog_ms`: of its watchdog, None without one."""

    name: str
    state: str
    restarts: int = 0
    memory: int | None = None
    ping_age_ms: int | None = None
    watchdog_ms: int | None = None


class Services(Protocol):
    """What runs on this machine."""

    def start(self) -> None:
        """Start all, and wait until each is ready. Those that run are left alone. Raises `ServiceError`."""

    def stop(self) -> None:
        """Stop all, and wait for it. Raises `ServiceError`."""


class SystemdServices:
    """`Services` by systemctl.

    :param units: those that are enabled count.
    :param monotonic_ms: of the clock that systemd stamps with (CLOCK_MONOTONIC).
    """

    def __init__(self, units: Sequence[str], monotonic_ms: Callable[[], int] | None = None) -> None:
        self._units = tuple(units)
        self._now_ms = monotonic_ms or (lambda: time.monotonic_ns() // 1_000_000)

    def start(self) -> None:
        """See `Services`."""
        units = self._enabled()
        if units:
            _systemctl("reset-failed", *units, timeout_s=_LOOK_S)
            _systemctl("start", *units, timeout_s=START_S)

    def stop(self) -> None:
        """See `Services`."""
        units = self._enabled()
        if units:
            _systemctl("stop", *reversed(units), timeout_s=STOP_S)

    def units(self) -> tuple[UnitReading, ...]:
        """How each is. Raises `ServiceError`."""
        return tuple(_reading(shown, self._now_ms()) for shown in self._shown() if _is_wanted(shown))

    def _enabled(self) -> list[str]:
        return [shown["Id"] for shown in self._shown() if _is_wanted(shown)]

    def _shown(self) -> list[dict[str, str]]:
        said = _systemctl("show", f"--property={_SHOWN}", *self._units, timeout_s=_LOOK_S)
        return list(_blocks(said))


def _is_wanted(shown: dict[str, str]) -> bool:
    return shown.get("UnitFileState") in {"enabled", "enabled-runtime"}


def _blocks(said: str) -> Iterator[dict[str, str]]:
    """The properties of each unit; `systemctl show` parts them by an empty line."""
    for block in said.split("\n\n"):
        pairs = (line.partition("=") for line in block.splitlines())
        found = {key: value for key, _, value in pairs}
        if "Id" in found:
            yield found


def _reading(shown: dict[str, str], now_ms: int) -> UnitReading:
    pinged = _number(shown.get("WatchdogTimestampMonotonic"))
    watchdog = _span_ms(shown.get("WatchdogUSec", ""))
    return UnitReading(
        name=shown["Id"],
        state=shown.get("ActiveState", "unknown"),
        restarts=_number(shown.get("NRestarts")) or 0,
        memory=_number(shown.get("MemoryCurrent")),
        ping_age_ms=now_ms - pinged // 1000 if pinged and watchdog else None,
        watchdog_ms=watchdog,
    )


def _number(text: str | None) -> int | None:
    """A number, unless systemd says ``[not set]`` or its largest, which mean the same."""
    return int(text) if text and text.isdecimal() and int(text) < 2**63 else None


def _span_ms(text: str) -> int | None:
    """A span of time as `systemctl show` prints it, such as ``1min 30s``; None for none."""
    units = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}
    total = 0
    for part in text.split():
        digits = part.rstrip("abcdefghijklmnopqrstuvwxyz")
        unit = part[len(digits) :]
        if not digits.isdecimal() or (unit not in units and digits != "0"):
            return None
        total += int(digits) * units.get(unit, 0)
    return total or None


def _systemctl(*arguments: str, timeout_s: float) -> str:
    try:
        done = subprocess.run(
            ["systemctl", "--no-pager", *arguments],
            capture_output=True, text=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ServiceError(f"systemctl {arguments[0]} took longer than {timeout_s:.0f} s.") from None
    except OSError as error:
        raise ServiceError(f"systemctl cannot be run: {error.strerror}.") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[-300:]
        raise ServiceError(f"systemctl {' '.join(arguments)} failed: {said}")
    return done.stdout
