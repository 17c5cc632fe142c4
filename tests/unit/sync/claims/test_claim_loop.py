"""Claims between door and hub (domain 2.3, "First scan wins"): the answers, and when there is none."""

from __future__ import annotations

from typing import Literal

import pytest
from structlog.testing import capture_logs

from gate.hotline.client import may_ask, with_beat
from gate.hotline.messages import Ordered, Refetch, Replied
from gate.rules.first_entry import Claim, Grant, Returned
from gate.rules.model import Entry
from sync.broker.mqtt import Connected, Disconnected, Message
from sync.claims.claim_inbox import FromDoor, FromHub
from sync.claims.claim_loop import ANSWERED_MS, MOST_ASKED
from sync.feed.fetcher import WantConfig, WantEvent
from sync.wire.messages import HubTime, Probe, encode
from tests.factories import NOW, an_admission
from tests.sync_bench import TOPICS, Bench, MemoryDoor


def a_claim(scan_id: str = "scan-1") -> Claim:
    return Claim(scan_id=scan_id, code_hash="ab" * 32, event_id="event-1", epoch="epoch-1")


def a_grant(
    scan_id: str = "scan-1", answer: Literal["granted", "taken", "revoked", "elsewhere"] = "granted"
) -> Grant:
    return Grant(scan_id=scan_id, answer=answer)


@pytest.fixture
def bench(bench: Bench) -> Bench:
    """A bench that is connected and whose hub answers."""
    bench.connect()
    bench.answer_probe()
    return bench


def test_a_claim_goes_to_the_hub_and_its_answer_to_the_door(bench: Bench) -> None:
    bench.ask(a_claim())
    [claimed] = bench.to_hub(Claim)
    assert claimed == Claim(scan_id="scan-1", code_hash="ab" * 32, event_id="event-1", epoch="epoch-1")
    entry = Entry(at=NOW, gate="gate-2", scan="scan-0")
    bench.grant(Grant(scan_id="scan-1", answer="taken", entry=entry, home="gate-3"))
    assert bench.line.told == [Grant(scan_id="scan-1", answer="taken", entry=entry, home="gate-3")]


def test_each_door_gets_its_own_answers(bench: Bench) -> None:
    other = MemoryDoor()
    bench.ask(a_claim("scan-1"))
    bench.sync.claims.inbox.put(FromDoor(other, a_claim("scan-2")))
    bench.turn()
    bench.grant(a_grant("scan-2"))
    assert (bench.line.told, len(other.told)) == ([], 1)


def test_an_answer_nobody_asked_for_is_dropped(bench: Bench) -> None:
    bench.grant(a_grant("another"))
    assert bench.line.told == []


def test_without_a_broker_a_claim_fails_at_once(bench: Bench) -> None:
    bench.step(Disconnected("cable"))
    assert not bench.line.closed
    bench.ask(a_claim())
    assert bench.line.closed


def test_a_waiting_claim_fails_at_once_when_the_broker_is_lost(bench: Bench) -> None:
    bench.ask(a_claim())
    bench.step(Disconnected("cable"))
    assert bench.line.closed


def test_a_link_that_accepts_nothing_fails_a_claim_at_once(bench: Bench) -> None:
    bench.links[-1].up = False
    bench.ask(a_claim())
    assert bench.line.closed


def test_no_claim_is_sent_to_a_hub_that_answers_no_probe(bench: Bench) -> None:
    bench.step(seconds=ANSWERED_MS / 1000 + 0.1)
    bench.ask(a_claim())
    assert (bench.line.closed, bench.to_hub(Claim)) == (True, [])


def test_claims_are_sent_on_a_new_connection_once_the_hub_has_answered_there(bench: Bench) -> None:
    bench.step(Disconnected("cable"))
    bench.step(seconds=1)
    bench.step(Connected())
    bench.ask(a_claim("scan-1"))
    assert bench.to_hub(Claim) == []
    bench.answer_probe()
    bench.ask(a_claim("scan-2"))
    assert [claimed.scan_id for claimed in bench.to_hub(Claim)] == ["scan-2"]


# --- unused grants are returned ---


def test_an_unused_claim_is_returned_whether_its_grant_has_come_or_not(bench: Bench) -> None:
    bench.ask(a_claim("scan-1"), Returned(scan_id="scan-1"))
    assert bench.to_hub(Returned) == [Returned(scan_id="scan-1")]
    bench.ask(a_claim("scan-2"))
    bench.grant(a_grant("scan-2"))
    bench.ask(Returned(scan_id="scan-2"))
    assert bench.to_hub(Returned)[-1] == Returned(scan_id="scan-2")


def test_a_grant_that_comes_after_its_return_is_returned_again_and_not_passed_on(bench: Bench) -> None:
    bench.ask(a_claim(), Returned(scan_id="scan-1"))
    bench.grant(a_grant())
    assert (len(bench.to_hub(Returned)), bench.line.told) == (2, [])
    bench.grant(a_grant(answer="taken"))
    assert len(bench.to_hub(Returned)) == 2


def test_a_late_grant_for_a_guest_who_was_admitted_is_kept(bench: Bench) -> None:
    bench.ask(a_claim())
    bench.step(seconds=5)
    bench.grant(a_grant())
    assert bench.to_hub(Returned) == []


def test_a_claim_already_returned_is_not_sent(bench: Bench) -> None:
    bench.ask(Returned(scan_id="scan-1"), a_claim("scan-1"))
    assert bench.to_hub(Claim) == []


def test_a_return_without_a_broker_is_sent_once_there_is_one(bench: Bench) -> None:
    bench.ask(a_claim())
    bench.step(Disconnected("cable"))
    bench.ask(Returned(scan_id="scan-1"))
    bench.step(seconds=1)
    bench.step(Connected())
    assert bench.to_hub(Returned) == [Returned(scan_id="scan-1")]


def test_unanswered_claims_take_bounded_memory(bench: Bench) -> None:
    for number in range(MOST_ASKED + 50):
        bench.ask(a_claim(f"scan-{number}"))
        if number % 20 == 0:
            bench.step(seconds=1)
            bench.answer_probe()
    bench.grant(a_grant("scan-0"))
    assert bench.line.told == []
    bench.grant(a_grant(f"scan-{MOST_ASKED}"))
    assert len(bench.line.told) == 1


# --- probes and the hub's clock ---


def test_the_hub_is_probed_every_second(bench: Bench) -> None:
    before = len(bench.to_hub(Probe))
    for _ in range(10):
        bench.step(seconds=1)
    assert len(bench.to_hub(Probe)) == before + 10


def test_the_door_learns_when_the_hub_last_answered_in_time(bench: Bench) -> None:
    bench.step(seconds=1)
    bench.answer_probe(after_ms=150)
    answered_ms = bench.clock.monotonic_ms
    bench.step(seconds=1)
    assert bench.note().answered_ms == answered_ms
    bench.answer_probe(after_ms=250)  # a claim would have failed
    bench.step(seconds=1)
    assert bench.note().answered_ms == answered_ms


def test_the_best_measure_of_the_hubs_clock_is_kept_across_a_restart(bench: Bench) -> None:
    at_ms = 1_800_000_005_000 - bench.clock.monotonic_ms
    bench.step(seconds=1)
    bench.answer_probe(after_ms=10, hub_ms=at_ms + bench.clock.monotonic_ms)
    bench.step(seconds=1)
    bench.answer_probe(
        after_ms=10, hub_ms=at_ms + bench.clock.monotonic_ms
    )  # twice, because the clock was set after the start
    best = bench.sync.claims.hub_clock.best
    bench.step(seconds=1)
    bench.answer_probe(after_ms=190, hub_ms=at_ms + bench.clock.monotonic_ms)
    bench.step(seconds=1)
    assert best is not None
    assert best.uncertainty_ms < 10
    assert bench.note().measure == best
    bench.sync = bench.start()
    bench.connect()
    assert bench.note().measure == best


@pytest.mark.parametrize("hub_ms", [0, 1_500_000_000_000, -5])
def test_a_hub_with_a_wrong_clock_sets_none_but_answers_claims(bench: Bench, hub_ms: int) -> None:
    measured = bench.sync.claims.hub_clock
    bench.step(seconds=1)
    bench.answer_probe(hub_ms=hub_ms)
    assert bench.sync.claims.hub_clock == measured
    bench.ask(a_claim())
    assert len(bench.to_hub(Claim)) == 1


def test_an_answer_to_no_probe_is_ignored(bench: Bench) -> None:
    measured, answered_ms = bench.sync.claims.hub_clock, bench.sync.claims.answered_ms
    bench.step(seconds=1)
    bench.put_now(HubTime(id=1, received_us=1_800_000_000_000_000, sent_us=1_800_000_000_000_000))
    assert (bench.sync.claims.hub_clock, bench.sync.claims.answered_ms) == (measured, answered_ms)


# --- staff orders ---


def test_an_order_reaches_the_door_unchanged(bench: Bench) -> None:
    bench.step(Message(TOPICS.commands("gate-1"), b'{"sealed": true}'))
    assert bench.line.told == [Ordered(envelope='{"sealed": true}')]


@pytest.mark.parametrize(
    "order",
    [
        Message(TOPICS.commands("gate-1"), b"{}", retained=True),
        Message(TOPICS.commands("gate-1"), b"x" * 5000),
    ],
)
def test_a_retained_or_oversized_order_is_not_passed_on(bench: Bench, order: Message) -> None:
    with capture_logs() as lines:
        bench.step(order)
    assert (bench.line.told, [line["log_level"] for line in lines]) == ([], ["warning"])


def test_an_order_without_a_door_is_logged(bench: Bench) -> None:
    bench.line.up = False
    with capture_logs() as lines:
        bench.step(Message(TOPICS.commands("gate-1"), b"{}"))
    assert "no door" in lines[0]["why"]


def test_a_reply_reaches_the_hub_after_an_outage_of_the_broker(bench: Bench) -> None:
    bench.step(Disconnected("cable"))
    bench.ask(Replied(reply='{"id": "1"}'))
    bench.step(seconds=1)
    bench.step(Connected())
    replies = [p for p in bench.links[-1].published if p[0] == TOPICS.replies("gate-1")]
    assert replies == [(TOPICS.replies("gate-1"), b'{"id": "1"}', False)]


def test_every_night_is_fetched_again_on_a_staff_order(bench: Bench) -> None:
    bench.serve(an_admission(), version=5)
    bench.wanted.clear()
    bench.ask(Refetch())
    assert WantConfig() in bench.wanted
    assert WantEvent("event-1", 5, whole=True) in bench.wanted


def test_a_message_that_cannot_be_read_stops_nothing(bench: Bench) -> None:
    with capture_logs() as lines:
        for payload in (
            b"\xff{",
            b'{"t": "grant", "v": 9, "scan_id": "x", "answer": "granted"}',
            b"x" * 5000,
        ):
            bench.step(Message(TOPICS.grants("gate-1"), payload))
    assert [line["log_level"] for line in lines] == [
        "warning"
    ]  # the others are counted in a line a minute later
    bench.ask(a_claim())
    bench.grant(a_grant())
    assert len(bench.line.told) == 1


def test_claims_go_on_while_a_large_snapshot_is_taken_over(bench: Bench) -> None:
    """Meanwhile the cache's only writer is busy, so sync cannot write there that it is alive."""
    for _ in range(7):
        bench.clock.forward(1)
        bench.sync.claims.turn()  # the service's own loop does not run
        probe = bench.to_hub(Probe)[-1]
        told = encode(HubTime(id=probe.id, received_us=1, sent_us=1))
        bench.sync.claims.inbox.put(FromHub(bench.links[-1], Message(TOPICS.grants("gate-1"), told)))
        bench.sync.claims.turn()
    now = bench.clock.now()
    link = bench.reader.link(now)
    assert (link.alive, may_ask(link, None, now.monotonic_ms)) == (False, False)
    beat = bench.line.beats[-1].answered_ms
    assert may_ask(with_beat(link, beat, now.monotonic_ms), None, now.monotonic_ms)


def test_a_hub_that_answers_too_late_sends_the_door_no_beat(bench: Bench) -> None:
    before = len(bench.line.beats)
    bench.step(seconds=2)
    bench.answer_probe(after_ms=201)
    assert len(bench.line.beats) == before
    bench.step(Disconnected("gone"), seconds=2)
    assert len(bench.line.beats) == before
