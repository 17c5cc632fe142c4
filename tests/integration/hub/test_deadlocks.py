"""The loser of a deadlock tries again: one helper for every transaction of the hub that locks rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from structlog.testing import capture_logs

from hub.db.connection import ATTEMPTS, connect, retry_conflicts
from hub.gates.home_gates import retire
from tests.integration.hub.asking import NOW, Night
from tests.integration.hub.test_lending import until_blocked
from tests.integration.hub.world import PATIENCE, World


def test_a_retirement_that_loses_a_deadlock_is_done_anyway(dsn: str, owner_dsn: str, world: World) -> None:
    night = Night(world)
    night.divide()
    # only an administrator may set how long a wait lasts before a deadlock is looked for
    with (
        connect(dsn) as first,
        connect(owner_dsn) as other,
        connect(owner_dsn, autocommit=True) as retiring,
    ):
        other.execute("SET deadlock_timeout = '10min'")  # it is never the victim
        retiring.execute("SET deadlock_timeout = '10ms'")
        retiring.execute("SET ROLE maguey_hub")
        other.execute("LOCK TABLE lends")
        first.execute("SELECT take_locks(ARRAY[home_gates_lock(%s)])", [night.event])
        with capture_logs() as logs, ThreadPoolExecutor(2) as pool:
            done = pool.submit(retire, retiring, "PF", "gate-1", "Eva", "water in it", NOW)
            until_blocked(world, retiring.info.backend_pid)
            waiting = pool.submit(other.execute, "SELECT FROM events FOR UPDATE")
            until_blocked(world, other.info.backend_pid)
            first.commit()  # from here on each waits for the other
            waiting.result(PATIENCE)
            other.commit()
            assert "gate-1 is out" in done.result(PATIENCE)
    assert {line["event"] for line in logs} == {"transaction retried"}
    assert world.one("SELECT retired_gates FROM events") == ["gate-1"]
    assert world.one("SELECT count(*) FROM audit_log") == 1


def losing(times: int, error: psycopg.Error) -> tuple[Callable[[], int], list[int]]:
    """A transaction that fails so often, and the list of its attempts."""
    tried: list[int] = []

    def transact() -> int:
        tried.append(1)
        if len(tried) <= times:
            raise error
        return len(tried)

    return transact, tried


def test_losing_every_time_raises_the_error() -> None:
    transact, tried = losing(ATTEMPTS, psycopg.errors.DeadlockDetected("deadlock detected"))
    with pytest.raises(psycopg.errors.DeadlockDetected):
        retry_conflicts(transact)
    assert len(tried) == ATTEMPTS
    assert retry_conflicts(losing(ATTEMPTS - 1, psycopg.errors.SerializationFailure("again"))[0]) == ATTEMPTS


def test_an_error_that_would_recur_is_not_tried_again() -> None:
    transact, tried = losing(1, psycopg.errors.CheckViolation("never"))
    with pytest.raises(psycopg.errors.CheckViolation):
        retry_conflicts(transact)
    assert len(tried) == 1
