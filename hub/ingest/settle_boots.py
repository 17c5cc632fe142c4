"""Corrects the times of long boots after the batch that made it necessary, so that no scans wait for it.

A better reading of a boot's clock, or a record that contradicts the others, may move every scan of its boot
(docs/adr/0016, 0019). If that is more than a batch may look at, ingest notes the journal's epoch
(``settlings``, docs/adr/0022). Here the epoch is read as a whole, which takes no lock, and its scans are
moved in portions, each as short as a batch. A gate that causes this again and again gets a tenth of one core.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable

import msgspec
import psycopg
import structlog

from gate.common.outage import SharedOutage
from hub.config import HubConfig
from hub.db.connection import Connection, one_line, retry_conflicts
from hub.db.statements import query
from hub.db.worker import DatabaseWorker

PORTION = 200
"""Scans moved in one transaction: fewer than a batch has."""
REST = 10
"""After its turn a gate waits this many times as long as the turn took."""
LEAST_REST_S = 2.0
_LONGEST_PAUSE_S = 10.0
_LOOK_S = 0.5

_log = structlog.get_logger()


class SettleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An epoch whose times are to be corrected, from `seq` on. `asked`: how often that was requested."""

    gate_id: str
    epoch: str
    seq: int
    whole: bool
    asked: int


class FairTurns:
    """Whose turn it is: the gate's that has waited longest, unless it has to rest. Pure.

    In seconds of a clock that never jumps.
    """

    def __init__(self) -> None:
        self._rests: dict[str, float] = {}

    def next(self, waiting: Iterable[SettleRequest], now: float) -> SettleRequest | None:
        """The next of these requests, of which each gate has one."""
        self._rests = {gate: until for gate, until in self._rests.items() if until > now - 3600}
        due = [one for one in waiting if self._rests.get(one.gate_id, now) <= now]
        return min(due, key=lambda one: (self._rests.get(one.gate_id, 0.0), one.gate_id), default=None)

    def took(self, gate_id: str, seconds: float, now: float) -> None:
        """That gate had a turn of so many seconds, which ended now."""
        self._rests[gate_id] = now + max(LEAST_REST_S, REST * seconds)


def waiting(conn: Connection, venue: str) -> list[SettleRequest]:
    """For each gate, the request that has waited longest."""
    rows = conn.execute(query("next_settlings"), {"venue": venue}).fetchall()
    return [msgspec.convert(row, SettleRequest) for row in rows]


def settle(
    conn: Connection, one: SettleRequest, venue: str, pause: Callable[[], object] = lambda: None
) -> bool:
    """Correct the times of an epoch. Returns whether it is done; not if more scans of it came meanwhile.

    :param conn: in autocommit.
    :param pause: called after each portion, so that others get their turn.
    :raises psycopg.Error: the database is away, or a lock was not available; start again.
    """
    about = msgspec.structs.asdict(one)
    # outlives its transaction: no snapshot stays open while the portions are written
    with conn.cursor(name="times_to_settle", withhold=True) as times:
        times.execute(query("times_to_settle"), about)
        while portion := times.fetchmany(PORTION):
            wanted = {"gate_id": one.gate_id, "times": msgspec.json.encode(portion).decode(), "venue": venue}
            retry_conflicts(functools.partial(conn.execute, query("settle_portion"), wanted))
            pause()
    row = conn.execute(query("settling_done"), about).fetchone()
    return row is not None and bool(row["done"])


def settle_worker(config: HubConfig, outage: SharedOutage | None = None) -> DatabaseWorker:
    """Corrects what is requested, over a connection of its own.

    :param outage: of Postgres.
    """
    turns = FairTurns()

    def turn(conn: Connection, stop: threading.Event) -> None:
        _turn(conn, config.venue, turns, stop)
        stop.wait(_LOOK_S)

    return DatabaseWorker(
        "settle",
        config.postgres.dsn,
        turn,
        begin=lambda conn: conn.execute(query("settling_manners")),
        outage=outage,
    )


def _turn(conn: Connection, venue: str, turns: FairTurns, stop: threading.Event) -> None:
    now = time.monotonic
    began = now()
    if (one := turns.next(waiting(conn, venue), began)) is None:
        return
    last = [now()]

    def pause() -> None:
        # as long as the portion took, so that others have half of the time at least
        stop.wait(min(_LONGEST_PAUSE_S, now() - last[0]))
        last[0] = now()

    try:
        settle(conn, one, venue, pause)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
        # another session is at it, or it hangs: the request stays, and other gates have their turn first
        _log.warning("settling failed", gate_id=one.gate_id, epoch=one.epoch[:64], error=one_line(error))
    finally:
        turns.took(one.gate_id, now() - began, now())
