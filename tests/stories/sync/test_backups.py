"""A journal or hub restored to an older state: nothing is lost, and somebody is told."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from gate.store.journal import Journal
from sync.broker.mqtt import Connected, Disconnected
from sync.feed.fetcher import WantEvent
from sync.feed.snapshot import FetchedFeed
from sync.wire.messages import Change, Delta, FeedPlace, GateStatus, Head, decode
from tests.factories import an_admission, code_id
from tests.sync_bench import TOPICS, Bench, seqs


def restore_journal(bench: Bench, *, after: int, lost: int) -> None:
    """Back up after some scans, have `lost` more acknowledged, and restore the backup."""
    bench.scan(after)
    with (
        contextlib.closing(sqlite3.connect(bench.folder / "journal.db")) as journal,
        contextlib.closing(sqlite3.connect(bench.folder / "backup")) as backup,
    ):
        journal.backup(backup)
    bench.scan(lost)
    while acked(bench) < after + lost:
        bench.ack(after + lost)
    bench.journal.close()
    for file in bench.folder.glob("journal.db*"):
        file.unlink()
    shutil.move(bench.folder / "backup", bench.folder / "journal.db")
    bench.journal = Journal(bench.folder / "journal.db", "gate-1", "epoch-1")


def acked(bench: Bench) -> int:
    bench.step(seconds=2)
    return bench.reader.link(bench.clock.now()).acked_seq


def errors(lines: list[EventDict]) -> list[str]:
    return [line["why"] for line in lines if line["log_level"] == "error"]


def test_a_journal_older_than_what_the_hub_has_is_sent_from_its_first_number(bench: Bench) -> None:
    bench.connect()
    restore_journal(bench, after=5, lost=20)
    bench.links[-1].published.clear()
    bench.scan(10)
    with capture_logs() as lines:
        bench.step()
        bench.ack(25)
    assert seqs(bench.sent()) == list(range(1, 16))
    [told] = errors(lines)
    assert "the hub has more of it than this card" in told
    assert acked(bench) <= 15


def test_a_journal_restored_while_sync_was_off_is_noticed_too(bench: Bench) -> None:
    bench.connect()
    restore_journal(bench, after=5, lost=20)
    bench.sync = bench.start()
    with capture_logs() as lines:
        bench.connect()
    assert seqs(bench.sent()) == [1, 2, 3, 4, 5]
    assert len(errors(lines)) == 1


def test_new_scans_under_numbers_the_hub_knows_are_sent_even_if_the_hub_was_away(bench: Bench) -> None:
    bench.connect()
    restore_journal(bench, after=5, lost=20)
    bench.step(Disconnected("cable"))
    bench.scan(30)  # the journal has overtaken the hub's number before the hub is heard again
    bench.step(seconds=1)
    bench.step(Connected())
    bench.ack(25)
    assert seqs(bench.sent()) == list(range(1, 36))


def test_a_restored_journal_of_any_length_is_sent_as_a_whole(bench: Bench) -> None:
    bench.connect()
    restore_journal(bench, after=2500, lost=10)
    bench.links[-1].published.clear()
    bench.step()
    for _ in range(5):
        bench.ack(2510)
    assert seqs(bench.sent()) == list(range(1, 2501))
    bench.scan(20)
    bench.step()
    bench.ack(2520)
    assert acked(bench) == 2520


def test_an_acknowledgement_beyond_the_journal_does_not_cover_unsent_scans(bench: Bench) -> None:
    bench.connect()
    bench.scan(3)
    bench.step()
    with capture_logs() as lines:
        for _ in range(3):
            bench.ack(10**6)
    assert acked(bench) <= 3
    assert len(errors(lines)) == 1
    bench.scan(5)
    bench.step()
    assert set(seqs(bench.sent())) == set(range(1, 9))


def test_a_restored_hub_gets_what_it_lacks_on_the_next_connection(bench: Bench) -> None:
    bench.connect()
    bench.scan(30)
    bench.step()
    bench.ack(30)
    bench.ack(10)  # within a connection a lower number is only late
    assert acked(bench) == 30
    bench.step(Disconnected("the hub is restored"))
    bench.step(seconds=1)
    bench.step(Connected())
    bench.ack(10)
    assert seqs(bench.sent()) == list(range(11, 31))
    assert acked(bench) == 10


@pytest.mark.parametrize("order", ["ack, list", "list, ack", "old ack, list, ack"])
def test_a_restored_hub_gets_what_it_lacks_as_soon_as_a_list_begins_a_new_generation(
    bench: Bench, order: str
) -> None:
    """Without a new connection: the broker went on, or is on another machine."""
    bench.connect()
    bench.serve(an_admission(), version=40)
    bench.scan(30)
    bench.step()
    bench.ack(30)
    bench.links[-1].published.clear()
    for what in order.split(", "):
        match what:
            case "ack":
                bench.ack(10)
            case "old ack":
                bench.ack(30)
            case _:
                bench.step(bench.snapshot(12, an_admission(), generation=2))
    bench.step()
    assert seqs(bench.sent()) == list(range(11, 31))
    bench.ack(30)
    bench.ack(10)  # late again
    assert acked(bench) == 30


HEAD, DELTAS = TOPICS.head("event-1"), TOPICS.deltas("event-1")
SOLD = an_admission(code_id(2), subject_id="ticket-2")


def went_back(version: int, generation: int = 1) -> FetchedFeed:
    """The hub's answer if it has less than this gate had when it asked."""
    return FetchedFeed(event_id="event-1", version=version, generation=generation, went_back=True)


def held(bench: Bench) -> FeedPlace:
    return bench.cache.places()["event-1"]


def at(version: int, generation: int = 1) -> FeedPlace:
    return FeedPlace(generation=generation, version=version)


@pytest.mark.parametrize(
    "older", [at(3), at(900, generation=1), at(3, generation=1)], ids=["version", "generation", "both"]
)
def test_a_hub_that_went_back_is_refused_and_reported_once(bench: Bench, older: FeedPlace) -> None:
    bench.connect()
    generation = 1 if older.version == 3 else 2
    bench.serve(an_admission(), version=40, generation=generation)
    head = Head(event_id="event-1", version=older.version, count=0, generation=older.generation)
    with capture_logs() as lines:
        for _ in range(20):
            bench.hear(HEAD, head)
            bench.step(went_back(older.version, older.generation), seconds=30)
    [told] = errors(lines)
    assert f"the hub went back to version {older.version}, this gate has 40" in told
    assert "maguey-hub restored" in told
    assert (held(bench), len(bench.wanted) < 60) == (at(40, generation), True)
    assert bench.reader.find(an_admission().code_hash).admission == an_admission()
    statuses = [payload for topic, payload, _ in bench.links[-1].published if topic.endswith("/status")]
    assert decode(statuses[-1], GateStatus).parts["tickets"] == told


def test_a_message_of_one_event_on_the_topic_of_another_is_refused(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    there = TOPICS.head("event-9"), TOPICS.deltas("event-9")
    with capture_logs() as lines:
        bench.hear(there[0], Head(event_id="event-1", version=900, count=0, generation=9))
        bench.hear(there[1], Delta(event_id="event-1", changes=(Change(version=6, row=SOLD),)))
    assert [line["event"] for line in lines] == ["message rejected"] * 2
    assert (held(bench), bench.sync._follower.is_current()) == (at(5), True)


def test_an_older_snapshot_is_refused(bench: Bench) -> None:
    """It may come from a proxy or from a second hub."""
    bench.connect()
    bench.serve(an_admission(), version=5, generation=2)
    for place in (at(4, 2), at(900, 1)):
        older = bench.snapshot(place.version, generation=place.generation)
        bench.step(older)
        assert (held(bench), older.spooled and older.spooled.is_there) == (at(5, 2), False)
    assert bench.reader.find(an_admission().code_hash).admission == an_admission()


def test_a_later_generation_replaces_everything_even_with_a_lower_version(bench: Bench) -> None:
    bench.hub_is_there = True
    bench.connect()
    bench.serve(an_admission(), SOLD, version=40)
    bench.hear(HEAD, Head(event_id="event-1", version=12, count=1, generation=2))
    assert bench.wanted[-1] == WantEvent("event-1", 40, 1)
    bench.step(bench.snapshot(12, an_admission(), generation=2))
    assert (held(bench), bench.reader.find(SOLD.code_hash).admission) == (at(12, 2), None)
    bench.step(seconds=2)
    assert bench.reader.feed("event-1", bench.clock.wall).age_s == 0


def test_a_restored_feed_of_a_new_generation_ends_the_trouble(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=40)
    bench.step(went_back(12))
    bench.hear(HEAD, Head(event_id="event-1", version=12, count=1, generation=2))
    bench.step(bench.snapshot(12, generation=2))
    assert (held(bench), bench.sync._follower.trouble) == (at(12, 2), "")
    bench.hear(DELTAS, Delta(event_id="event-1", changes=(Change(version=13, row=SOLD),), generation=2))
    assert bench.reader.find(SOLD.code_hash).admission == SOLD


def test_a_feed_that_went_back_and_grew_past_this_gate_is_fetched_as_a_whole(bench: Bench) -> None:
    """Version 41 of a feed that went back follows a different version 40."""
    bench.connect()
    bench.serve(an_admission(), version=40)
    bench.step(went_back(12))
    bench.hear(DELTAS, Delta(event_id="event-1", changes=(Change(version=41, row=SOLD),)))
    assert held(bench) == at(40)
    assert bench.wanted[-1] == WantEvent("event-1", 40, 1, whole=True)
    bench.step(bench.snapshot(41, SOLD))
    assert (held(bench), bench.sync._follower.trouble) == (at(41), "")
    assert bench.reader.find(an_admission().code_hash).admission is None


def test_an_old_head_from_the_brokers_disk_is_not_trouble(bench: Bench) -> None:
    bench.hub_is_there = True
    bench.connect()
    bench.serve(an_admission(), version=40)
    with capture_logs() as lines:
        for _ in range(3):
            bench.step(Disconnected("the broker crashed"))
            bench.step(seconds=1)
            bench.step(Connected())
            bench.hear(HEAD, Head(event_id="event-1", version=12, count=1))
            assert bench.wanted[-1] == WantEvent("event-1", 40)
            bench.step(FetchedFeed(event_id="event-1", version=40, since=40))  # the hub's own answer
            bench.step(seconds=2)
            assert bench.reader.feed("event-1", bench.clock.wall).age_s == 0
    assert errors(lines) == []
    assert (held(bench), bench.sync._follower.trouble) == (at(40), "")


def test_changes_of_another_generation_are_not_applied(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5, generation=2)
    for generation in (1, 3):
        change = Change(version=6, row=SOLD)
        bench.hear(DELTAS, Delta(event_id="event-1", changes=(change,), generation=generation))
        bench.step(
            FetchedFeed(event_id="event-1", version=6, since=5, changes=(change,), generation=generation)
        )
        assert (held(bench), bench.reader.find(SOLD.code_hash).admission) == (at(5, 2), None)


def test_the_cache_is_not_current_while_the_hub_may_have_gone_back(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    bench.hear(HEAD, Head(event_id="event-1", version=3, count=1))
    bench.step(seconds=30)
    bench.step(seconds=2)
    assert (bench.reader.feed("event-1", bench.clock.wall).age_s or 0) >= 30


def test_sync_knows_the_generation_it_holds_after_a_restart(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5, generation=2)
    bench.sync = bench.start()
    bench.connect()
    bench.step(bench.snapshot(900, generation=1))
    assert held(bench) == at(5, 2)
