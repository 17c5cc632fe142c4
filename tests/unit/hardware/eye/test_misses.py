"""Misses, counted for each exposure."""

from __future__ import annotations

import itertools

import pytest

from hardware.eye.misses import Misses


@pytest.mark.parametrize("every", range(2, 10))
def test_whatever_is_tried_on_every_nth_frame_is_tried_on_both_exposures(every: int) -> None:
    misses, tried = Misses(), set()
    for exposure in itertools.islice(itertools.cycle((0, 1)), 2 * every):
        tried.add((exposure, misses.before(exposure) % every))
        misses.missed(exposure)
    assert tried == set(itertools.product((0, 1), range(every)))


def test_a_code_read_with_one_exposure_ends_the_misses_of_both() -> None:
    misses = Misses()
    for exposure in (0, 1, 0):
        misses.missed(exposure)
    assert (misses.before(0), misses.before(1)) == (2, 1)
    misses.read()
    assert (misses.before(0), misses.before(1)) == (0, 0)
