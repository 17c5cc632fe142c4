"""Decisions while sync is as busy as it can be: the slowest in a thousand against the median.

Run as a program (`python -m bench.busy CACHE JOURNAL TICKETS`), this file is that sync: in a process of its
own it writes snapshots and deltas into the cache and reads the journal, through sync's own classes, until its
standard input closes.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from bench import night
from bench.bed import TIDY_EVERY, Gate, put_link
from bench.context import Context
from bench.figures import Aim, Row, percentile
from gate.clock import SystemClock
from gate.rules.model import Admission
from sync.cache.writer import Cache
from sync.upload.outbox import Outbox
from sync.wire.messages import Change
from sync.wire.scans import BATCH_LIMIT

TICKETS = 100_000
DELTAS = 100
"""Deltas between two snapshots, 10 ms apart, each with ten changes: far more than a night brings."""


def rows(context: Context) -> Iterator[Row]:
    """Row 4 of quality 7.3."""
    with closing(Gate(context.folder, TICKETS)) as gate, _sync(gate) as sync:
        taken = [gate.scan() for _ in range(context.rounds(25_000))]
        sync.stdin.close()
        done = json.loads(sync.stdout.read())
    millis = [seconds * 1000 for seconds in taken]
    yield Row(
        what="decision while sync writes, p99.9",
        figure=percentile(millis, 99.9),
        floor="its own p50",
        floor_figure=percentile(millis, 50),
        aim=Aim(limit=15),
        note=f"slowest {max(millis):.1f} ms of {len(millis)}; meanwhile {done['snapshots']} snapshots of "
        f"{TICKETS:,}, {done['deltas']} deltas, {done['sent']} records read, "
        f"a checkpoint every {TIDY_EVERY} scans",
    )


@contextlib.contextmanager
def _sync(gate: Gate) -> Iterator[Any]:
    command = [sys.executable, "-m", "bench.busy", str(gate.cache_file), str(gate.journal.path), str(TICKETS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as sync:
        assert sync.stdout is not None
        assert sync.stdout.readline() == "ready\n"
        yield sync


class BusySync:
    """Does sync's writing and reading as fast as it can."""

    def __init__(self, cache_file: Path, journal: Path, tickets: int) -> None:
        self._cache, self._outbox, self._clock = Cache(cache_file), Outbox(journal), SystemClock()
        self._rows = list(night.rows(tickets))
        self._admissions = [row for row in self._rows if isinstance(row, Admission)]
        self._version = self._cache.places()[night.EVENT_ID].version
        self._acked = 0
        self.done = {"snapshots": 0, "deltas": 0, "sent": 0}

    def work(self) -> None:
        """Work until standard input closes."""
        while True:
            self._snapshot()
            for _ in range(DELTAS):
                if select.select([sys.stdin], [], [], 0.01)[0]:
                    return
                self._delta()
                self._read()

    def _snapshot(self) -> None:
        self._version += 1
        self._cache.put_snapshot(
            night.EVENT_ID, self._version, self._cache.spool.fill(self._rows), self._clock.now().wall
        )
        self.done["snapshots"] += 1

    def _delta(self) -> None:
        now = self._clock.now()
        start = self._version * 10 % (len(self._admissions) - 10)
        changed = [
            Change(version=self._version + step, row=msgspec.structs.replace(row, holder=f"v{self._version}"))
            for step, row in enumerate(self._admissions[start : start + 10], start=1)
        ]
        self._version += len(changed)
        self._cache.put_changes(night.EVENT_ID, changed, now.wall)
        put_link(self._cache, now)
        self.done["deltas"] += 1

    def _read(self) -> None:
        records = self._outbox.above(self._acked, BATCH_LIMIT)
        self._acked += len(records)
        self.done["sent"] += len(records)


def _main(cache_file: str, journal: str, tickets: str) -> None:
    sync = BusySync(Path(cache_file), Path(journal), int(tickets))
    print("ready", flush=True)
    sync.work()
    print(json.dumps(sync.done), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
