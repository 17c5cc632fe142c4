"""A night's list from Postgres into a gate's cache (quality 7.3)."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.context import Context
from bench.figures import Row, compared
from bench.hub_bed import TOKEN, HubBed, open_hub, until
from sync.cache.writer import Cache
from sync.feed.snapshot import HubClient, HubUnreachable

TICKETS = 100_000
ROUNDS = 5


def rows(context: Context) -> Iterator[Row]:
    """See `bench.__main__.SUBJECTS`."""
    tickets = max(1_000, int(TICKETS * min(1.0, context.share)))
    with open_hub(context.folder / "snapshots", tickets) as bed:
        bed.program("web").start()
        client = HubClient(f"http://127.0.0.1:{bed.config.web.port}", "gate-1", TOKEN)
        until(lambda: _answers(client), "the hub's web server")
        ours: list[float] = []
        floors: list[float] = []
        for number in range(ROUNDS):
            # a new version each time, so that the hub's cached snapshot is not measured
            with bed.connect() as conn:
                conn.execute(
                    "update tickets set guest_name = %s where id = %s",
                    (f"Ana {number}", bed.tickets[0].subject_id),
                )
            ours.append(_loaded(bed, client, context.folder / f"cache-{number}.db"))
            floors.append(_floor(bed, context.folder / f"floor-{number}.db"))
    yield compared(
        f"snapshot of {tickets:,} admissions, Postgres → usable on the gate",
        "COPY of the rows and executemany into SQLite",
        ours,
        floors,
        50,
        2.0,
    )


def _answers(client: HubClient) -> bool:
    try:
        client.config()
    except HubUnreachable:
        return False
    return True


def _loaded(bed: HubBed, client: HubClient, path: Path) -> float:
    """Seconds from an empty cache to one in which the door can look up tickets."""
    cache = Cache(path)
    begun = time.perf_counter()
    fetched = client.admissions(bed.event_id, 0, cache.spool)
    if fetched.spooled is None:
        raise RuntimeError("the hub sent no snapshot")
    cache.put_snapshot(bed.event_id, fetched.version, fetched.spooled, datetime.now(UTC))
    taken = time.perf_counter() - begun
    cache.close()
    return taken


def _floor(bed: HubBed, path: Path) -> float:
    """Seconds to copy the same rows without a network, a digest or parsing."""
    begun = time.perf_counter()
    with bed.connect() as conn:
        asked = (
            "copy (select row ->> 'code_hash', row::text from feed_admissions where event_id = %s) to stdout"
        )
        with conn.cursor().copy(asked, (bed.event_id,)) as copy:
            found = list(copy.rows())
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("pragma journal_mode=wal")
        db.execute("create table admissions (code_hash text primary key, row text not null) without rowid")
        with db:
            db.executemany("insert into admissions values (?, ?)", found)
    return time.perf_counter() - begun
