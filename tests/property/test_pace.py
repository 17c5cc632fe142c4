"""People have a pace: a door's traffic never trips the rule, a flood does within its first moments."""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sync.peers.pace import A_MINUTE, BURST, MOST_MINUTES, NIGHT_S, PER_SECOND, EntryPace
from tests.factories import NOW
from tests.long import cases

MINUTES = st.integers(min_value=1, max_value=180)


def a_night(source: random.Random, minutes: int, a_minute: int) -> list[float]:
    """Seconds at which people come in: no more than at the busiest door in a minute, at any moment of it."""
    times: list[float] = []
    for minute in range(minutes):
        times += [minute * 60 + source.random() * 60 for _ in range(source.randint(0, a_minute))]
    return sorted(times)


@settings(max_examples=cases(25, long=100))
@given(st.integers(), MINUTES, st.integers(0, 60 * int(PER_SECOND)), st.integers(-300, 300))
def test_a_door_that_is_heard_all_the_while_is_believed(
    seed: int, minutes: int, a_minute: int, skew_s: int
) -> None:
    source = random.Random(seed)
    pace = EntryPace(0, away_s=0)
    for at in a_night(source, minutes, a_minute):
        if not source.randrange(20):
            pace.set_waiting(0, int(at * 1000))
        held_up = source.random() * 30  # on the way
        assert pace.take(NOW + timedelta(seconds=at + skew_s), int((at + held_up) * 1000))


@settings(max_examples=cases(25, long=100))
@given(st.integers(), MINUTES, st.booleans())
def test_a_backlog_is_believed_in_any_order_whether_it_was_announced_or_not(
    seed: int, minutes: int, is_told: bool
) -> None:
    """All of it comes at once when the outage is over; then the night goes on."""
    source = random.Random(seed)
    times = a_night(source, minutes, 60 * int(PER_SECOND))
    back_ms = minutes * 60_000
    pace = EntryPace(0, away_s=0)
    if is_told:
        pace.set_waiting(len(times), back_ms)
    source.shuffle(times)
    assert all(pace.take(NOW + timedelta(seconds=at), back_ms) for at in times)
    if is_told:
        pace.set_waiting(0, back_ms + 10_000)
    for second in range(300):
        at = NOW + timedelta(minutes=minutes, seconds=second)
        assert pace.take(at, back_ms + second * 1000)
        assert pace.take(at, back_ms + second * 1000)


@given(st.integers(0, 3600), st.integers(0, 59))
def test_a_clock_that_is_set_back_while_people_come_in_trips_nothing(back_s: int, after_min: int) -> None:
    pace = EntryPace(0, away_s=0)
    for second in range(0, 3600, 1):
        said = second - (back_s if second >= after_min * 60 else 0)
        for _ in range(2):
            assert pace.take(NOW + timedelta(seconds=said), second * 1000)


@given(st.floats(0, NIGHT_S))
def test_a_flood_that_says_now_is_believed_for_the_people_of_a_minute_at_most(away_s: float) -> None:
    """Whatever it may have had to send: a thousand claims in a few seconds are no people."""
    pace = EntryPace(0, away_s)
    believed = sum(pace.take(NOW + timedelta(milliseconds=n), n // 4) for n in range(4_000))
    assert believed == min(A_MINUTE, BURST + int(PER_SECOND * away_s))


@settings(max_examples=cases(15, long=50))
@given(st.integers(), st.integers(0, 30))
def test_a_gate_with_nothing_waiting_floods_in_vain_whatever_times_it_claims(seed: int, quiet_s: int) -> None:
    """Its last status said that everything had been acknowledged."""
    source = random.Random(seed)
    pace = EntryPace(0)
    pace.set_waiting(0, 0)
    said = [NOW - timedelta(seconds=source.uniform(0, 4 * 3600)) for _ in range(3_000)]
    assert sum(pace.take(at, quiet_s * 1000) for at in said) <= BURST + PER_SECOND * quiet_s


@given(st.permutations(range(12)), st.lists(st.integers(0, 1), min_size=700, max_size=700))
def test_the_order_of_messages_decides_nothing(order: list[int], minutes: list[int]) -> None:
    """So many of each minute are believed, whichever comes first."""
    parts = [minutes[number::12] for number in range(12)]
    told = [minute for number in order for minute in parts[number]]
    pace = EntryPace(0)
    counts = dict.fromkeys(range(2), 0)
    for minute in told:
        counts[minute] += pace.take(NOW + timedelta(minutes=minute), 0)
    assert counts == {minute: min(A_MINUTE, minutes.count(minute)) for minute in range(2)}


def test_no_more_minutes_are_remembered_than_a_night_has() -> None:
    pace = EntryPace(0)
    for minute in range(3 * MOST_MINUTES):
        pace.take(NOW + timedelta(minutes=minute), 0)
    assert len(pace._minutes) == MOST_MINUTES


def test_if_this_gates_own_clock_goes_back_nothing_is_allowed_twice() -> None:
    pace = EntryPace(0, away_s=0)
    for _ in range(50):
        pace.set_waiting(0, 10_000)
        pace.set_waiting(0, 0)
    assert sum(pace.take(NOW + timedelta(minutes=n), 0) for n in range(1000)) == BURST
