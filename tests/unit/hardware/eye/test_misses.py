"""Misses, counted for each exposure."""

from __future__ import annotations

import itertools

import pytest

from hardware.decoder.effort import Effort, effort
from hardware.eye.misses import Misses


@pytest.mark.parametrize("every", range(2, 10))
def test_whatever_is_tried_on_every_nth_frame_is_tried_on_both_exposures(every: int) -> None:
    misses, tried = Misses(), set()
    for exposure in itertools.islice(itertools.cycle((0, 1)), 2 * every):
        tried.add((exposure, misses.before(exposure) % every))
        misses.missed(exposure, foreign=False)
    assert tried == set(itertools.product((0, 1), range(every)))


def test_a_code_read_with_one_exposure_ends_the_misses_of_both() -> None:
    misses = Misses()
    for exposure in (0, 1, 0):
        misses.missed(exposure, foreign=True)
    assert (misses.before(0), misses.before(1)) == (2, 1)
    misses.read()
    assert (misses.before(0), misses.before(1)) == (0, 0)
    assert not misses.was_foreign(0)


def test_beside_a_poster_that_only_one_exposure_shows_everything_is_tried_on_that_exposure() -> None:
    misses, tried = Misses(), []
    for exposure in (0, 1) * 4:
        tried.append((exposure, effort(misses.before(exposure), misses.was_foreign(exposure))))
        misses.missed(exposure, foreign=exposure == 0)
    assert (0, Effort.SECOND_OPINION) in tried
    assert (1, Effort.SECOND_OPINION) not in tried
