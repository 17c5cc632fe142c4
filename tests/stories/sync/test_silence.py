"""A silent hub, a peer that appears, another client with this gate's id, and what is reported."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from gate.rules.alert import Alert
from gate.rules.model import Heard, Kind
from sync.broker.mqtt import Connected, Disconnected, Message
from sync.feed.fetcher import WantConfig
from sync.wire.messages import STATUS_TEXT, GateStatus
from sync.wire.scans import encode_scans
from tests.factories import NOW, a_record, an_admission
from tests.sync_bench import TOPICS, Bench, seqs


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.connect()
    return bench


def appear(bench: Bench, gate: str = "gate-2", *, online: bool = True) -> None:
    bench.hear(TOPICS.status(gate), GateStatus(gate_id=gate, online=online))


def silence(bench: Bench) -> None:
    """Wait until the hub counts as silent, and forget what was published so far."""
    for _ in range(12):
        bench.step(seconds=1)
    assert not bench.note().hub_heard
    bench.links[-1].published.clear()


# --- peers ---


def test_the_door_learns_which_numbers_of_a_peer_were_heard(bench: Bench) -> None:
    records = [a_record(seq, gate_id="gate-2", kind=Kind.GA) for seq in (3, 4, 5, 4)]
    bench.step(Message(TOPICS.scans("gate-2"), encode_scans(records)))
    bench.step(seconds=1)
    assert bench.reader.link(bench.clock.now()).heard == (
        Heard(gate="gate-2", epoch="epoch-1", first=3, last=5),
    )
    assert bench.reader.find(records[0].code_hash or "").peers


def test_numbers_count_as_heard_only_once_they_are_written(bench: Bench) -> None:
    lock = sqlite3.connect(bench.folder / "cache.db", isolation_level=None)
    bench.cache._db.execute("pragma busy_timeout = 1")
    with closing(lock):
        lock.execute("begin immediate")
        bench.step(Message(TOPICS.scans("gate-2"), encode_scans([a_record(1, gate_id="gate-2")])))
        assert bench.sync._listener.peers.heard() == ()
        lock.execute("rollback")
    bench.step(seconds=2)
    assert len(bench.sync._listener.peers.heard()) == 1


def test_numbers_heard_are_remembered_across_a_restart(bench: Bench) -> None:
    bench.step(Message(TOPICS.scans("gate-2"), encode_scans([a_record(1, gate_id="gate-2")])))
    bench.step(seconds=1)
    bench.sync = bench.start()
    bench.step(Connected(), seconds=1)
    bench.step(Message(TOPICS.scans("gate-2"), encode_scans([a_record(2, gate_id="gate-2")])))
    bench.step(seconds=1)
    assert [(one.first, one.last) for one in bench.note().heard] == [(1, 2)]


def test_a_peer_that_appears_while_the_hub_is_silent_is_sent_everything_at_once(bench: Bench) -> None:
    bench.scan(3)
    silence(bench)
    appear(bench)
    assert seqs(bench.sent()) == [1, 2, 3]
    bench.links[-1].published.clear()
    appear(bench)  # it was there before
    assert bench.sent() == []
    appear(bench, online=False)
    appear(bench)
    assert seqs(bench.sent()) == [1, 2, 3]


def test_a_peer_that_appears_while_the_hub_answers_is_sent_nothing_twice(bench: Bench) -> None:
    bench.scan(3)
    bench.step()
    appear(bench)
    assert seqs(bench.sent()) == [1, 2, 3]


def test_a_gates_own_status_is_not_taken_for_a_peers(bench: Bench) -> None:
    bench.scan()
    silence(bench)
    appear(bench, "gate-1")
    assert bench.sent() == []


# --- the link ---


def test_a_connection_without_acknowledgements_is_renewed_ever_more_rarely(bench: Bench) -> None:
    bench.scan()
    made = []
    with capture_logs() as lines:
        for _ in range(480):
            before = len(bench.links)
            bench.step(seconds=1)
            if len(bench.links) > before:
                made.append(bench.clock.monotonic_ms)
                bench.step(Connected())
    waits = [round((late - early) / 60_000) for early, late in itertools.pairwise(made)]
    assert waits == [2, 4]
    told = [line for line in lines if "acknowledgement" in line["event"]]
    assert len(told) == 1
    with capture_logs() as lines:
        bench.ack(1)
    assert [line["event"] for line in lines] == ["hub acknowledgement recovered"]


def test_a_connection_with_nothing_to_acknowledge_is_kept(bench: Bench) -> None:
    bench.scan()
    bench.step()
    bench.ack(1)
    for _ in range(200):
        bench.step(seconds=1)
    assert len(bench.links) == 1


def test_a_backlog_that_is_acknowledged_slowly_keeps_its_connection(bench: Bench) -> None:
    bench.scan(20)
    for seq in range(1, 20):
        bench.step(seconds=30)
        bench.ack(seq)
    assert len(bench.links) == 1


def test_a_broker_that_does_not_answer_subscriptions_is_logged_once_and_retried(
    bench: Bench,
) -> None:
    bench.step(Disconnected("cable"))
    with capture_logs() as lines:
        for _ in range(300):
            bench.step(seconds=1)
    assert 5 <= len(bench.links) <= 20
    assert all(link.closed for link in bench.links[:-1])
    assert lines == []  # the outage that began with the cable goes on
    bench.step(Connected())
    with capture_logs() as lines:
        for _ in range(30):
            bench.step(seconds=1)
    assert [line["event"] for line in lines] == ["broker recovered"]
    assert not bench.links[-1].closed


def test_a_first_broker_that_never_answers_subscriptions_is_logged(bench: Bench) -> None:
    bench.sync = bench.start()
    with capture_logs() as lines:
        for _ in range(60):
            bench.step(seconds=1)
    [told] = [line for line in lines if line["event"].startswith("broker failed")]
    assert "does not answer the subscriptions" in told["reason"]


def test_a_slow_name_lookup_is_waited_for(bench: Bench) -> None:
    bench.step(Disconnected("cable"))
    bench.step(seconds=1)
    bench.links[-1].reached, count = False, len(bench.links)
    for _ in range(60):
        bench.step(seconds=1)
    bench.links[-1].reached = True
    bench.step(seconds=14)
    assert len(bench.links) == count
    bench.step(Connected())
    assert not bench.links[-1].closed


@pytest.mark.parametrize("reason", [True, False])
def test_another_client_with_this_gates_id_is_logged_once_in_words(bench: Bench, reason: bool) -> None:
    with capture_logs() as lines:
        for _ in range(20):
            bench.step(Disconnected("Unspecified error", taken_over=reason), seconds=1)
            bench.step(seconds=15)
            bench.step(Connected())
    told = [line["why"] for line in lines if line["log_level"] == "error"]
    assert len(told) == 1
    assert "another client uses this gate's id" in told[0]


def test_a_broker_that_is_lost_now_and_then_is_not_taken_for_such_a_client(bench: Bench) -> None:
    with capture_logs() as lines:
        for _ in range(20):
            bench.step(Disconnected("Unspecified error"), seconds=1)
            bench.step(seconds=15)
            bench.step(Connected())
            bench.step(seconds=30)
    assert [line for line in lines if line["log_level"] == "error"] == []


# --- the hub's own number ---


def test_the_door_learns_the_hubs_last_number_even_beyond_the_journal(bench: Bench) -> None:
    bench.scan(3)
    bench.step()
    bench.ack(10)
    bench.step(seconds=1)
    assert bench.note().acked_seq <= 3
    assert bench.note().hub_seq == 10
    bench.ack(4)  # late
    bench.step(seconds=1)
    assert bench.note().hub_seq == 10
    bench.sync = bench.start()
    bench.connect()
    bench.step(seconds=1)
    assert bench.note().hub_seq == 10


def test_a_restored_hubs_lower_number_counts_on_the_next_connection(bench: Bench) -> None:
    bench.scan(10)
    bench.step()
    bench.ack(10)
    bench.step(Disconnected("restored"))
    bench.step(seconds=1)
    bench.step(Connected())
    bench.ack(4)
    bench.step(seconds=1)
    assert bench.note().hub_seq == 4


# --- alerts and status ---


def test_an_alert_is_kept_for_the_door_once(bench: Bench) -> None:
    alert = Alert(id="a-1", gate="gate-2", reason="guessing", at=NOW)
    with capture_logs() as lines:
        bench.hear(TOPICS.alerts(), alert)
        bench.hear(TOPICS.alerts(), replace(alert, count=4))
    with closing(sqlite3.connect(bench.folder / "cache.db")) as db:
        assert db.execute("select id from alerts").fetchall() == [("a-1",)]
    assert lines[0]["reason"] == "guessing"


def test_the_status_includes_journal_clock_and_cache(bench: Bench) -> None:
    bench.scan(3, boot_id="boot-1", monotonic_ms=bench.clock.monotonic_ms)
    bench.serve(an_admission())
    bench.ack(1)
    bench.clock.synced = True
    bench.step(seconds=31)
    status = bench.status()
    assert (status.epoch, status.last_seq, status.acked, status.unacked) == ("epoch-1", 3, 1, 2)
    assert status.oldest_unacked_s in (31, 32)
    assert (status.clock, status.clock_offset_ms, status.clock_uncertainty_ms) == ("synced", 0, 5)
    assert (status.boot_id, status.monotonic_ms) == ("boot-1", bench.clock.monotonic_ms)
    [held] = status.held
    assert (held.event_id, held.version, held.count) == ("event-1", 5, 1)
    bench.ack(3)
    bench.step(seconds=11)
    assert (bench.status().acked, bench.status().oldest_unacked_s) == (3, None)


def test_the_status_says_that_a_release_was_rolled_back_as_long_as_it_is_so(bench: Bench) -> None:
    bench.rollback = "1.1 was rolled back: " + "why " * 200
    bench.step(seconds=11)
    said = bench.status().parts["release"]
    assert said.startswith("1.1 was rolled back: why why")
    assert len(said) == STATUS_TEXT
    bench.rollback = ""
    bench.step(seconds=11)
    assert "release" not in bench.status().parts


def test_the_status_claims_nothing_about_an_unreadable_journal(bench: Bench) -> None:
    bench.scan(2)
    bench.step()
    bench.ack(2)
    with closing(sqlite3.connect(bench.folder / "journal.db")) as db, db:
        db.execute("update meta set value = 'many' where key = 'last_seq'")
    bench.step(seconds=11)
    status = bench.status()
    assert (status.epoch, status.last_seq, status.acked) == (None, 0, 0)


def test_an_alert_from_the_hub_fetches_the_configuration_at_once(bench: Bench) -> None:
    """The configuration has the revoked gates, whose scans must not count a minute longer."""
    bench.connect()
    bench.step()
    bench.wanted.clear()
    bench.step()
    assert WantConfig() not in bench.wanted
    bench.hear(TOPICS.alerts(), Alert(id="a-2", gate="gate-2", reason="revoked", at=NOW))
    assert bench.wanted == [WantConfig()]
