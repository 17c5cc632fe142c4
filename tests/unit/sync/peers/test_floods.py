"""Each gate's budget (protocol 4.5): a whole night's backlog fits, and no gate spends another's."""

from __future__ import annotations

from typing import cast

from gate.common.allowance import Allowance
from sync.broker.inbox import Arrivals, PeerMessage
from sync.broker.mqtt import Message, MqttLink
from sync.peers.floods import (
    BYTES,
    CALM_MS,
    MESSAGES,
    PeerFloods,
)
from sync.wire.scans import encode_scans
from tests.factories import a_record

BATCH = encode_scans([a_record(n, gate_id="gate-2") for n in range(1, 51)])
A_NIGHT = 2 * 3600 * 8
"""Number of scans in a night at the busiest door."""


def a_batch(gate: str) -> PeerMessage:
    return PeerMessage(gate, cast(MqttLink, None), Message(f"gates/{gate}/scans", BATCH))


def test_a_gates_whole_night_at_once_is_taken_and_is_no_flood() -> None:
    floods = PeerFloods()
    for _ in range(A_NIGHT // 50):
        floods.arrived("gate-2", Arrivals(messages=1, bytes=len(BATCH)), 0)
        assert floods.may_take(a_batch("gate-2"), 0)
    assert floods.flooding(0) == ()


def test_the_scans_of_the_busiest_door_are_never_a_flood() -> None:
    floods = PeerFloods()
    for second in range(3_600):  # two scans, two passages, and an occasional status
        floods.arrived("gate-2", Arrivals(messages=5, bytes=5 * 1_200), second * 1000)
        assert floods.may_take(a_batch("gate-2"), second * 1000)
    assert floods.flooding(3_600_000) == ()


def test_one_gates_flood_does_not_reduce_anothers_budget() -> None:
    floods = PeerFloods()
    while floods.may_take(a_batch("gate-2"), 0):
        pass
    floods.arrived("gate-2", Arrivals(messages=10 * int(MESSAGES.at_once)), 0)
    assert floods.may_take(a_batch("gate-3"), 0)
    assert floods.flooding(0) == ("gate-2",)


def test_a_flood_is_reported_within_ten_seconds_and_its_end_with_the_amount() -> None:
    """At 150 batches a second, whatever they contain."""
    floods = PeerFloods()
    second = 0
    while not floods.flooding(second * 1000):
        floods.arrived("gate-2", Arrivals(messages=150, bytes=150 * len(BATCH), dropped=100), second * 1000)
        second += 1
    assert second <= 10
    (began,) = floods.events(second * 1000)
    assert (began.gate_id, began.began) == ("gate-2", True)
    assert floods.events(second * 1000) == []
    (over,) = floods.events(second * 1000 + CALM_MS)
    assert (over.gate_id, over.began, over.refused >= 100) == ("gate-2", False, True)


def test_a_budget_refills_with_time_and_never_beyond_its_maximum() -> None:
    budget = Allowance(MESSAGES, 0)
    assert budget.spend(MESSAGES.at_once, 0)
    assert not budget.is_left(0)
    assert budget.spend(MESSAGES.per_s, 1)
    assert not budget.is_left(1)
    assert not budget.is_left(0.5)  # a clock that goes back refills nothing
    assert not budget.spend(MESSAGES.at_once + 1, 10**6)
    assert Allowance(BYTES, 0).spend(BYTES.at_once, 0)
