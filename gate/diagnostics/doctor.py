"""`maguey-gate doctor`: every check before a night, as one table.

While the door runs, it has the devices, so the doctor repeats what it reports; otherwise the doctor tries
them. The network is checked by `maguey-sync doctor` in a child process, because the door has no network code.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from gate.clock import Clock
from gate.common.check_up import examine
from gate.common.findings import Check, Finding, fault
from gate.common.foreign import UnreadableError, read_json
from gate.config import GateFile
from gate.diagnostics import checks
from gate.diagnostics.credentials import check_credentials
from gate.diagnostics.status import gather
from gate.store.live_file import read_live

NETWORK_S = 50.0
"""Longer than `maguey-sync doctor` takes as a whole (`sync.doctor.WHOLE_S`), its start included."""
_LONGEST_LINE = 64 * 1024
DeviceChecks = Callable[[bool], Sequence[tuple[str, Check]]]


def diagnose_gate(config: GateFile, file: Path, clock: Clock, devices: DeviceChecks) -> Iterator[Finding]:
    """Each finding when it is known, in the order of a scan's way through the gate.

    :param file: where `config` was read from, for the child that checks the network.
    :param devices: the checks of devices, given whether the door runs.
    """
    now = clock.now()
    door = read_live(config.live, now)
    local: list[tuple[str, Check]] = [
        ("door", lambda: checks.check_door(door)),
        *devices(door.is_fresh),
        *([("parts", lambda: checks.parts_of(door))] if door.is_fresh else []),
        ("journal's disk", lambda: checks.check_state_dir(config)),
        ("shared files", lambda: checks.check_sharing(config)),
        ("journal and cache", lambda: checks.check_files(gather(config, clock))),
        ("clock", lambda: checks.check_clock(now, _last_scan(config, clock))),
        ("credentials", lambda: check_credentials(config, now.wall)),
    ]
    yield from examine(local)
    yield from examine([("network", lambda: ask_sync(file))], NETWORK_S + 5)


def _last_scan(config: GateFile, clock: Clock) -> datetime | None:
    last_scan = gather(config, clock).journal.last_scan
    return datetime.fromisoformat(last_scan.split()[0]) if last_scan else None


def ask_sync(file: Path, patience_s: float = NETWORK_S) -> Iterator[Finding]:
    """What `maguey-sync doctor` finds, line by line; it is killed if it takes longer."""
    command = [sys.executable, "-m", "sync.cli", "doctor", "--json", "--config", str(file)]
    with tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        timer = threading.Timer(patience_s, child.kill)
        timer.daemon = True
        timer.start()
        try:
            with child:
                yield from _read_lines(child)
        finally:
            timer.cancel()
        errors.seek(0)
        said = errors.read(_LONGEST_LINE).decode("utf-8", "replace").strip().splitlines()
    if child.returncode < 0:
        yield fault("network", f"No answer within {patience_s:g} s.", "Run maguey-sync doctor yourself.")
    elif child.returncode not in {0, 1}:
        yield fault("network", said[-1] if said else "maguey-sync doctor said nothing.", "")


def _read_lines(child: subprocess.Popen[bytes]) -> Iterator[Finding]:
    assert child.stdout is not None
    while line := child.stdout.readline(_LONGEST_LINE):
        try:
            yield read_json(line, Finding, limit=_LONGEST_LINE)
        except UnreadableError:
            yield fault("network", "maguey-sync doctor gave no finding.", "Run maguey-sync doctor yourself.")
