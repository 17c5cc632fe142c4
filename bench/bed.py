"""A gate to measure: the product's own parts, wired as in gate/bootstrap.py.

No other file of bench/ builds a desk or a door.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from pathlib import Path

import msgspec

from bench import night
from bench.figures import Contestant
from display.panel.devices import Device
from display.panel.oled import OledDisplay
from gate.clock import Clock, SystemClock
from gate.common.retried import Retried
from gate.common.systemd import Notifier
from gate.common.watchdog import Heart
from gate.door.desk import Desk
from gate.door.loop import Door
from gate.door.parts import DoorSettings, Parts
from gate.door.turnstile import DoorTurnstile
from gate.hotline.client import Hotline
from gate.ports.devices import Eye, NoInputs, NoKeypad, NoScanner, Silent, Turnstile
from gate.rules.decide import Policy
from gate.rules.model import Now, ScanRecord
from gate.rules.passage import Rules
from gate.rules.payload import code_hash
from gate.store.cache import CacheReader
from gate.store.journal import INSERT, Journal, Turn, connect_journal
from gate.store.link_row import LinkNote
from gate.store.live_file import LiveWriter
from gate.store.rows import to_row
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.fakes import RecordingTurnstile

GATE_ID = "gate-1"
TIDY_EVERY = 500
"""Scans between two checkpoints. The door checkpoints between scans, so neither side's are timed."""


class UncommittedJournal(Journal):
    """A journal that does all the work of a transaction and rolls it back, so that no disk is involved."""

    @contextlib.contextmanager
    def turn(self) -> Iterator[Turn]:
        """See `Journal.turn`."""
        with contextlib.suppress(_Rollback), super().turn() as turn:
            yield turn
            raise _Rollback


class _Rollback(Exception):
    """Leaves a turn in a way that rolls it back."""


class Gate:
    """The files of one gate in `folder`, its desk, and its guests.

    :param tickets: how many the cache holds.
    """

    def __init__(
        self, folder: Path, tickets: int, *, journal: type[Journal] = Journal, clock: Clock | None = None
    ) -> None:
        self.folder = folder
        self.clock = clock or SystemClock()
        self.cache_file = folder / f"cache-{tickets}.db"
        fill(self.cache_file, tickets, self.clock.now())
        self.cache = CacheReader(self.cache_file)
        self.hotline = Hotline(folder / "sync.sock", 0.2, self.clock)
        self.journal = journal(_free(folder, "journal"), GATE_ID, "epoch-1")
        self.desk = self.make_desk(self.journal)
        self.guests = night.guests(1, min(tickets, night.PRINTED))
        self._scans = 0

    def make_desk(self, journal: Journal) -> Desk:
        """As gate/bootstrap.py makes it."""
        return Desk(
            gate_id=GATE_ID,
            journal=journal,
            cache=self.cache,
            clock=self.clock,
            claims=self.hotline,
            random=os.urandom,
            policy=Policy(),
            keys={},
            isolated_after=10.0,
        )

    def scan(self, clock: Callable[[], float] = time.perf_counter) -> float:
        """Seconds from the next guest's parsed code to the answer."""
        presented = night.presented(next(self.guests))
        started = clock()
        self.desk.answer(presented)
        taken = clock() - started
        self._scans += 1
        if self._scans % TIDY_EVERY == 0:
            self.tidy()
        return taken

    def tidy(self) -> None:
        """Checkpoint the write-ahead log, as the door does between scans."""
        now = self.clock.now()
        self.journal.tidy(0, now.wall - timedelta(days=30), now)

    def close(self) -> None:
        """Close the files."""
        self.journal.close()
        self.cache.close()


def fill(path: Path, tickets: int, now: Now) -> None:
    """Fill a cache as sync does with a snapshot; an existing one is used again."""
    cache = Cache(path)
    if not cache.places():
        cache.put_config(config_of(now))
        cache.put_snapshot(night.EVENT_ID, 1, cache.spool.fill(night.rows(tickets)), now.wall)
    put_link(cache, now)
    cache.close()


def config_of(now: Now) -> GateConfig:
    """The gate's configuration from the hub."""
    return GateConfig(
        gate_id=GATE_ID,
        gate_name="GATE 1",
        venue="maguey",
        events=(night.event(now.wall),),
        gate_names={GATE_ID: "GATE 1", "gate-2": "GATE 2"},
    )


def put_link(cache: Cache, now: Now, *, since_ms: int | None = None, connected: bool = True) -> None:
    """Write the note that sync writes every second. `since_ms`: when the link last changed; now if None."""
    note = LinkNote(
        connected=connected,
        hub_heard=connected,
        since_ms=now.monotonic_ms if since_ms is None else since_ms,
        beat_ms=now.monotonic_ms,
        boot_id=now.boot_id,
        epoch="epoch-1",
        acked_seq=0,
    )
    cache.put_link(note, now.wall if connected else None)


class OneInsert:
    """The floor: adds one row to a journal of its own, in one durable transaction."""

    def __init__(self, folder: Path, like: ScanRecord) -> None:
        path = _free(folder, "floor")
        Journal(path, GATE_ID, "epoch-1").close()  # creates the tables and indexes
        self._db, self._like, self._count = connect_journal(path), like, 0

    def insert(self) -> float:
        """Seconds for one row."""
        self._count += 1
        seq, scan_id = self._count, f"{self._count:036d}"
        row = to_row(msgspec.structs.replace(self._like, seq=seq, scan_id=scan_id, code_hash=scan_id))
        started = time.perf_counter()
        self._db.execute("begin immediate")
        self._db.execute(INSERT, row)
        self._db.execute("commit")
        taken = time.perf_counter() - started
        if self._count % TIDY_EVERY == 0:
            self._db.execute("pragma wal_checkpoint(passive)").fetchall()
        return taken

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def one_select(cache_file: Path, guests: Iterator[int], batch: int) -> Contestant:
    """The floor for the CPU time of a decision: reads one row of the cache by its key, in CPU seconds."""
    db = sqlite3.connect(f"file:{cache_file}?mode=ro", uri=True, isolation_level=None)

    def contestant() -> float:
        keys = [(code_hash(night.code(next(guests))),) for _ in range(batch)]
        started = time.thread_time()
        for key in keys:
            db.execute("select row from admissions where code_hash = ?", key).fetchall()
        return (time.thread_time() - started) / batch

    return contestant


@contextlib.contextmanager
def open_door(
    gate: Gate, eye: Eye, turnstile: RecordingTurnstile, device: Callable[[], Device]
) -> Iterator[Door]:
    """The real loop of a gate with a working simulated relay and any screen; closed afterwards."""
    parts = Parts(
        eye=eye,
        display=OledDisplay(device, "en", UTC),
        turnstile=Retried[Turnstile]("turnstile", lambda: turnstile, lambda part: part.close()),
        journal=Retried("journal", lambda: gate.journal, lambda part: part.close()),
        inputs=Retried("inputs", NoInputs, lambda part: part.close()),
        voice=Retried("lights", Silent, lambda part: part.close()),
        keypad=Retried("keypad", NoKeypad, lambda part: part.close()),
        scanner=Retried("scanner", NoScanner, lambda part: part.close()),
        cache=gate.cache,
        clock=gate.clock,
        hotline=gate.hotline,
    )
    # the next guest comes at once, so the pulse is as short as possible
    passing = DoorTurnstile(
        gate_id=GATE_ID,
        parts=parts,
        rules=Rules(sensor=False, timeout_ms=7000, pulse_ms=1),
        random=os.urandom,
    )
    try:
        yield Door(
            DoorSettings(gate_name="GATE 1"),
            parts,
            passing,
            gate.make_desk,
            Heart(Notifier(""), None),
            LiveWriter(gate.folder / "door.json"),
            UTC,
        )
    finally:
        parts.close_devices()
        parts.close_files()


def _free(folder: Path, name: str) -> Path:
    """An unused file name: no measurement continues in another's file."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}-{sum(1 for _ in folder.glob(f'{name}-*.db')) + 1}.db"
