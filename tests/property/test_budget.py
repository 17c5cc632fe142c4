"""Budgets: the busiest door is never held up; whatever goes faster is stopped (protocol 4.5)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gate.common.allowance import DEEPEST_S, Allowance, Rate

RATES = st.builds(Rate, per_s=st.integers(1, 100).map(float), at_once=st.integers(1, 10_000).map(float))
SPANS = st.integers(0, 100_000).map(float)


def takes(level: Allowance, now: float, count: float, away_s: float = 0.0) -> bool:
    """Take as every user of a level does: only if something is left before."""
    if level.fill(now, away_s) <= 0:
        return False
    level.take(count)
    return True


@given(RATES, st.lists(st.tuples(st.integers(0, 50).map(float), st.integers(1, 500).map(float)), max_size=60))
def test_nobody_takes_more_than_the_burst_and_the_rate_allow(
    rate: Rate, comings: list[tuple[float, float]]
) -> None:
    level, now = Allowance(rate, 0.0), 0.0
    taken: list[tuple[float, float]] = []
    for wait, count in comings:
        now += wait
        if takes(level, now, count):
            taken.append((now, count))
    for first, (begun, _) in enumerate(taken):
        for last in range(first, len(taken)):
            span = taken[last][0] - begun
            most = rate.at_once + rate.per_s * span + max(count for _, count in taken[first : last + 1])
            assert sum(count for _, count in taken[first : last + 1]) <= most + 1e-6


@given(
    RATES,
    st.lists(st.integers(1, 500), min_size=1, max_size=60),
    st.floats(0.0, 1.0),
)
def test_a_gate_that_keeps_to_the_pace_is_never_held_up(rate: Rate, counts: list[int], share: float) -> None:
    """Any mixture of crowds and pauses below that pace."""
    level, now = Allowance(rate, 0.0), 0.0
    for count in counts:
        crowd = min(float(count), rate.at_once) * max(share, 0.01)
        now += crowd / rate.per_s
        assert takes(level, now, crowd)


@given(RATES, SPANS, st.integers(1, 20))
def test_what_was_made_while_away_may_come_at_once(rate: Rate, away_s: float, batches: int) -> None:
    level, most = Allowance(rate, 0.0, away_s), rate.per_s * away_s + rate.at_once
    assert all(takes(level, 0.0, most / batches, away_s) for _ in range(batches))
    assert level.left <= 1e-3


@given(RATES, SPANS, SPANS)
def test_a_gate_that_was_there_saves_nothing_up(rate: Rate, away_s: float, quiet: float) -> None:
    """However long it was quiet: a gate known to have nothing waiting has no allowance for a backlog left."""
    level = Allowance(rate, 0.0, away_s)
    assert level.fill(quiet, 0.0) == rate.at_once


@given(RATES, st.lists(st.integers(-100_000, 100_000), max_size=30))
def test_a_clock_that_jumps_holds_up_nobody_for_longer_than_a_wait(rate: Rate, jumps: list[int]) -> None:
    level, now = Allowance(rate, 0.0), 0.0
    for jump in jumps:
        now += jump
        takes(level, now, 1.0)
    assert level.fill(now + 2 / rate.per_s) > 0


@given(RATES, st.integers(1, 200))
def test_a_gate_that_insists_waits_a_minute_and_no_longer(rate: Rate, times: int) -> None:
    level = Allowance(rate, 0.0)
    level.take(rate.at_once)
    for _ in range(times):
        level.insist(1.0)
    assert level.left >= -DEEPEST_S * rate.per_s
    assert level.fill(DEEPEST_S + 1.0) > 0
