"""What a gate has heard of the others, against a naive set of all it heard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gate.rules.model import Heard
from sync.peers.heard_numbers import MOST_PEERS, MOST_RUNS, HeardNumbers, add
from tests.factories import a_record

GATES, EPOCHS = ["gate-2", "gate-3"], ["epoch-1", "epoch-2"]
NUMBERS = st.integers(1, 40)
TOLD = st.lists(st.tuples(st.sampled_from(GATES), st.sampled_from(EPOCHS), NUMBERS), max_size=60)


def newest(numbers: set[int]) -> tuple[int, int]:
    first = last = max(numbers)
    while first - 1 in numbers:
        first -= 1
    return first, last


@given(TOLD)
def test_the_newest_numbers_without_a_gap_are_found_in_any_order(told: list[tuple[str, str, int]]) -> None:
    peers, known = HeardNumbers(), dict[tuple[str, str], set[int]]()
    for gate, epoch, seq in told:
        peers.hear([a_record(seq, gate_id=gate, epoch=epoch)])
        known.setdefault((gate, epoch), set()).add(seq)
        wanted = [
            Heard(gate=gate, epoch=epoch, first=newest(numbers)[0], last=newest(numbers)[1])
            for (gate, epoch), numbers in sorted(known.items())
        ]
        assert list(peers.heard()) == wanted


@given(st.lists(st.integers(1, 400), min_size=MOST_RUNS, max_size=200))
def test_with_too_many_gaps_it_says_too_little_and_never_too_much(numbers: list[int]) -> None:
    peers, known = HeardNumbers(), set[int]()
    for seq in numbers:
        peers.hear([a_record(seq, gate_id="gate-2")])
        known.add(seq)
        [one] = peers.heard()
        assert set(range(one.first, one.last + 1)) <= known
        assert one.last == max(known)


@given(st.permutations(range(1, 30)))
def test_all_numbers_make_one_run_in_any_order(numbers: list[int]) -> None:
    runs: tuple[tuple[int, int], ...] = ()
    for seq in [*numbers, *numbers]:
        runs = add(runs, seq)
    assert runs == ((1, 29),)


def test_a_place_that_could_not_be_read_stays_a_gap() -> None:
    peers = HeardNumbers()
    peers.hear([a_record(seq, gate_id="gate-2") for seq in range(1, 21) if seq != 7])
    assert [(one.first, one.last) for one in peers.heard()] == [(8, 20)]


def test_a_restart_continues_from_what_was_heard() -> None:
    first = HeardNumbers()
    first.hear([a_record(seq, gate_id="gate-2") for seq in range(1, 6)])
    second = HeardNumbers(first.heard())
    second.hear([a_record(6, gate_id="gate-2")])
    assert [(one.first, one.last) for one in second.heard()] == [(1, 6)]


def test_with_more_gates_than_any_venue_has_those_heard_last_are_kept() -> None:
    peers = HeardNumbers()
    for number in range(MOST_PEERS + 10):
        peers.hear([a_record(1, gate_id=f"gate-{number}"), a_record(1, gate_id="gate-0")])
    names = {one.gate for one in peers.heard()}
    assert len(names) == MOST_PEERS
    assert {"gate-0", f"gate-{MOST_PEERS + 9}"} <= names


def test_an_invalid_number_is_left_out() -> None:
    peers = HeardNumbers()
    peers.hear([replace(a_record(gate_id="gate-2"), seq=seq) for seq in (0, -3, 2**63)])
    assert peers.heard() == ()
