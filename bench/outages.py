"""The same decisions with everything available, and without the parts that the door can do without."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from bench import night
from bench.bed import Gate, open_door, put_link
from bench.context import Context
from bench.figures import Contestant, Row, compared, in_turn
from display.panel.devices import Device, make_device
from gate.clock import Clock, SystemClock
from gate.common.errors import HardwareError
from gate.rules.model import Measure, Now
from sync.cache.writer import Cache
from tests.fakes import RecordingTurnstile, ScriptedEye

TICKETS = 10_000
NAMES = ("all there", "no hub, broker, network", "no sync", "no clock", "no screen", "all of these gone")
EPOCH = datetime(1970, 1, 1, 0, 5, tzinfo=UTC)
_LOST = "in 1970 doors have not opened: every guest is refused, so no relay is in it"


class LostClock:
    """A Pi with a dead clock battery that has not heard the time: it is 1970."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._started = self._clock.now().monotonic_ms

    def now(self) -> Now:
        """See `gate.clock.Clock`."""
        now = self._clock.now()
        since = timedelta(milliseconds=now.monotonic_ms - self._started)
        return msgspec.structs.replace(now, wall=EPOCH + since)

    def learn(self, measure: Measure | None) -> None:
        """See `gate.clock.Clock`: there is no hub."""


def no_panel() -> Device:
    """A screen that is gone."""
    raise HardwareError("display", "There is no screen at address 0x3c.", "Check its cable.")


def panel() -> Device:
    """A screen that works."""
    return make_device("dummy")


def rows(context: Context) -> Iterator[Row]:
    """An addition to quality 7.3: a decision takes as long without these parts."""
    with ExitStack() as stack:
        doors = [_door(stack, context.folder / f"outage-{place}", name) for place, name in enumerate(NAMES)]
        taken = in_turn(doors, context.rounds(800), warm_up=50)
    for name, seconds in list(zip(NAMES, taken, strict=True))[1:]:
        row = compared(f"look → decision → relay, {name}, p50", "with all there", seconds, taken[0], 50, 1.15)
        yield msgspec.structs.replace(row, note=_LOST if name == "no clock" else "")


def _door(stack: ExitStack, folder: Path, name: str) -> Contestant:
    gone = NAMES[1:-1] if name == NAMES[-1] else [name]
    gate = Gate(folder, TICKETS)
    stack.callback(gate.cache.close)
    cache = stack.enter_context(closing(Cache(gate.cache_file)))
    eye, device = ScriptedEye(), no_panel if "no screen" in gone else panel
    beat = partial(_beat, cache, gate.clock, connected="no hub, broker, network" not in gone)
    beat()
    if "no clock" in gone:
        gate.clock = LostClock()
    door = stack.enter_context(open_door(gate, eye, RecordingTurnstile(), device))
    return partial(_present, gate, eye, door.step, (lambda: None) if "no sync" in gone else beat)


def _beat(cache: Cache, clock: Clock, *, connected: bool) -> None:
    """Write the note that sync writes every second."""
    now = clock.now()
    since = now.monotonic_ms if connected else now.monotonic_ms - 60_000
    put_link(cache, now, since_ms=since, connected=connected)


def _present(gate: Gate, eye: ScriptedEye, step: Callable[[], None], beat: Callable[[], None]) -> float:
    """Seconds of the loop's turn with the second of two guests.

    Neither sync's write nor the first guest is timed: after the turns of the other doors, nothing of this one
    is in the processor's caches.
    """
    beat()
    for _ in range(2):
        eye.show(night.code(next(gate.guests)).encode())
        started = time.perf_counter()
        step()
    return time.perf_counter() - started
