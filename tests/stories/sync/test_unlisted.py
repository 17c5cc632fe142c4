"""A broker that accepts this gate's connection but refuses its subscriptions: the reason is logged once."""

from __future__ import annotations

from structlog.testing import capture_logs

from sync.broker.mqtt import Connected, Disconnected
from tests.sync_bench import Bench

UNLISTED = Disconnected("the broker refuses every subscription", unlisted=True)


def refuse(bench: Bench, times: int) -> list[str]:
    """The log lines while each connection is refused."""
    with capture_logs() as lines:
        for _ in range(times):
            bench.step(UNLISTED)
            bench.step(seconds=16)
    return [line.get("reason", line.get("why")) for line in lines]


def test_a_gate_that_was_never_listed_is_reported_once(bench: Bench) -> None:
    bench.step()
    (told,) = refuse(bench, 20)
    assert UNLISTED.why in told
    assert bench.note().unlisted


def test_a_gate_missing_from_the_list_is_reported_during_an_outage(
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


def test_being_listed_ends_the_report_and_the_next_refusal_is_logged_again(bench: Bench) -> None:
    bench.step()
    refuse(bench, 2)
    bench.step(Connected())
    bench.step(seconds=30)
    assert not bench.note().unlisted
    assert len(refuse(bench, 3)) == 1
