"""Whatever the other gates send, the inbox stays within its bounds, and each gate within its own."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from sync.broker import inbox
from sync.broker.inbox import Inbox, PeerMessage
from sync.broker.mqtt import Disconnected, Message, MqttLink

NOWHERE = cast(MqttLink, None)
SIZES = st.sampled_from([0, 1, 700, 40_000, 200_000, inbox.LONGEST, 1_000_000])
BURSTS = st.lists(st.tuples(st.integers(0, 80), SIZES, st.integers(1, 300), st.booleans()), max_size=40)


def heard(gate: int, size: int) -> PeerMessage:
    return PeerMessage(f"gate-{gate}", NOWHERE, Message(f"gates/gate-{gate}/scans", b"x" * size))


@given(BURSTS)
def test_memory_is_bounded_overall_and_for_each_gate(bursts: list[tuple[int, int, int, bool]]) -> None:
    box = Inbox[object]()
    for gate, size, count, is_read in bursts:
        one = heard(gate, size)
        for _ in range(count):
            box.put_heard(one)
        if is_read:
            box.take_heard(lambda _heard: True)
        lanes = box._lanes.values()
        assert len(lanes) <= inbox.MOST_GATES
        assert all(lane.bytes <= inbox.BYTES and len(lane.waiting) <= inbox.MESSAGES for lane in lanes)
        assert box._bytes == sum(lane.bytes for lane in lanes) <= inbox.ALL_BYTES + inbox.BYTES


@given(st.integers(1, 40), st.integers(0, 2_500), SIZES)
def test_a_quiet_gate_waits_for_a_few_messages_of_each_other_gate_at_most(
    others: int, each: int, size: int
) -> None:
    """And none of its messages is dropped, whatever the others have waiting."""
    box = Inbox[object]()
    for gate in range(others):
        one = heard(gate, size)
        for _ in range(min(each, 200)):
            box.put_heard(one)
    box.put_heard(heard(99, 700))
    turns = 0
    while not any(one.gate_id == "gate-99" for one in box.take_heard(lambda _heard: True)):
        turns += 1
        assert turns <= others  # each had at least its one turn before


@given(st.lists(st.integers(0, 5), max_size=200))
def test_what_one_gate_says_stays_in_its_order(gates: list[int]) -> None:
    box = Inbox[object]()
    for number, gate in enumerate(gates):
        box.put_heard(heard(gate, number))
    taken: list[PeerMessage] = []
    while not box.empty():
        taken += box.take_heard(lambda _heard: True)
    for gate in set(gates):
        sizes = [len(one.message.payload) for one in taken if one.gate_id == f"gate-{gate}"]
        assert sizes == [number for number, said in enumerate(gates) if said == gate]


def test_nothing_waits_in_vain_and_what_may_not_be_taken_wakes_nobody() -> None:
    box = Inbox[object]()
    box.put_heard(heard(1, 10))
    assert not box.empty()
    assert box.take_heard(lambda _heard: False) == []
    assert box.empty()
    box.put_heard(heard(2, 10))
    assert not box.empty()
    assert len(box.take_heard(lambda _heard: True)) == 2


def test_the_hubs_messages_are_bounded_and_the_line_itself_always_gets_through() -> None:
    box = Inbox[object]()
    big = Message("admissions/e/deltas", b"x" * 1_000_000)
    for _ in range(100):
        box.put((None, big))
    assert box._own_bytes <= inbox.OWN_BYTES + 1_000_000 + inbox.COST
    assert box.take_lost() > 0
    lost = Disconnected("gone")
    box.put((None, lost))
    assert box._own[-1] == (None, lost)
