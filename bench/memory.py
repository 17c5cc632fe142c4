"""Memory of the door and of sync, as real processes."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import night
from bench.context import Context
from bench.figures import Aim, Row
from bench.gate_file import write_gate_file
from bench.standin import hub
from demo.night import phone
from demo.servers import ServerError, mosquitto
from gate.common.value import Value

TICKETS = 100_000
GUESTS = 20
START_S = 60.0


class WatchedProcess:
    """One of our commands as a process, with its latest and its largest measured memory."""

    def __init__(self, command: list[str], log: Path) -> None:
        self.last = self.most = Memory()
        self._log = log.open("ab")
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig=TERM", "--", sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def look(self) -> None:
        """Measure its memory now."""
        assert self._process.poll() is None, f"it ended: see {self._log.name}"
        self.last = memory_of(self._process.pid)
        self.most = max(self.most, self.last, key=lambda memory: memory.pss)

    def stop(self) -> None:
        """Stop it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=20)
        self._log.close()


def rows(context: Context) -> Iterator[Row]:
    """Row 8 of quality 7.3: load a night of `TICKETS`, then admit guests."""
    home = context.folder / "memory"
    (home / "camera").mkdir(parents=True)
    try:
        with contextlib.ExitStack() as stack:
            broker = stack.enter_context(mosquitto(home / "mosquitto"))
            config = write_gate_file(home, stack.enter_context(hub(TICKETS)), broker.port)
            sync = WatchedProcess(["sync.cli", "run", "--config", str(config)], home / "sync.log")
            stack.callback(sync.stop)
            door = WatchedProcess(["gate.cli.main", "run", "--config", str(config)], home / "door.log")
            stack.callback(door.stop)
            _live(home, door, sync)
    except ServerError as error:
        yield Row(what="memory", note=str(error))
        return
    yield from _rows("door, camera and decoder", door, 120)
    yield from _rows("sync", sync, 60)


def _rows(what: str, process: WatchedProcess, limit: float) -> Iterator[Row]:
    aim = Aim(limit=limit, of="figure")
    for when, memory in (("at work", process.last), ("at most", process.most)):
        name = f"memory of {what}, {when}"
        yield Row(what=f"{name}, PSS", figure=memory.pss, unit="MB", aim=aim)
        yield Row(what=f"{name}, as if alone", figure=memory.alone, unit="MB", aim=aim)


def _live(home: Path, door: WatchedProcess, sync: WatchedProcess) -> None:
    """Load the night, then admit guests."""
    journal, cache = home / "state" / "journal.db", home / "state" / "cache.db"
    _until(lambda: _count(cache, "select count(*) from feed") == 1, door, sync)
    for number in range(GUESTS):
        hidden = home / "camera" / f".{number}.png"
        phone(night.code(number), random.Random(number)).save(hidden)
        hidden.rename(home / "camera" / f"{number}.png")
    _until(lambda: _count(journal, "select count(*) from scans") >= GUESTS, door, sync)


def _until(done: Callable[[], bool], *watched: WatchedProcess) -> None:
    deadline = time.monotonic() + START_S
    while not done():
        assert time.monotonic() < deadline, "the gate did not get that far"
        for process in watched:
            process.look()
        time.sleep(0.05)


def _count(path: Path, query: str) -> int:
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
    ):
        return int(db.execute(query).fetchone()[0])
    return 0


class Memory(Value, frozen=True):
    """Memory of a process and all its descendants, in MB.

    `pss`: proportional set size; pages shared with any other process count in part. `alone`: as if nothing
    else ran; pages that the process shares with its descendants count once. On a Pi, where door and sync are
    the only Python programs, the truth lies in between.
    """

    pss: float = 0.0
    alone: float = 0.0


def memory_of(pid: int) -> Memory:
    """Measure now; zero for a process that has ended."""
    files: dict[str, int] = {}
    own = pss = 0
    for one in (pid, *descendants(pid)):
        for mapping in _mappings(one):
            own += mapping.anonymous
            pss += mapping.pss
            files[mapping.where] = max(files.get(mapping.where, 0), mapping.resident - mapping.anonymous)
    return Memory(pss=pss / 1024, alone=(own + sum(files.values())) / 1024)


class _Mapping(Value, frozen=True):
    """`where`: offset and inode of the file, zeros for anonymous memory. The rest in kB."""

    where: str
    resident: int
    pss: int
    anonymous: int


def _mappings(pid: int) -> Iterator[_Mapping]:
    """See proc(5), ``/proc/PID/smaps``: a line that names the mapping, then one line per fact."""
    where, facts = "", {}
    for line in _lines(Path(f"/proc/{pid}/smaps")):
        name, *rest = line.split()
        if not name.endswith(":"):
            where = f"{rest[1]} {rest[3]}"  # offset and inode
        elif name in ("Rss:", "Pss:", "Anonymous:"):
            facts[name] = int(rest[0])
        elif name == "VmFlags:":
            yield _Mapping(
                where=where, resident=facts["Rss:"], pss=facts["Pss:"], anonymous=facts["Anonymous:"]
            )


def _lines(path: Path) -> list[str]:
    with contextlib.suppress(OSError):  # it has ended
        return path.read_text().splitlines()
    return []


def descendants(pid: int) -> list[int]:
    """Children, grandchildren and so on."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found + [deeper for child in found for deeper in descendants(child)]
