"""A broken file, a silent hub, another client with this gate's id: what goes on and what is reported."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from gate.rules.model import Kind
from gate.store.journal import Journal
from sync.broker.mqtt import Connected, Disconnected, Message
from sync.cache.cache_file import DamagedCacheError
from sync.feed.fetcher import WantConfig, WantEvent
from sync.feed.snapshot import FetchedFeed
from sync.wire.messages import Change, Delta, GateConfig, Head
from sync.wire.scans import encode_scans
from tests.factories import a_record, an_admission, an_event, code_id
from tests.sync_bench import TOPICS, Bench, seqs


def spoil_the_journal(bench: Bench) -> None:
    bench.journal.close()
    for file in bench.folder.glob("journal.db-*"):
        file.unlink()
    (bench.folder / "journal.db").write_bytes(b"garbage" * 2000)


def lose_the_numbering(bench: Bench) -> None:
    with sqlite3.connect(bench.folder / "journal.db") as db:
        db.execute("update meta set value = 'many' where key = 'last_seq'")


@pytest.mark.parametrize("spoil", [spoil_the_journal, lose_the_numbering])
def test_a_journal_that_cannot_be_read_stops_only_the_scans(
    bench: Bench, spoil: Callable[[Bench], None]
) -> None:
    bench.hub_is_there = True
    bench.scan(3)
    spoil(bench)
    bench.sync = bench.start()
    with capture_logs() as lines:
        bench.connect()
        bench.serve(an_admission())
        for _ in range(20):
            bench.step(seconds=1)
    assert bench.reader.link(bench.clock.now()).online
    assert bench.sent() == []
    assert bench.reader.find(an_admission().code_hash).admission is not None
    assert WantConfig() in bench.wanted
    assert [topic for topic, _, _ in bench.links[-1].published if topic.endswith("/status")]
    assert [line["log_level"] for line in lines].count("warning") == 1


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_removed_wal_or_shm_of_the_journal_is_logged_once_and_not_waited_for(
    bench: Bench, end: str
) -> None:
    """A process with the old log open would read it for ever, while the door writes to another one."""
    bench.connect()
    bench.scan(2)
    bench.step()
    with capture_logs() as lines:
        (bench.folder / f"journal.db{end}").unlink()
        for _ in range(3):
            bench.step(seconds=2)
        put_back(bench)
        bench.scan(1)
        for _ in range(3):
            bench.step(seconds=2)
    assert set(seqs(bench.sent())) == {1, 2, 3}
    errors = [line["event"] for line in lines if line["log_level"] == "error"]
    assert len(errors) == 1
    assert "-wal or -shm removed" in errors[0]


def put_back(bench: Bench) -> None:
    """Do what the door does when it notices (`gate.recovery.open_journal`)."""
    new = bench.folder / "journal.new.db"
    bench.journal.copy_to(new)
    bench.journal.close()
    for file in bench.folder.glob("journal.db*"):
        file.unlink()
    new.rename(bench.folder / "journal.db")
    bench.journal = Journal(bench.folder / "journal.db", "gate-1", "epoch-1")


@pytest.mark.parametrize("name", ["cache.db", "cache.db-wal", "cache.db-shm"])
def test_a_cache_with_a_removed_file_ends_sync(bench: Bench, name: str) -> None:
    bench.connect()
    bench.serve(an_admission())
    (bench.folder / name).unlink()
    with pytest.raises(DamagedCacheError, match="moved or deleted while in use"):
        bench.step(seconds=2)


class LockedCache:
    """Another program holds the cache file."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._db = sqlite3.connect(bench.folder / "cache.db", isolation_level=None)

    def __enter__(self) -> None:
        self._bench.sync._cache._db.execute("pragma busy_timeout = 1")
        self._db.execute("begin immediate")

    def __exit__(self, *_: object) -> None:
        self._db.execute("rollback")
        self._db.close()


def test_messages_received_while_the_cache_was_locked_are_kept_in_order(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission())
    there = a_record(gate_id="gate-2", kind=Kind.GA)
    changes = tuple(Change(version=version, row=an_admission(code_id(version))) for version in (6, 7))
    with LockedCache(bench):
        bench.step(Message(TOPICS.scans("gate-2"), encode_scans([there])))
        for change in changes:
            bench.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(change,)))
        bench.scan()
        bench.step()
        assert seqs(bench.sent()) == [1]
    bench.step(seconds=2)
    assert [entry.gate for entry in bench.reader.find(there.code_hash or "").peers] == ["gate-2"]
    assert bench.reader.feed("event-1", bench.clock.wall).version == 7


def test_a_number_too_large_for_the_cache_stops_nothing(bench: Bench) -> None:
    bench.connect()
    bench.step(bench.snapshot(2**63))
    bench.hear(TOPICS.head("event-1"), Head(event_id="event-1", version=2**63, count=1))
    bench.ack(2**63)
    bench.serve(an_admission())
    assert bench.reader.find(an_admission().code_hash).admission is not None


def test_two_gates_with_the_same_id_do_not_fill_the_log(bench: Bench) -> None:
    with capture_logs() as lines:
        for _ in range(600):
            bench.step(Connected())
            bench.step(Disconnected("Session taken over"), seconds=1)
    assert len([line for line in lines if line["log_level"] == "warning"]) == 1
    assert len(bench.links) < 70  # 600 s with waits of up to 10 s


def test_a_broker_that_comes_and_goes_does_not_fill_the_log(
    bench: Bench,
) -> None:
    bench.connect()
    bench.step(seconds=25)
    with capture_logs() as lines:
        bench.step(Disconnected("cable"))
        bench.step(seconds=16)
        bench.step(Connected())
        told = [line["event"] for line in lines if "broker" in line["event"]]
        for _ in range(50):
            bench.step(Disconnected("cable"))
            bench.step(seconds=16)
            bench.step(Connected())
    assert told == ["broker failed", "broker recovered"]
    assert len([line for line in lines if line["log_level"] == "warning"]) == 2


def test_a_connection_that_lasts_ends_the_outage_and_the_next_wait_is_short(bench: Bench) -> None:
    bench.step()
    for _ in range(8):
        bench.step(Disconnected("refused"), seconds=11)
        bench.step(seconds=11)
    with capture_logs() as lines:
        bench.step(Connected())
        bench.step(seconds=25)
    assert [line["event"] for line in lines if "broker" in line["event"]] == ["broker recovered"]
    before = len(bench.links)
    bench.step(Disconnected("cable"))
    bench.step(seconds=0.3)
    bench.step()
    assert len(bench.links) == before + 1


def test_after_a_page_the_next_is_fetched_without_a_head(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    bench.wanted.clear()
    page = (Change(version=6, row=an_admission()),)
    bench.step(FetchedFeed(event_id="event-1", version=6, since=5, newest=9, changes=page))
    assert bench.wanted == [WantEvent("event-1", 6)]
    assert not bench.sync._follower.is_current()


def test_an_answer_without_news_is_not_fetched_again_at_once(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    bench.hear(TOPICS.head("event-1"), Head(event_id="event-1", version=9, count=1))
    bench.wanted.clear()
    for _ in range(50):
        bench.step(FetchedFeed(event_id="event-1", version=5, since=5), seconds=0.001)
        bench.step(FetchedFeed(event_id="event-1", version=9, since=5), seconds=0.001)
    assert bench.wanted == []
    bench.step(seconds=2.1)
    assert bench.wanted == [WantEvent("event-1", 5)]


def test_a_change_of_another_event_is_ignored_and_logged(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    other = an_event(event_id="event-2", code="ZZ", served=False)
    ticket = an_admission(code_id(9, "ZZ"), event_id="event-2")
    changes = (Change(version=6, row=other), Change(version=7, row=ticket))
    with capture_logs() as lines:
        bench.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=changes))
    assert bench.reader.find(ticket.code_hash).admission is None
    assert [event.event_id for event in bench.reader.events()] == ["event-1"]
    assert [line["log_level"] for line in lines] == ["warning"]


def test_the_cache_ages_when_the_broker_lives_and_the_hub_is_silent(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission())
    for _ in range(60):
        bench.step(seconds=10)
    assert (bench.reader.feed("event-1", bench.clock.wall).age_s or 0) >= 8 * 60


def test_a_hub_that_answers_for_the_configuration_keeps_the_cache_current(bench: Bench) -> None:
    bench.hub_is_there = True
    bench.connect()
    bench.serve(an_admission())
    config = GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(),))
    for _ in range(10):
        bench.step(config, seconds=60)
    bench.step(seconds=1)
    assert bench.reader.feed("event-1", bench.clock.wall).age_s in (0, 1)
