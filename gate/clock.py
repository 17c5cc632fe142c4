"""The gate's clocks. The only place in the door that asks for the time.

A gate may have no clock chip. Then its wall clock begins in 1970, or at the time it was switched off, and
jumps when somebody sets it. The time since boot never jumps. So sync measures the hub's clock against that
(`gate.rules.model.Measure`), and from then on `Now.wall` is the hub's time, whatever the machine's own wall
clock does. See docs/adr/0019-time-on-a-gate-without-a-clock.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from gate.common.value import Value
from gate.rules.model import Measure, Now

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DRIFT_PPM = 100
"""How fast two clocks are assumed to drift apart, in millionths; NTP assumes 15 (RFC 5905, PHI)."""
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_MS = (
    7_258_118_400_000  # the year 2200, as in sync.wire.scans, so that nonsense cannot overflow a datetime
)


class Clock(Protocol):
    """Anything that knows the time."""

    def now(self) -> Now:
        """One reading of both clocks."""

    def learn(self, measure: Measure | None) -> None:
        """Use what sync measured of the hub's clock; None changes nothing."""


class Machine(Value, frozen=True):
    """The machine's own clocks, read at once. `monotonic_ms`: since the boot `boot_id`, through suspend."""

    wall: datetime
    monotonic_ms: int
    boot_id: str


class SystemClock:
    """The machine's clocks, corrected by what was learnt of the hub's. Thread-safe.

    :param read: for tests; by default the clocks of this machine.
    """

    def __init__(self, read: Callable[[], Machine] | None = None) -> None:
        self._read = read or _this_machine()
        self._measure: Measure | None = None

    def now(self) -> Now:
        """See `Clock`."""
        return hub_time(self._read(), self._measure)

    def learn(self, measure: Measure | None) -> None:
        """See `Clock`."""
        if measure is not None and _tells_more(measure, self._measure, self._read().boot_id):
            self._measure = measure


def _tells_more(new: Measure, known: Measure | None, this_boot: str) -> bool:
    """A measurement of this boot always counts; of two earlier ones the later is the better lower bound."""
    if known is None or new.boot_id == this_boot:
        return True
    return known.boot_id != this_boot and new.hub_ms > known.hub_ms


def _this_machine() -> Callable[[], Machine]:
    boot_id = BOOT_ID.read_text("ascii").strip()

    def read() -> Machine:
        since_boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        return Machine(wall=datetime.now(UTC), monotonic_ms=since_boot, boot_id=boot_id)

    return read


def hub_time(machine: Machine, measure: Measure | None) -> Now:
    """The time, from the machine's clocks and the last measurement of the hub's. Pure.

    If it was measured in this boot: the hub's time, carried on by the clock that does not jump. If in an
    earlier one: nobody knows how long the gate was off, so the machine's own wall clock, but never earlier
    than the hub's time then plus the time since this boot.
    """
    if measure is None or measure.boot_id != machine.boot_id:
        return _untrusted(machine, measure)
    since = machine.monotonic_ms - measure.monotonic_ms
    wall = _moment(measure.hub_ms + since)
    return Now(
        wall=wall,
        monotonic_ms=machine.monotonic_ms,
        boot_id=machine.boot_id,
        clock="synced",
        offset_ms=round((wall - machine.wall) / timedelta(milliseconds=1)),
        uncertainty_ms=measure.uncertainty_ms + drift_ms(since),
    )


def _untrusted(machine: Machine, measure: Measure | None) -> Now:
    floor = _moment(measure.hub_ms + machine.monotonic_ms) if measure else machine.wall
    return Now(wall=max(machine.wall, floor), monotonic_ms=machine.monotonic_ms, boot_id=machine.boot_id)


def drift_ms(since_ms: int) -> int:
    """How far two clocks may drift apart in this many milliseconds, rounded up."""
    return -(-abs(since_ms) * DRIFT_PPM // 1_000_000)


def _moment(unix_ms: int) -> datetime:
    return _UNIX + timedelta(milliseconds=min(max(unix_ms, 0), _LATEST_MS))
