"""From the start of the door's process to its first verdict, for a phone held up while the gate starts."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec

from bench import night
from bench.bed import GATE_ID, Gate, fill, put_link
from bench.context import Context
from bench.decision import a_record
from bench.figures import Row, compared, in_turn
from bench.gate_file import write_gate_file
from demo.night import phone
from gate.clock import SystemClock
from gate.rules.model import ScanRecord
from gate.store.journal import Journal
from sync.cache.writer import Cache

TICKETS = 10_000
RECORDED = 5_000
"""Scans in the journal, which the door checks before it trusts it."""
ROUNDS = 15
START_S = 60.0
LIBRARIES = (
    "cryptography.x509, gpiozero, msgspec, numpy, PIL.Image, pyzbar.pyzbar, sqlite_utils, structlog, "
    "typer, zxingcpp"
)
"""What door, camera and decoder import between them: the floor imports all of it in one process."""


class ColdGate:
    """A gate that is switched off, its files as a night leaves them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        (home / "camera").mkdir(parents=True)
        (home / "state").mkdir()
        self._config = write_gate_file(home)
        self._cache = home / "state" / "cache.db"
        fill(self._cache, TICKETS, SystemClock().now())
        gate = Gate(home / "like", 100)
        _record(home / "state" / "journal.db", a_record(gate))
        gate.close()
        self._shown = 0

    def first_verdict(self) -> float:
        """Seconds from the start of `maguey-gate run` to the relay, for the next guest's phone."""
        self._hold_up(self._shown)
        self._shown += 1
        trace = self._home / "trace"
        trace.unlink(missing_ok=True)
        with (self._home / "door.log").open("ab") as log:
            started = time.monotonic()
            command = [sys.executable, "-m", "gate.cli.main", "run", "--config", str(self._config)]
            door = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                return _first_pulse(trace, door) - started
            finally:
                door.terminate()
                door.wait(timeout=20)

    def _hold_up(self, number: int) -> None:
        """The phone, and a sync that reports a moment before."""
        phone(night.code(number), random.Random(number)).save(self._home / "camera" / f"{number}.png")
        cache = Cache(self._cache)
        put_link(cache, SystemClock().now())
        cache.close()


def rows(context: Context) -> Iterator[Row]:
    """An addition to quality 7.3: how long a gate is away after power-on, without the machine's own start."""
    gate = ColdGate(context.folder / "start")
    rounds = max(5, int(ROUNDS * context.share))
    ours, floor = in_turn([gate.first_verdict, partial(_bare, f"import {LIBRARIES}")], rounds, warm_up=1)
    yield compared("start → first verdict", "python that imports the same libraries", ours, floor, 50, None)


def _first_pulse(trace: Path, door: subprocess.Popen[bytes]) -> float:
    """When the relay was first energised, in monotonic seconds."""
    until = time.monotonic() + START_S
    while not (trace.exists() and trace.read_bytes().endswith(b"\n")):
        assert door.poll() is None and time.monotonic() < until, "the door gave no pulse: see door.log"
        time.sleep(0.02)
    first: dict[str, int] = msgspec.json.decode(trace.read_bytes().splitlines()[0])
    return first["t_ms"] / 1000


def _bare(program: str) -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.monotonic() - started


def _record(path: Path, like: ScanRecord) -> None:
    journal = Journal(path, GATE_ID, "epoch-1")
    with journal.turn() as turn:
        for number in range(RECORDED):
            scan = {"scan_id": f"{number:036d}", "code_hash": f"{number:064d}", "released": False}
            turn.append(msgspec.structs.replace(like, **scan))
    journal.close()
