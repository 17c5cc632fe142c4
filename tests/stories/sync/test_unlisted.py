"""A broker that lets this gate in and refuses all it asks for: why is told, once."""

from __future__ import annotations

from structlog.testing import capture_logs

from sync.broker.mqtt import Connected, Disconnected
from tests.sync_bench import Bench

UNLISTED = Disconnected("the broker refuses every subscription", unlisted=True)


def refuse(bench: Bench, times: int) -> list[str]:
    """What the log says while each connection is refused."""
    with capture_logs() as lines:
        for _ in range(times):
            bench.step(UNLISTED)
            bench.step(seconds=16)
    return [line.get("reason", line.get("why")) for line in lines]


def test_a_gate_that_was_never_listed_is_told_of_once(bench: Bench) -> None:
    bench.step()
    (told,) = refuse(bench, 20)
    assert UNLISTED.why in told
    assert bench.note().unlisted


def test_a_gate_that_is_missing_after_the_brokers_restart_is_told_of_in_the_middle_of_the_outage(
    bench: Bench,
) -> None:
    bench.connect()
    bench.step(Disconnected("the connection broke off"))
    bench.step(seconds=16)
    assert not bench.note().unlisted
    assert refuse(bench, 20) == [UNLISTED.why]
    bench.step(Disconnected("no connection"))
    bench.step(seconds=16)
    assert refuse(bench, 5) == []


def test_once_it_is_listed_nobody_is_told_and_the_next_time_anew(bench: Bench) -> None:
    bench.step()
    refuse(bench, 2)
    bench.step(Connected())
    bench.step(seconds=30)
    assert not bench.note().unlisted
    assert len(refuse(bench, 3)) == 1
