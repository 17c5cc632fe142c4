"""Sync's loop, with real files and a working in-memory link."""

from __future__ import annotations

import msgspec

from gate.rules.model import Kind
from gate.store.journal import Journal
from gate.store.live_file import Counters, Live, LiveReading, PartsReport
from sync.broker.mqtt import Connected, Disconnected, Message
from sync.feed.fetcher import WantConfig, WantEvent
from sync.feed.snapshot import FetchedFeed
from sync.wire.messages import Change, Delta, GateStatus, Head, decode
from tests.factories import a_record, an_admission, code_id
from tests.sync_bench import TOPICS, Bench, seqs


def test_the_journal_is_sent_in_the_order_it_was_written(bench: Bench) -> None:
    bench.scan(3)
    bench.connect()
    assert seqs(bench.sent()) == [1, 2, 3]
    bench.scan(120)
    bench.step()
    assert seqs(bench.sent()) == list(range(1, 124))


def test_records_the_hub_has_not_acknowledged_are_sent_again(bench: Bench) -> None:
    bench.scan(3)
    bench.connect()
    bench.ack(1)
    bench.step(seconds=2.1)
    assert seqs(bench.sent()) == [1, 2, 3, 2, 3]
    bench.ack(3)
    bench.step(seconds=60)
    assert seqs(bench.sent()) == [1, 2, 3, 2, 3]


def test_a_new_connection_resends_what_the_old_one_may_have_lost(bench: Bench) -> None:
    bench.scan(2)
    bench.connect()
    bench.ack(1)
    bench.step(Disconnected("power cut"))
    bench.scan()
    bench.step(seconds=1)
    bench.step(Connected())
    assert len(bench.links) == 2
    assert seqs(bench.sent()) == [2, 3]


def test_messages_from_an_old_link_are_ignored(bench: Bench) -> None:
    bench.connect()
    old = bench.links[-1]
    bench.step(Disconnected("gone"))
    bench.step(seconds=1)
    bench.inbox.put((old, Disconnected("gone again")))
    bench.step(Connected())
    bench.step(seconds=1)
    assert len(bench.links) == 2


def test_a_link_whose_thread_died_is_replaced(bench: Bench) -> None:
    bench.connect()
    bench.links[-1].closed = True
    bench.step()
    bench.step(seconds=1)
    assert len(bench.links) == 2


def test_an_acknowledgement_of_another_epoch_prunes_nothing(bench: Bench) -> None:
    bench.scan(2)
    bench.connect()
    bench.ack(2, epoch="the card before")
    assert bench.reader.link(bench.clock.now()).acked_seq == 0
    bench.ack(2)
    bench.step()
    assert bench.reader.link(bench.clock.now()).acked_seq == 2


def test_after_a_restart_sending_continues_after_the_last_acknowledgement(bench: Bench) -> None:
    bench.scan(3)
    bench.connect()
    bench.ack(2)
    bench.step()
    bench.sync = bench.start()
    bench.connect()
    assert seqs(bench.sent()) == [3]


def test_a_restart_without_a_broker_does_not_restart_the_outages_time(bench: Bench) -> None:
    bench.connect()
    bench.step(Disconnected("cable"))
    bench.clock.forward(30)
    bench.sync = bench.start()
    bench.step()
    cut_ms = bench.reader.link(bench.clock.now()).cut_ms
    assert cut_ms is not None
    assert cut_ms > 30_000


def test_a_new_journal_is_sent_from_its_first_number(bench: Bench) -> None:
    bench.scan(3)
    bench.connect()
    bench.ack(3)
    bench.journal.close()
    for file in bench.folder.glob("journal.db*"):
        file.unlink()
    bench.journal = Journal(bench.folder / "journal.db", "gate-1", "epoch-2")
    bench.scan()
    bench.step()
    assert [(record.epoch, record.seq) for record in bench.sent()][-1] == ("epoch-2", 1)


def test_the_cache_is_filled_from_snapshot_and_deltas(bench: Bench) -> None:
    bench.connect()
    assert bench.wanted[0] == WantConfig()
    bench.serve(an_admission())
    assert WantEvent("event-1", 0) in bench.wanted
    sold = an_admission(code_id(2), subject_id="ticket-2")
    bench.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(Change(version=6, row=sold),)))
    assert bench.reader.find(sold.code_hash).admission == sold
    assert bench.reader.feed("event-1", bench.clock.wall).version == 6


def test_a_gap_in_the_feed_is_fetched_and_not_skipped(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission())
    late = an_admission(code_id(2))
    bench.hear(TOPICS.deltas("event-1"), Delta(event_id="event-1", changes=(Change(version=8, row=late),)))
    assert bench.wanted[-1] == WantEvent("event-1", 5)
    assert bench.reader.find(late.code_hash).admission is None
    assert bench.reader.feed("event-1", bench.clock.wall).version == 5


def test_sync_catches_up_with_a_newer_head(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission())
    bench.hear(TOPICS.head("event-1"), Head(event_id="event-1", version=9, count=2))
    assert bench.wanted[-1] == WantEvent("event-1", 5)
    changes = tuple(Change(version=version, row=an_admission()) for version in range(6, 10))
    bench.step(FetchedFeed(event_id="event-1", version=9, since=5, changes=changes))
    assert bench.reader.feed("event-1", bench.clock.wall).version == 9


def test_an_older_snapshot_than_the_one_held_is_refused(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission(), version=5)
    bench.step(bench.snapshot(4))
    assert bench.reader.find(an_admission().code_hash).admission is not None


def test_an_admission_at_another_gate_is_known_here_at_once(bench: Bench) -> None:
    bench.connect()
    there = a_record(gate_id="gate-2", kind=Kind.GA)
    payload = msgspec.json.encode({"v": 1, "scans": [there]})
    bench.step(Message(TOPICS.scans("gate-2"), payload))
    assert [entry.gate for entry in bench.reader.find(there.code_hash or "").peers] == ["gate-2"]


def test_a_message_that_cannot_be_read_stops_nothing(bench: Bench) -> None:
    bench.connect()
    for topic in (TOPICS.ack("gate-1"), TOPICS.head("e"), TOPICS.deltas("e"), TOPICS.scans("gate-2")):
        bench.step(Message(topic, b"\xff{"), Message(topic, b'{"v": 9}'))
    bench.scan()
    bench.step()
    assert seqs(bench.sent()) == [1]


def test_the_door_learns_the_state_of_the_link(bench: Bench) -> None:
    bench.hub_is_there = True

    def online() -> bool:
        return bench.reader.link(bench.clock.now()).online

    bench.step()
    assert not online()
    bench.step(Connected())
    bench.step(seconds=1)  # the hub has answered, and the note for the door is written once a second
    assert online()
    bench.step(Disconnected("cable"))
    assert not online()


def test_a_hub_lost_behind_a_living_broker_is_noticed_though_nothing_waits(bench: Bench) -> None:
    bench.hub_is_there = True
    bench.connect()
    bench.serve(an_admission())
    bench.step(seconds=1)
    bench.step(seconds=1)
    assert bench.reader.link(bench.clock.now()).online
    bench.hub_is_there = False
    for _ in range(30):
        bench.step(seconds=1)
    assert not bench.reader.link(bench.clock.now()).online
    age_s = bench.reader.feed("event-1", bench.clock.wall).age_s
    assert age_s is not None
    assert age_s >= 15  # the hub may have changed something since


def test_a_hub_that_never_answers_counts_as_offline(bench: Bench) -> None:
    bench.hub_is_there = True
    bench.scan()
    bench.connect()
    for _ in range(20):
        bench.step(seconds=1)
    assert not bench.reader.link(bench.clock.now()).online
    bench.ack(1)
    bench.step(seconds=1)
    assert bench.reader.link(bench.clock.now()).online


def test_the_age_of_the_cache_counts_from_when_it_was_last_known_current(bench: Bench) -> None:
    bench.hub_is_there = True
    bench.connect()
    bench.serve(an_admission())
    bench.step(seconds=2)
    assert bench.reader.feed("event-1", bench.clock.wall).age_s == 0
    bench.step(Disconnected("cable"))
    bench.clock.forward(60)
    assert bench.reader.feed("event-1", bench.clock.wall).age_s == 60


def test_status_is_retained_and_the_last_will_says_offline(bench: Bench) -> None:
    bench.scan(2)
    bench.connect()
    bench.serve(an_admission())
    bench.step(seconds=11)
    topic, payload, retained = [p for p in bench.links[-1].published if p[0].endswith("/status")][-1]
    status = decode(payload, GateStatus)
    assert (topic, retained, status.online, status.unacked) == (TOPICS.status("gate-1"), True, True, 2)
    assert (status.event_id, status.cache_version) == ("event-1", 5)
    will_topic, will = bench.links[-1].will
    assert (will_topic, decode(will, GateStatus).online) == (TOPICS.status("gate-1"), False)


def test_the_status_includes_the_state_of_the_door(bench: Bench) -> None:
    now = bench.clock.now()
    live = Live(
        at=now.wall,
        monotonic_ms=now.monotonic_ms,
        boot_id=now.boot_id,
        pid=1,
        version="1",
        parts=PartsReport(camera="gone"),
        counters=Counters(scans=7),
        isolated=True,
    )
    bench.door = LiveReading(live=live, age_ms=100, is_fresh=True)
    bench.connect()
    bench.step(seconds=11)
    status = told(bench)
    assert (status.door, status.way, status.isolated) == (True, "normal", True)
    assert (status.parts["camera"], status.parts["screen"], status.counters["scans"]) == ("gone", "ok", 7)


def test_the_status_of_a_stopped_door_has_no_old_values(bench: Bench) -> None:
    bench.connect()
    bench.step(seconds=11)
    status = told(bench)
    assert (status.door, status.parts, status.counters) == (False, {}, {})


def told(bench: Bench) -> GateStatus:
    return decode([p for t, p, _ in bench.links[-1].published if t.endswith("/status")][-1], GateStatus)


def test_a_stuck_link_is_seen_by_the_watchdog_while_connected(bench: Bench) -> None:
    before = bench.sync.turns()
    assert bench.sync.turns().link > before.link  # not connected: a connection attempt has its own time-out
    bench.connect()
    first, second = bench.sync.turns(), bench.sync.turns()
    assert (second.link, second.service) == (first.link, first.service + 1)
    bench.links[-1].turns += 1
    assert bench.sync.turns().link == first.link + 1


def test_a_stuck_fetcher_is_seen_by_the_watchdog(bench: Bench) -> None:
    first, second = bench.sync.turns(), bench.sync.turns()
    assert second.fetcher == first.fetcher
    bench.fetched += 1
    assert bench.sync.turns().fetcher == first.fetcher + 1
