"""Journal or hub put back to an older state: nothing is lost, and a person is told."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3

from structlog.testing import capture_logs
from structlog.typing import EventDict

from gate.journal import Journal
from gate.model import Status
from sync.fetcher import WantEvent
from sync.link import Connected, Lost
from sync.wire import Change, Delta, Head
from tests.factories import an_admission
from tests.unit.sync.bench import TOPICS, Bench, seqs


def restore_journal(bench: Bench, *, after: int, lost: int) -> None:
    """A backup is made after so many scans, so many more are acknowledged, then it is put back."""
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
    return [line["event"] for line in lines if line["log_level"] == "error"]


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
    assert "this card's journal is older than what the hub has" in told
    assert acked(bench) <= 15


def test_a_journal_restored_while_sync_was_off_is_noticed_as_well(bench: Bench) -> None:
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
    bench.step(Lost("cable"))
    bench.scan(30)  # the journal has overtaken the hub's number before the hub is heard again
    bench.step(seconds=1)
    bench.step(Connected())
    bench.ack(25)
    assert seqs(bench.sent()) == list(range(1, 36))


def test_a_restored_journal_of_any_length_goes_out_whole(bench: Bench) -> None:
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


def test_an_acknowledgement_beyond_the_journal_counts_for_nothing_that_was_not_sent(bench: Bench) -> None:
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


def test_a_restored_hub_gets_again_what_it_lacks_on_the_next_connection(bench: Bench) -> None:
    bench.connect()
    bench.scan(30)
    bench.step()
    bench.ack(30)
    bench.ack(10)  # within a connection a lower number is only late
    assert acked(bench) == 30
    bench.step(Lost("the hub is restored"))
    bench.step(seconds=1)
    bench.step(Connected())
    bench.ack(10)
    assert seqs(bench.sent()) == list(range(11, 31))
    assert acked(bench) == 10


def test_a_hub_whose_feed_went_back_is_followed(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    bench.hear(TOPICS.head("event-1"), Head(event_id="event-1", version=3, count=1))
    assert bench.wanted[-1] == WantEvent("event-1", 0)
    refunded = an_admission(status=Status.REFUNDED)
    with capture_logs() as lines:
        bench.step(bench.snapshot(3, an_admission()))
    assert [line["log_level"] for line in lines] == ["warning", "info"]
    change = Change(version=4, row=refunded)
    bench.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(change,)))
    assert bench.reader.find(refunded.code_hash).admission == refunded
    bench.step(bench.snapshot(2))  # and an older one is refused again
    assert bench.reader.find(refunded.code_hash).admission == refunded


def test_a_hub_that_is_below_what_it_was_asked_for_went_back(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    bench.step(bench.snapshot(3, asked=5))
    assert bench.reader.feed("event-1", bench.clock.wall).version == 3


def test_the_cache_is_not_current_until_a_hub_that_went_back_is_followed(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    bench.hear(TOPICS.head("event-1"), Head(event_id="event-1", version=3, count=1))
    bench.step(seconds=30)
    bench.step(seconds=2)
    assert (bench.reader.feed("event-1", bench.clock.wall).age_s or 0) >= 30
