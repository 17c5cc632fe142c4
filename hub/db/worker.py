"""A thread of the hub that works in Postgres and survives whatever goes wrong.

It connects, works until it is stopped, and after a failure tries again: nobody else would start it again, and
the gates would wait for its work in vain. An outage of Postgres is logged once for all workers, any other
failure once for each.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Self

import psycopg
import structlog

from gate.common.outage import SharedOutage
from hub.db.connection import Connection, connect, database_error_in_words, is_outage, one_line

RETRY_S = 1.0
_STOP_S = 1.0

_log = structlog.get_logger()
WorkerTurn = Callable[[Connection, threading.Event], object]


class DatabaseWorker:
    """Works in a thread while its block runs, over a connection of its own.

    :param name: of the thread, and of the work in the log.
    :param turn: one round of the work, over a connection in autocommit. It waits for work itself, until the
        event is set at the longest, and raises what Postgres raises.
    :param begin: sets up each new connection.
    :param outage: of Postgres, shared by all that work in it.
    :param pause: called between two attempts instead of waiting `RETRY_S`.
    """

    def __init__(  # noqa: PLR0913 – what a worker needs, by name
        self,
        name: str,
        dsn: str,
        turn: WorkerTurn,
        *,
        begin: Callable[[Connection], object] | None = None,
        outage: SharedOutage | None = None,
        pause: Callable[[], object] | None = None,
    ) -> None:
        self._name = name
        self._dsn = dsn
        self._turn = turn
        self._begin = begin
        self._outage = outage or SharedOutage("Postgres")
        self._stop = threading.Event()
        self._pause = pause or self._wait
        self._is_failing = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=_STOP_S)
        self._outage.leave(self._name)

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                with contextlib.closing(connect(self._dsn, autocommit=True)) as conn:
                    self._serve(conn)
            except Exception as error:
                if not self._stop.is_set():
                    self._failed(error)
                    self._pause()

    def _serve(self, conn: Connection) -> None:
        if self._begin is not None:
            self._begin(conn)
        while not self._stop.is_set():
            self._turn(conn, self._stop)
            self._is_failing = False
            self._outage.over(self._name)

    def _failed(self, error: Exception) -> None:
        if is_outage(error):
            self._outage.began(self._name, database_error_in_words(error))
            return
        self._outage.over(self._name)
        if not self._is_failing:
            # Postgres adds values of the row to its error, so only the first line of one is logged
            bug = None if isinstance(error, psycopg.Error) else error
            _log.error("worker failed", worker=self._name, error=one_line(error), exc_info=bug)
        self._is_failing = True

    def _wait(self) -> None:
        self._stop.wait(RETRY_S)
