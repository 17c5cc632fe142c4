"""Says who holds what the hub waits for in Postgres: somebody's lock must not stop the door without a word.

Nobody but the hub can take the hub's own locks (``hub_locks``), or lock a table against it. What is left is a
session that changed a row and does not go on: a person's, an administrator's, a tool's. The hub waits for it
in pieces (``lock_timeout``), loses nothing, and here is said whom it waits for, once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import structlog

from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.db.worker import DatabaseWorker

PATIENCE_S = 2.0
"""So long somebody may be in the way: what people and programs do takes less."""
GONE_S = 3.0
"""Not seen for so long, it is over: the hub lets go of what it waits for in between, and tries again."""
QUIET_S = 10.0
"""Between two lines, however many sessions are in the way."""
_LOOK_S = 0.5

_log = structlog.get_logger()


class BlockingSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is in the way, as everybody may see it. `waiting`: how many of the hub's wait for it."""

    pid: int
    login: str
    application: str
    address: str
    waiting: int


class BlockingSessions:
    """Who was seen in the way, and who is to be told of. Pure; seconds of a clock that never jumps."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._seen: dict[int, float] = {}
        self._told: set[int] = set()
        self._quiet_until = 0.0

    def look(
        self, found: Iterable[BlockingSession], now: float
    ) -> tuple[list[tuple[BlockingSession, float]], list[int]]:
        """Whom to tell of, and for how long it has been in the way; and those told of that are gone."""
        over = self._forget(now)
        due = []
        for holder in found:
            self._seen[holder.pid] = now
            waited = now - self._since.setdefault(holder.pid, now)
            if waited >= PATIENCE_S and holder.pid not in self._told and now >= self._quiet_until:
                due.append((holder, waited))
                self._told.add(holder.pid)
                self._quiet_until = now + QUIET_S
        return due, over

    def _forget(self, now: float) -> list[int]:
        gone = [pid for pid, at in self._seen.items() if now - at >= GONE_S]
        for pid in gone:
            del self._seen[pid], self._since[pid]
        over = [pid for pid in gone if pid in self._told]
        self._told.difference_update(over)
        return over


def tell(due: Iterable[tuple[BlockingSession, float]], over: Iterable[int]) -> None:
    """Put it into the log."""
    for holder, waited in due:
        _log.warning(
            "another session in Postgres holds what the hub needs; the hub waits, and loses nothing. If it "
            "does not end: an administrator ends it with SELECT pg_terminate_backend(pid)",
            **msgspec.structs.asdict(holder),
            waited_s=round(waited, 1),
        )
    for pid in over:
        _log.info("the session in Postgres that held up the hub does not any more", pid=pid)


def _holder(row: Mapping[str, Any]) -> BlockingSession:
    return BlockingSession(**{name: row[name] for name in BlockingSession.__struct_fields__})


def lock_watcher(config: HubConfig) -> DatabaseWorker:
    """Looks who is in the way, over a connection that needs no table of ours.

    Without Postgres there is nothing to see, and the other workers log the outage.
    """
    holders = BlockingSessions()

    def turn(conn: Connection, stop: threading.Event) -> None:
        found = map(_holder, conn.execute(query("holders")).fetchall())
        tell(*holders.look(found, time.monotonic()))
        stop.wait(_LOOK_S)

    return DatabaseWorker("lock watch", config.postgres.dsn, turn)
