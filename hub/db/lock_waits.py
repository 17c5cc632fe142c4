"""Logs which session the hub waits for in Postgres, so that a foreign lock never stops the door silently.

Nobody but the hub can take the hub's own locks (``hub_locks``), or lock a table against it. What remains is a
session that changed a row and then idles: a person's, an administrator's, a tool's. The hub waits for it a
few seconds at a time (``lock_timeout``) and loses nothing; here it is logged once, with whose session it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import structlog

from gate.common.outage import SharedOutage
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.db.worker import DatabaseWorker

PATIENCE_S = 2.0
"""How long a session may block: people and programs usually take less."""
GONE_S = 3.0
"""A session not seen for so long no longer blocks: between its attempts the hub releases what it holds."""
QUIET_S = 10.0
"""Least time between two log lines, however many sessions block."""
_LOOK_S = 0.5

_log = structlog.get_logger()


class BlockingSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that blocks, as anybody may see it. `waiting`: how many of the hub's sessions wait for it."""

    pid: int
    login: str
    application: str
    address: str
    waiting: int


class BlockingSessions:
    """Which sessions blocked, and which to log. Pure; in seconds of a clock that never jumps."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}
        self._seen: dict[int, float] = {}
        self._logged: set[int] = set()
        self._quiet_until = 0.0

    def look(
        self, found: Iterable[BlockingSession], now: float
    ) -> tuple[list[tuple[BlockingSession, float]], list[int]]:
        """Returns the sessions to log, each with how long it has blocked, and the logged ones that ended."""
        ended = self._forget(now)
        due = []
        for session in found:
            self._seen[session.pid] = now
            waited = now - self._since.setdefault(session.pid, now)
            if waited >= PATIENCE_S and session.pid not in self._logged and now >= self._quiet_until:
                due.append((session, waited))
                self._logged.add(session.pid)
                self._quiet_until = now + QUIET_S
        return due, ended

    def _forget(self, now: float) -> list[int]:
        gone = [pid for pid, at in self._seen.items() if now - at >= GONE_S]
        for pid in gone:
            del self._seen[pid], self._since[pid]
        ended = [pid for pid in gone if pid in self._logged]
        self._logged.difference_update(ended)
        return ended


def _write_log(due: Iterable[tuple[BlockingSession, float]], ended: Iterable[int]) -> None:
    for session, waited in due:
        _log.warning(
            "hub blocked",
            advice="The hub waits and loses nothing. If the session does not end, an administrator ends it "
            "with SELECT pg_terminate_backend(pid).",
            **msgspec.structs.asdict(session),
            waited_s=round(waited, 1),
        )
    for pid in ended:
        _log.info("hub no longer blocked", pid=pid)


def _session(row: Mapping[str, Any]) -> BlockingSession:
    return BlockingSession(**{name: row[name] for name in BlockingSession.__struct_fields__})


def lock_watcher(config: HubConfig, outage: SharedOutage | None = None) -> DatabaseWorker:
    """Watches for blocking sessions, over a connection that needs none of our tables."""
    sessions = BlockingSessions()

    def turn(conn: Connection, stop: threading.Event) -> None:
        found = map(_session, conn.execute(query("blocking_sessions")).fetchall())
        _write_log(*sessions.look(found, time.monotonic()))
        stop.wait(_LOOK_S)

    return DatabaseWorker("lock watch", config.postgres.dsn, turn, outage=outage)
