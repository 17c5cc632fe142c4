"""Which of two frames is looked at next."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.eye.turn import waits_on


def _looked_at(exposures: Iterable[int], busy_for: Iterable[int]) -> list[int]:
    """What a decoder looks at that is busy for so many frames each time."""
    looked: list[int] = []
    waiting, free_at, durations = None, 0, iter(busy_for)
    for at, newest in enumerate(exposures):
        if waiting is None or not looked or not waits_on(waiting, newest, looked[-1]):
            waiting = newest
        if at >= free_at:
            looked.append(waiting)
            waiting, free_at = None, at + next(durations)
    return looked


@pytest.mark.parametrize("busy_for", range(1, 10))
def test_however_slow_a_decoder_is_it_looks_at_both_exposures_in_turn(busy_for: int) -> None:
    looked = _looked_at([0, 1] * 100, itertools.repeat(busy_for))
    assert all(one != other for one, other in itertools.pairwise(looked))


@given(st.lists(st.integers(1, 9), min_size=200, max_size=200))
def test_a_decoder_as_slow_as_it_likes_never_looks_at_one_exposure_three_times(busy_for: list[int]) -> None:
    looked = _looked_at([0, 1] * 100, busy_for)
    assert all(len({*three}) == 2 for three in zip(looked, looked[1:], looked[2:], strict=False))


@pytest.mark.parametrize("exposure", [0, 1])
def test_of_one_exposure_the_newest_frame_is_looked_at(exposure: int) -> None:
    assert not waits_on(exposure, exposure, exposure)
    assert not waits_on(exposure, exposure, 1 - exposure)
