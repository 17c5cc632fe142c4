"""What is concluded from the ends of child processes, with a clock given by the test."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.eye.restarts import FUSE, QUICK_RETRY_S, RestartPolicy

LIVES = st.lists(st.tuples(st.floats(0.0, 100.0), st.booleans()), max_size=50)
START_S = 0.4
"""Three times what a decoder was measured to need to start."""


def _after(lives: list[tuple[float, bool]]) -> RestartPolicy:
    """The policy after children that lived this long and did or did not do their work."""
    failures, now = RestartPolicy(), 0.0
    for seconds, fruitful in lives:
        now += seconds
        if fruitful:
            failures.delivered()
        failures.ended(now)
    return failures


@given(LIVES)
def test_a_replacement_is_up_within_a_second_whatever_happened_before(
    lives: list[tuple[float, bool]],
) -> None:
    assert _after([*lives, (1.0, False)]).retry_s + START_S < 1.0


@given(LIVES)
def test_every_end_is_counted(lives: list[tuple[float, bool]]) -> None:
    assert _after(lives).count == len(lives)


def test_a_single_end_is_no_trouble_and_is_retried_quickly() -> None:
    for fruitful in (True, False):
        failures = _after([(1.0, fruitful)])
        assert not failures.keep_coming
        assert failures.retry_s == QUICK_RETRY_S


@pytest.mark.parametrize("most", [2, 3])
@pytest.mark.parametrize("first_worked", [True, False])
def test_ends_with_no_working_child_in_between_are_trouble(most: int, first_worked: bool) -> None:
    failures = RestartPolicy(in_a_row=most)
    lives = [first_worked] + [False] * (most - 1)
    for number, worked in enumerate(lives, start=1):
        if worked:
            failures.delivered()
        failures.ended(number * 1000.0)
        assert failures.keep_coming == (number == most)


@given(st.lists(st.booleans(), max_size=30))
def test_a_child_that_worked_starts_the_count_again(worked: list[bool]) -> None:
    failures = _after([(1000.0, fruitful) for fruitful in [*worked, True]])
    assert not failures.keep_coming


def test_many_ends_in_a_short_time_are_trouble_even_if_each_child_worked() -> None:
    count, seconds = FUSE
    assert _after([(seconds / count, True)] * count).keep_coming
    assert not _after([(seconds / count, True)] * (count - 1)).keep_coming
    assert not _after([(seconds / (count - 1), True)] * count).keep_coming


def test_a_child_counts_as_working_only_after_its_proof() -> None:
    failures = RestartPolicy(proof=2, in_a_row=2)
    for now in (1.0, 2.0):
        failures.delivered()
        assert not failures.works
        failures.ended(now)
    assert failures.keep_coming
    failures.delivered()
    failures.delivered()
    assert failures.works
    failures.ended(3.0)
    assert not failures.keep_coming


def test_past_failures_can_be_forgotten() -> None:
    failures = _after([(1.0, False)] * 5)
    failures.forget()
    failures.delivered()
    failures.ended(6.0)
    assert not failures.keep_coming
    assert failures.count == 6
