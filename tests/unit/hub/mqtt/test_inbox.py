"""Messages are handed out to the gates' turns, however much one gate sends (protocol 4.5, Fairness)."""

from __future__ import annotations

import queue
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.mqtt.inbox import HELD_BYTES, HELD_MESSAGES, Delivery, FairInbox
from tests.patience import PATIENCE_S


def message(gate: str, mid: int = 1, payload: bytes = b"", leaf: str = "scans") -> Delivery:
    return Delivery(f"maguey/v1/maguey/gates/{gate}/{leaf}", payload, mid, 1)


def drained(inbox: FairInbox) -> list[Delivery]:
    found: list[Delivery] = []
    while inbox._turns:
        found.append(inbox.get_nowait())
    return found


def test_an_honest_gates_message_waits_for_only_one_of_a_flooder() -> None:
    inbox = FairInbox()
    for mid in range(50_000):
        inbox.put(message("flooder", mid))
    assert inbox.put(message("honest"))
    assert [found.topic.split("/")[4] for found in drained(inbox)[:2]] == ["flooder", "honest"]


def test_messages_beyond_a_gates_limit_are_not_kept() -> None:
    inbox = FairInbox()
    kept = [inbox.put(message("gate-1", mid)) for mid in range(HELD_MESSAGES + 5)]
    assert kept == [True] * HELD_MESSAGES + [False] * 5
    assert inbox.put(message("gate-2"))


def test_a_gates_bytes_are_bounded_however_few_its_messages_are() -> None:
    inbox = FairInbox()
    large = message("gate-1", payload=bytes(HELD_BYTES // 4))
    assert [inbox.put(large) for _ in range(5)] == [True] * 4 + [False]
    inbox.get_nowait()
    assert inbox.put(large)


def test_one_message_larger_than_the_bound_is_taken_alone() -> None:
    inbox = FairInbox()
    assert inbox.put(message("gate-1", payload=bytes(HELD_BYTES + 1)))
    assert not inbox.put(message("gate-1"))


def test_all_messages_of_a_gate_stay_in_order() -> None:
    inbox = FairInbox()
    for mid, leaf in enumerate(("claims", "status", "claims")):
        inbox.put(message("gate-1", mid, leaf=leaf))
    assert [found.mid for found in drained(inbox)] == [0, 1, 2]


def test_an_empty_inbox_raises_empty() -> None:
    inbox = FairInbox()
    with pytest.raises(queue.Empty):
        inbox.get_nowait()
    with pytest.raises(queue.Empty):
        inbox.get(timeout=0.0)


def test_a_waiting_reader_is_woken() -> None:
    inbox = FairInbox()
    found: list[Delivery] = []
    waiting = threading.Thread(target=lambda: found.append(inbox.get(timeout=PATIENCE_S)))
    waiting.start()
    inbox.put(message("gate-1", 7))
    waiting.join(PATIENCE_S)
    assert [one.mid for one in found] == [7]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=200))
def test_each_gates_order_is_kept_and_no_gate_waits_for_two_messages_of_another(
    steps: list[tuple[str, bool]],
) -> None:
    inbox, number = FairInbox(), 0
    waiting: dict[str, list[int]] = {}
    passed: dict[str, dict[str, int]] = {}
    for gate, is_put in steps:
        if is_put:
            number += 1
            if not waiting.get(gate):
                passed[gate] = {}
            assert inbox.put(message(gate, number))
            waiting.setdefault(gate, []).append(number)
        elif inbox._turns:
            found = inbox.get_nowait()
            of = found.topic.split("/")[4]
            assert found.mid == waiting[of].pop(0)
            passed[of] = {}
            for other, before in passed.items():
                if other != of and waiting.get(other):
                    before[of] = before.get(of, 0) + 1
                    assert before[of] <= 1
    assert len(drained(inbox)) == sum(map(len, waiting.values()))
