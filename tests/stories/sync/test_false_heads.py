"""A head proves nothing (docs/adr/0018): what a broker says counts until the hub itself has answered."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from gate.hotline.messages import Refetch
from sync.broker.mqtt import Connected, Disconnected
from sync.feed.snapshot import FetchedFeed
from sync.wire.messages import Change, Delta, GateConfig, Head
from tests.factories import an_admission, an_event
from tests.sync_bench import TOPICS, Bench

DAY_US = 86_400_000_000
LIES: list[Head | Delta] = [
    Head(event_id="event-1", version=10**15, count=1),
    Head(event_id="event-1", version=1, count=1, generation=2**62),
    Delta(event_id="event-1", changes=(Change(version=10**15, row=an_admission()),)),
    Delta(event_id="event-1", changes=(Change(version=1, row=an_admission()),), generation=2**62),
]


@pytest.fixture
def current(bench: Bench) -> Bench:
    """A gate that has everything, up to version 5."""
    bench.hub_is_there = True
    bench.connect()
    bench.serve(an_admission())
    assert not lacks(bench)
    return bench


def lacks(bench: Bench) -> bool:
    bench.step(seconds=3)
    return "event-1" in bench.reader.link(bench.clock.now()).behind


def tell(bench: Bench, lie: Head | Delta) -> None:
    topic = TOPICS.head("event-1") if isinstance(lie, Head) else TOPICS.deltas("event-1")
    bench.hear(topic, lie)


def answer(bench: Bench, asked_ms: int | None = None, version: int = 5) -> None:
    """The hub's answer with its newest version; asked just now, unless `asked_ms` says otherwise."""
    asked_ms = bench.clock.monotonic_ms if asked_ms is None else asked_ms
    changes = tuple(Change(version=number, row=an_admission()) for number in range(6, version + 1))
    bench.step(
        FetchedFeed(
            event_id="event-1", version=version, since=5, newest=version, changes=changes, asked_ms=asked_ms
        )
    )


@pytest.mark.parametrize("lie", LIES)
def test_a_false_head_is_dropped_once_the_hub_has_answered_a_later_request(
    current: Bench, lie: Head | Delta
) -> None:
    tell(current, lie)
    assert lacks(current)
    answer(current)
    assert not lacks(current)
    assert current.sync._follower.is_current()


@pytest.mark.parametrize("lie", LIES)
def test_an_answer_to_a_request_from_before_a_head_does_not_refute_it(
    current: Bench, lie: Head | Delta
) -> None:
    asked_ms = current.clock.monotonic_ms
    tell(current, lie)
    answer(current, asked_ms)
    assert lacks(current)


def test_a_true_head_during_the_request_about_a_false_one_is_not_lost(current: Bench) -> None:
    tell(current, LIES[0])
    asked_ms = current.clock.monotonic_ms
    current.step(seconds=1)
    tell(current, Head(event_id="event-1", version=6, count=1))
    answer(current, asked_ms)
    assert lacks(current)
    answer(current, version=6)
    assert not lacks(current)


def test_an_answer_older_than_the_list_itself_still_refutes_a_false_head(current: Bench) -> None:
    """On a busy night changes go on arriving while the hub is asked about a false head."""
    tell(current, LIES[0])
    current.step(seconds=1)
    asked_ms = current.clock.monotonic_ms
    tell(current, Delta(event_id="event-1", changes=(Change(version=6, row=an_admission()),)))
    answer(current, asked_ms)
    assert not lacks(current)


@pytest.mark.parametrize("is_reboot", [False, True])
def test_a_false_head_is_refuted_by_the_hub_even_after_a_restart(current: Bench, is_reboot: bool) -> None:
    tell(current, LIES[0])
    assert lacks(current)
    if is_reboot:
        current.clock.reboot()
    current.sync = current.start()
    current.connect()
    config = GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(an_event(),))
    current.step(config)
    assert lacks(current)
    answer(current)
    assert not lacks(current)


def test_a_reload_ordered_by_staff_refutes_a_false_head(current: Bench) -> None:
    tell(current, LIES[0])
    current.ask(Refetch())
    whole = current.snapshot(5, an_admission())
    current.step(seconds=1)
    current.step(
        FetchedFeed(event_id="event-1", version=5, spooled=whole.spooled, asked_ms=current.clock.monotonic_ms)
    )
    assert not lacks(current)


def test_a_hub_that_went_back_is_refused_however_recent_the_request(current: Bench) -> None:
    asked_ms = current.clock.monotonic_ms
    current.step(FetchedFeed(event_id="event-1", version=3, went_back=True, asked_ms=asked_ms))
    assert lacks(current)
    answer(current)
    assert "went back" in current.sync._follower.trouble


def test_a_false_head_on_every_connection_is_refuted_each_time(current: Bench) -> None:
    for _ in range(3):
        current.step(Disconnected("cut"))
        current.step(seconds=1)
        current.step(Connected())
        tell(current, LIES[0])
        current.step(seconds=1)
        answer(current)
        assert not lacks(current)


# --- a generation is a moment, in microseconds ---


def generation(bench: Bench, days: float) -> int:
    return int(bench.clock.wall.timestamp() * 1_000_000 + days * DAY_US)


@pytest.mark.parametrize("whole", [True, False])
def test_an_answer_with_a_generation_in_the_future_does_not_lock_out_a_true_one(
    current: Bench, whole: bool
) -> None:
    current.clock.synced = True
    false = generation(current, 2)
    with capture_logs() as lines:
        for _ in range(3):
            spooled = current.snapshot(1, an_admission()).spooled if whole else None
            current.step(
                FetchedFeed(event_id="event-1", version=1, generation=false, spooled=spooled), seconds=3
            )
            assert spooled is None or not spooled.is_there
    told = [line for line in lines if "generation" in line]
    assert [line["log_level"] for line in told] == ["error"]
    assert current.cache.places()["event-1"].generation == 1
    true = generation(current, 0)
    current.step(current.snapshot(1, an_admission(), generation=true))
    assert current.cache.places()["event-1"].generation == true
    assert not lacks(current)


def test_without_the_time_only_a_generation_of_this_century_is_accepted(current: Bench) -> None:
    """A Pi without a clock starts in the past, from where every restored feed is in the future."""
    current.step(current.snapshot(1, an_admission(), generation=2**62))
    assert current.cache.places()["event-1"].generation == 1
    later = generation(current, 3_000)
    current.step(current.snapshot(1, an_admission(), generation=later))
    assert current.cache.places()["event-1"].generation == later
