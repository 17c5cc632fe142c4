"""Whatever a broker sends takes bounded memory, log and time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from gate.common.seldom import MOST_KINDS
from gate.rules.alert import Alert
from gate.rules.first_entry import Returned
from sync.broker.mqtt import Message
from sync.claims.claim_inbox import MOST_OF_DOORS, MOST_OF_HUB, BrokerUp, FromDoor, FromHub
from sync.claims.claim_loop import PIECE
from sync.wire.messages import Change, Delta, Probe, encode
from tests.factories import an_admission
from tests.sync_bench import TOPICS, Bench

ANOTHERS = Delta(event_id="event-1", changes=(Change(version=6, row=an_admission(event_id="event-2")),))
JUNK = [
    Message(TOPICS.head("event-1"), b"\xff{"),
    Message(TOPICS.deltas("event-1"), b"\xff{"),
    Message(TOPICS.deltas("event-1"), encode(ANOTHERS)),
    Message(TOPICS.alerts(), b"\xff{"),
    Message(TOPICS.ack("gate-1"), b"\xff{"),
    Message(TOPICS.grants("gate-1"), b"\xff{"),
    Message(TOPICS.commands("gate-1"), b"x" * 5_000),
    Message(TOPICS.commands("gate-1"), b"{}", retained=True),
    Message(TOPICS.commands("gate-1"), b"{}"),
]


@pytest.fixture
def bench(bench: Bench) -> Bench:
    bench.connect()
    bench.serve(an_admission())
    bench.line.up = False  # no door takes an order
    return bench


@pytest.mark.parametrize("junk", JUNK)
def test_each_kind_of_junk_is_logged_once_a_minute_with_its_count(bench: Bench, junk: Message) -> None:
    with capture_logs() as lines:
        for _ in range(150):
            bench.step(junk, seconds=0.5)
    assert [line["count"] for line in lines] == [1, 120]


def test_one_kind_of_junk_hides_no_other(bench: Bench) -> None:
    with capture_logs() as lines:
        for _ in range(3):
            bench.step(JUNK[0], JUNK[1], JUNK[3])
    assert [line["topic"] for line in lines] == [JUNK[0].topic, JUNK[1].topic, JUNK[3].topic]


def alert(reason: str) -> Message:
    at = datetime(2026, 1, 31, tzinfo=UTC)
    return Message(TOPICS.alerts(), encode(Alert(id="a", gate="gate-2", reason=reason, at=at)))


def test_alerts_of_each_reason_are_logged_once_a_minute_with_their_count(bench: Bench) -> None:
    with capture_logs() as lines:
        for _ in range(150):
            bench.step(alert("conflict"), alert("guessing"), seconds=0.5)
    told = [(line["reason"], line["count"]) for line in lines if line["event"] == "alert received"]
    assert told == [("conflict", 1), ("guessing", 1), ("conflict", 120), ("guessing", 120)]


def test_made_up_reasons_are_logged_together(bench: Bench) -> None:
    with capture_logs() as lines:
        bench.step(*(alert(f"made up {number}") for number in range(MOST_KINDS + 200)))
    assert MOST_KINDS / 2 < len(lines) <= MOST_KINDS + 1


# --- the claims' own inbox ---


def test_a_stream_of_answers_does_not_keep_a_turn_from_ending(bench: Bench) -> None:
    inbox, before = bench.sync.claims.inbox, len(bench.to_hub(Probe))
    bench.clock.forward(2)
    with capture_logs():
        for _ in range(PIECE + 50):
            inbox.put(FromHub(bench.links[-1], JUNK[5]))
        bench.sync.claims.turn()
        assert len(bench.to_hub(Probe)) == before + 1
        assert not inbox.empty()
        bench.sync.claims.turn()
    assert inbox.empty()


def test_a_flood_from_the_hub_is_dropped_and_logged_once(bench: Bench) -> None:
    claims = bench.sync.claims
    with capture_logs() as lines:
        for _ in range(2):
            for _ in range(MOST_OF_HUB + 100):
                claims.inbox.put(FromHub(bench.links[-1], Message("other", b"x" * 100_000)))
            for _ in range(MOST_OF_HUB):
                claims.turn()
            assert claims.inbox.empty()
    [told] = [line for line in lines if "dropped" in line["event"]]
    assert told["count"] == 100


def test_messages_of_the_door_and_the_link_have_room_beside_a_flood_from_the_hub(bench: Bench) -> None:
    claims = bench.sync.claims
    with capture_logs():
        for _ in range(MOST_OF_HUB + 100):
            claims.inbox.put(FromHub(bench.links[-1], JUNK[5]))
        claims.inbox.put(BrokerUp(bench.links[-1]))
        claims.inbox.put(FromDoor(bench.line, Returned(scan_id="scan-1")))
        while not claims.inbox.empty():
            claims.turn()
    assert bench.to_hub(Returned) == [Returned(scan_id="scan-1")]


def test_a_flood_from_doors_is_bounded_and_loses_no_event_of_the_link(bench: Bench) -> None:
    claims = bench.sync.claims
    before = len(bench.to_hub(Returned))
    for number in range(MOST_OF_DOORS + 100):
        claims.inbox.put(FromDoor(bench.line, Returned(scan_id=f"scan-{number}")))
    claims.inbox.put(BrokerUp(bench.links[-1]))
    bench.clock.forward(0.1)
    with capture_logs():
        while not claims.inbox.empty():
            claims.turn()
    assert len(bench.to_hub(Returned)) - before == MOST_OF_DOORS
    assert bench.to_hub(Probe)[-1].id == bench.clock.monotonic_ms  # the new connection was noticed


def test_an_overlong_message_is_cut_while_it_waits(bench: Bench) -> None:
    inbox = bench.sync.claims.inbox
    inbox.put(FromHub(bench.links[-1], Message(TOPICS.grants("gate-1"), b"x" * 1_000_000)))
    waiting = inbox.get(0)
    assert isinstance(waiting, FromHub)
    assert len(waiting.message.payload) < 5_000
