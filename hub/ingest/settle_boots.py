"""Settle the times of long boots after the batch that made it necessary, so that nobody's scans wait for it.

A better reading of a boot's clock, or a record that contradicts the others, may move every scan of its
boot (docs/adr/0016, 0019). Where that is more than a batch may look at, ingest writes the numbering down
(``settlings``, docs/adr/0022). Here it is looked at as a whole, which takes no lock, and what is to be moved
is moved in portions, each as short as a batch. Whoever makes the hub do this again and again gets a tenth of
one core for it.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterable

import msgspec
import psycopg
import structlog

from gate.common.outage import Outage
from hub.config import HubConfig
from hub.db.connection import Connection, one_line, retry_conflicts
from hub.db.statements import query
from hub.db.worker import DatabaseWorker

PORTION = 200
"""Scans moved in one transaction: fewer than a batch brings."""
REST = 10
"""Times as long as settling one of its numberings took, a gate waits for the next."""
LEAST_REST_S = 2.0
_LONGEST_PAUSE_S = 10.0
_LOOK_S = 0.5

_log = structlog.get_logger()


class SettleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A numbering whose times wait to be settled, from `seq` on; `asked`: how often it was asked for."""

    gate_id: str
    epoch: str
    seq: int
    whole: bool
    asked: int


class FairTurns:
    """Whose turn it is: the gate's that was longest without one, and nobody's who has to rest. Pure.

    Seconds of a clock that never jumps.
    """

    def __init__(self) -> None:
        self._rests: dict[str, float] = {}

    def next(self, waiting: Iterable[SettleRequest], now: float) -> SettleRequest | None:
        """The next of these, of which each gate has one."""
        self._rests = {gate: until for gate, until in self._rests.items() if until > now - 3600}
        due = [one for one in waiting if self._rests.get(one.gate_id, now) <= now]
        return min(due, key=lambda one: (self._rests.get(one.gate_id, 0.0), one.gate_id), default=None)

    def took(self, gate_id: str, seconds: float, now: float) -> None:
        """That gate had its turn, which ended now."""
        self._rests[gate_id] = now + max(LEAST_REST_S, REST * seconds)


def waiting(conn: Connection, venue: str) -> list[SettleRequest]:
    """Of each gate the numbering that has waited longest."""
    rows = conn.execute(query("next_settlings"), {"venue": venue}).fetchall()
    return [msgspec.convert(row, SettleRequest) for row in rows]


def settle(
    conn: Connection, one: SettleRequest, venue: str, pause: Callable[[], object] = lambda: None
) -> bool:
    """Put the times of a numbering right. Returns whether that was it: nothing of it came meanwhile.

    :param conn: in autocommit.
    :param pause: called after each portion, so that others come in between.
    :raises psycopg.Error: the database is away, or a lock was not to be had; begin anew.
    """
    about = msgspec.structs.asdict(one)
    # kept beyond its transaction: no snapshot stays open while the portions are written
    with conn.cursor(name="times_to_settle", withhold=True) as times:
        times.execute(query("times_to_settle"), about)
        while portion := times.fetchmany(PORTION):
            wanted = {"gate_id": one.gate_id, "times": msgspec.json.encode(portion).decode(), "venue": venue}
            retry_conflicts(functools.partial(conn.execute, query("settle_portion"), wanted))
            pause()
    row = conn.execute(query("settling_done"), about).fetchone()
    return row is not None and bool(row["done"])


def settle_worker(config: HubConfig) -> DatabaseWorker:
    """Settles what waits, over a connection of its own."""
    turns = FairTurns()

    def turn(conn: Connection, stop: threading.Event) -> None:
        _turn(conn, config.venue, turns, stop)
        stop.wait(_LOOK_S)

    return DatabaseWorker(
        "settle",
        config.postgres.dsn,
        turn,
        begin=lambda conn: conn.execute(query("settling_manners")),
        outage=Outage("settling the times of scans"),
    )


def _turn(conn: Connection, venue: str, turns: FairTurns, stop: threading.Event) -> None:
    now = time.monotonic
    began = now()
    if (one := turns.next(waiting(conn, venue), began)) is None:
        return
    last = [now()]

    def pause() -> None:
        # as long as the portion took: others have half the time at least
        stop.wait(min(_LONGEST_PAUSE_S, now() - last[0]))
        last[0] = now()

    try:
        settle(conn, one, venue, pause)
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
        # somebody else is at it, or it hangs: it stays written down, and others have their turn first
        _log.warning("could not settle the times of a gate's scans; trying again", gate_id=one.gate_id,
            epoch=one.epoch[:64], error=one_line(error))  # fmt: skip
    finally:
        turns.took(one.gate_id, now() - began, now())
