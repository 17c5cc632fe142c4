"""A worker's outage and its end are each logged once; no exception ends its thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from gate.common.outage import SharedOutage
from hub.db import worker as module
from hub.db.worker import DatabaseWorker
from hub.errors import DatabaseDownError
from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Every connection that was opened; none is real, and a worker reconnects without waiting."""
    opened: list[Any] = []

    def connect(_dsn: str, autocommit: bool) -> Any:
        assert autocommit
        opened.append(contextlib.ExitStack())
        return opened[-1]

    monkeypatch.setattr(module, "connect", connect)
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    yield opened


class Turns:
    """Fails with the given failures, then works; `done` is set after two good turns."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self._good = 0
        self.done = threading.Event()

    def __call__(self, _conn: object, stop: threading.Event) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self._good += 1
        if self._good > 1:
            self.done.set()
            stop.wait()


def log_of(turns: Turns) -> list[tuple[str, str]]:
    with capture_logs() as lines, DatabaseWorker("feed", "", turns, outage=SharedOutage("Postgres")):
        assert turns.done.wait(PATIENCE_S)
    return [(line["log_level"], line.get("worker", "") or line["event"]) for line in lines]


DOWN = ("warning", "Postgres failed")
BACK = ("info", "Postgres recovered")


def test_an_outage_is_one_line_and_its_end_another(connections: list[Any]) -> None:
    assert log_of(Turns(DatabaseDownError("away"), DatabaseDownError("still away"))) == [DOWN, BACK]
    assert len(connections) == 3


def test_a_bug_is_logged_once_and_tried_again() -> None:
    assert log_of(Turns(ZeroDivisionError(), ZeroDivisionError())) == [("error", "feed")]


def test_a_refused_row_is_no_outage_and_ends_one() -> None:
    refused = psycopg.errors.CheckViolation("no such state")
    assert log_of(Turns(DatabaseDownError("away"), refused, refused)) == [DOWN, BACK, ("error", "feed")]


def test_an_outage_is_logged_once_for_all_workers() -> None:
    outage = SharedOutage("Postgres")
    turns = [Turns(DatabaseDownError("away"), DatabaseDownError("away")) for _ in range(3)]
    gone = threading.Barrier(3)  # no worker is back before each of them was without it

    def pause() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            gone.wait(PATIENCE_S)

    with capture_logs() as lines, contextlib.ExitStack() as workers:
        for number, turn in enumerate(turns):
            workers.enter_context(DatabaseWorker(f"worker {number}", "", turn, outage=outage, pause=pause))
        assert all(turn.done.wait(PATIENCE_S) for turn in turns)
    assert [(line["log_level"], line["event"]) for line in lines] == [DOWN, BACK]


def test_an_error_of_a_stopped_worker_is_not_an_outage() -> None:
    started = threading.Event()

    def turn(_conn: object, stop: threading.Event) -> None:
        started.set()
        stop.wait()
        raise DatabaseDownError("away")

    with capture_logs() as lines, DatabaseWorker("feed", "", turn, outage=SharedOutage("Postgres")):
        assert started.wait(PATIENCE_S)
    assert lines == []


def test_each_connection_is_set_up_and_each_pause_runs_the_given_function(connections: list[Any]) -> None:
    begun: list[Any] = []
    pauses: list[None] = []
    turns = Turns(DatabaseDownError("away"))
    with DatabaseWorker("feed", "", turns, begin=begun.append, pause=lambda: pauses.append(None)):
        assert turns.done.wait(PATIENCE_S)
    assert (begun, len(pauses)) == (connections, 1)
