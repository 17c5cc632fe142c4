"""The fetcher: a failed request delays no other, and nothing ends its thread."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sync.cache.spool import Spool
from sync.feed.fetcher import FetchedAnswer, Fetcher, Want, WantConfig, WantEvent
from sync.feed.snapshot import FetchedFeed, FetchError, HubClient, HubRefused, HubUnreachable
from sync.wire.messages import GateConfig
from tests.factories import an_admission
from tests.patience import PATIENCE_S

CONFIG = GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=())


class MemoryHub(HubClient):
    """A hub in memory. `troubles` has the errors to raise by event id; "" is the configuration."""

    turns, is_looking_up = 0, False

    def __init__(self) -> None:
        self.troubles: dict[str, Exception] = {}
        self.asked: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
        self.at_once: Callable[[], None] = lambda: None

    def config(self) -> GateConfig:
        self._answer("", 0)
        return CONFIG

    def admissions(
        self, event_id: str, since: int, spool: Spool, generation: int = 1, whole: bool = False
    ) -> FetchedFeed:
        assert not whole
        spool.check()
        self._answer(event_id, since)
        return FetchedFeed(event_id=event_id, version=since + 1, since=since, generation=generation)

    def _answer(self, key: str, since: int) -> None:
        self.asked.put((key, since))
        self.at_once()
        if key in self.troubles:
            raise self.troubles[key]


class Bench:
    def __init__(self, folder: Path) -> None:
        self.hub = MemoryHub()
        self.spool = Spool(folder / "spool.db")
        self.got: queue.SimpleQueue[FetchedAnswer] = queue.SimpleQueue()
        self.fetcher = Fetcher(self.hub, self.spool, self.got.put, retry_s=0.001)

    def next(self) -> FetchedAnswer:
        return self.got.get(timeout=PATIENCE_S)

    def asked(self) -> tuple[str, int]:
        return self.hub.asked.get(timeout=PATIENCE_S)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.fetcher.close()


TROUBLES = [
    FetchError("altered"),
    HubUnreachable("nobody"),
    HubRefused("403"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    RecursionError(),
    MemoryError(),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: type(trouble).__name__)
def test_an_event_that_cannot_be_fetched_delays_no_other(bench: Bench, trouble: Exception) -> None:
    bench.hub.troubles["old"] = trouble
    bench.fetcher.want(WantEvent("old", 0))
    assert bench.asked() == ("old", 0)
    bench.fetcher.want(WantEvent("new", 3))
    bench.fetcher.want(WantConfig())
    answers = [bench.next(), bench.next()]
    assert CONFIG in answers
    assert FetchedFeed(event_id="new", version=4, since=3) in answers
    bench.hub.troubles.clear()
    bench.fetcher.want(WantEvent("old", 0))
    assert bench.next() == FetchedFeed(event_id="old", version=1, since=0)


def test_the_configuration_is_fetched_first(bench: Bench) -> None:
    waiting: list[Want] = [WantEvent("a", 0), WantEvent("b", 0), WantConfig()]

    def ask_for_more() -> None:
        while waiting:
            bench.fetcher.want(waiting.pop(0))

    bench.hub.at_once = ask_for_more
    bench.fetcher.want(WantEvent("first", 0))
    assert [bench.asked()[0] for _ in range(4)] == ["first", "", "a", "b"]


def test_a_refused_request_is_dropped_until_it_is_wanted_again(bench: Bench) -> None:
    bench.hub.troubles["old"] = HubRefused("403")
    bench.fetcher.want(WantEvent("old", 0))
    assert bench.asked() == ("old", 0)
    for since in range(20):  # if it had been kept, it would be fetched again in between
        bench.fetcher.want(WantEvent("new", since))
        bench.next()
        assert bench.asked() == ("new", since)
    bench.fetcher.want(WantEvent("old", 0))
    assert bench.asked() == ("old", 0)


def test_no_event_is_fetched_while_a_snapshot_waits_to_be_taken_over(bench: Bench) -> None:
    with capture_logs() as lines:
        waiting = bench.spool.fill([an_admission()])
        bench.fetcher.want(WantEvent("event-1", 0))
        for _ in range(20):  # the configuration is fetched, and the event would have its turn in between
            bench.fetcher.want(WantConfig())
            assert bench.next() == CONFIG
            assert bench.asked() == ("", 0)
        waiting.discard()
        assert bench.asked() == ("event-1", 0)
        assert bench.next() == FetchedFeed(event_id="event-1", version=1)
    assert lines == []


def test_the_newest_request_for_an_event_counts(bench: Bench) -> None:
    bench.hub.troubles["event-1"] = FetchError("altered")
    bench.fetcher.want(WantEvent("event-1", 5))
    bench.asked()
    bench.fetcher.want(WantEvent("event-1", 0))
    bench.hub.troubles.clear()
    answers = [bench.next()]
    while answers[-1] != FetchedFeed(event_id="event-1", version=1, since=0):
        answers.append(bench.next())
    assert len(answers) <= 2  # the request already under way may still have been answered


def test_an_outage_of_the_hub_is_one_line_in_the_log_and_its_end_another(tmp_path: Path) -> None:
    with capture_logs() as lines:
        bench = Bench(tmp_path)
        bench.hub.troubles = {key: HubUnreachable("nobody there") for key in ("", "a", "b")}
        for want in (WantConfig(), WantEvent("a", 0), WantEvent("b", 0)):
            bench.fetcher.want(want)
        for _ in range(12):
            bench.asked()
        bench.hub.troubles = {}
        for _ in range(3):
            bench.next()
        bench.fetcher.close()
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "hub failed"),
        ("info", "hub recovered"),
    ]


def test_an_answer_is_dated_by_its_request_and_not_by_its_arrival(tmp_path: Path) -> None:
    now_ms = [7_000]
    hub, got = MemoryHub(), queue.SimpleQueue[FetchedAnswer]()
    hub.at_once = lambda: now_ms.__setitem__(0, 9_000)
    fetcher = Fetcher(hub, Spool(tmp_path / "spool.db"), got.put, now_ms=lambda: now_ms[0])
    fetcher.want(WantEvent("event-1", 5))
    fetched = got.get(timeout=PATIENCE_S)
    assert isinstance(fetched, FetchedFeed)
    assert fetched.asked_ms == 7_000
    fetcher.close()
