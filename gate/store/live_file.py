"""The state of the door right now: written by the door, read by `status`, `doctor` and sync.

One small JSON file in `runtime_dir`, which is in memory. It is replaced as a whole, so nobody ever reads
half of one. The door does not need it: if it cannot be written, the door goes on, and only its readers know
less.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from gate.common.foreign import read_json
from gate.common.outage import Outage
from gate.common.owned_files import create_own, read_own
from gate.common.value import Value
from gate.rules.model import Moment, Now
from gate.rules.passage import Way

EVERY_MS = 1_000
FRESH_MS = 5_000
"""A door that has written nothing for this long is not running, or hangs."""
LONGEST = 64 * 1024
"""The longest file that is read, in bytes; the door writes about one thousand."""
OK: Literal["ok"] = "ok"


class PartsReport(Value, frozen=True):
    """Each part: ``ok``, or its trouble in words."""

    camera: str = OK
    decoder: str = OK
    turnstile: str = OK
    screen: str = OK
    inputs: str = OK
    lights: str = OK
    keypad: str = OK
    scanner: str = OK
    journal: str = OK
    cache: str = OK


class Counters(Value, frozen=True):
    """What has happened since the door was started."""

    scans: int = 0
    admitted: int = 0
    refused: int = 0
    annulled: int = 0
    passed: int = 0
    decoder_restarts: int = 0
    camera_restarts: int = 0


class Live(Value, frozen=True):
    """The door at one moment.

    `at`: by the wall clock; `monotonic_ms`: of the boot `boot_id`. `p50_ms`, `p99_ms`: how long the last
    decisions took, from the presented code to the durable commit; None before the first. `clock`: whether
    the hub has confirmed `at`; if so, the next two say how far off the machine's own clock is and how
    certain that is. `isolated`: no broker has been reached for a while.
    `frame_ms`: when the newest frame was looked at, on the same clock as `monotonic_ms`; None before one.
    """

    at: Moment
    monotonic_ms: int
    boot_id: str
    pid: int
    version: str
    parts: PartsReport = PartsReport()
    way: Way = Way.NORMAL
    counters: Counters = Counters()
    p50_ms: float | None = None
    p99_ms: float | None = None
    clock: Literal["synced", "untrusted"] = "untrusted"
    clock_offset_ms: int | None = None
    clock_uncertainty_ms: int | None = None
    isolated: bool = False
    frame_ms: int | None = None


class LiveReading(Value, frozen=True):
    """What a reader finds. `live`: the last state written; `is_fresh`: the door runs now."""

    live: Live | None = None
    age_ms: int | None = None
    is_fresh: bool = False
    why: str = ""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of all values does not exceed (nearest rank).

    :param share: above 0, at most 1.
    """
    if not values:
        return None
    return sorted(values)[math.ceil(share * len(values)) - 1]


class LiveWriter:
    """Writes the file about once a second, and at once when a part, the way or the link changes.

    :param path: `gate.config.GateFile.live`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: Live | None = None
        self._outage = Outage("status file")

    def put(self, live: Live) -> None:
        """Write the state if it is time. Never raises."""
        if self._last is not None and not _is_due(self._last, live):
            return
        self._last = live
        try:
            self._write(msgspec.json.encode(live))
        except OSError as error:
            self._outage.began(
                f"{self._path}: {error.strerror}. The door works, but `status` cannot report on it. "
                "Correct runtime_dir and its owner."
            )
        else:
            self._outage.over()

    def _write(self, text: bytes) -> None:
        fresh = self._path.with_name(f".{self._path.name}.new")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(create_own(fresh), "wb") as file:
            file.write(text)
        fresh.replace(self._path)

    def close(self) -> None:
        """The door stops, so the file goes."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def _is_due(last: Live, live: Live) -> bool:
    return _state(last) != _state(live) or live.monotonic_ms - last.monotonic_ms >= EVERY_MS


def _state(live: Live) -> tuple[object, ...]:
    return live.parts, live.way, live.clock, live.isolated


def read_live(path: Path, now: Now) -> LiveReading:
    """The door's last state, and whether it runs. Never raises; `LiveReading.why` says what is wrong."""
    try:
        live = read_json(read_own(path, LONGEST), Live, limit=LONGEST)
    except FileNotFoundError:
        return LiveReading(why="The door is not running.")
    except OSError as error:
        return LiveReading(
            why=f"{path}: cannot be read: {error.strerror}. Ask as root, or as the group maguey."
        )
    except ValueError as error:
        return LiveReading(why=f"{path}: not what the door writes: {error}. Is the door of the same version?")
    if live.boot_id != now.boot_id:
        return LiveReading(live=live, why="The door has not run since the machine was started.")
    # the door may have written it after `now` was taken
    age = max(now.monotonic_ms - live.monotonic_ms, 0)
    if age > FRESH_MS:
        why = f"The door has written nothing for {age // 1000} s: it has ended, or it hangs."
        return LiveReading(live=live, age_ms=age, why=why)
    return LiveReading(live=live, age_ms=age, is_fresh=True)
