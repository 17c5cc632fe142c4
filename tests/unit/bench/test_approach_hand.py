"""The hand of an approach."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bench.approach_hand import Hand, hand, is_in_view, seen
from bench.sensor import HEIGHT, WIDTH

HALF = 2.2
SEEDS = st.integers(0, 10_000)


def some_hand(seed: int) -> Hand:
    return hand(random.Random(seed), HALF, (0, 15), 25)


@settings(max_examples=40)
@given(SEEDS)
def test_the_code_is_first_wholly_in_view_between_a_fifth_and_four_fifths_of_a_second(seed: int) -> None:
    calm = replace(some_hand(seed), sways=())  # a tremble at the edge of the frame may show it a bit earlier
    first = next(t for t in np.arange(0, 2, 0.02) if is_in_view(calm.view(t), HALF))
    assert 0.19 <= first <= 0.83


@settings(max_examples=40)
@given(SEEDS)
def test_the_middle_of_the_code_stays_in_the_frame_once_it_is_held(seed: int) -> None:
    for t in np.arange(1.6, 2, 0.1):
        x, y = seen(some_hand(seed).view(t), 0, 0)
        assert 0 < x < WIDTH
        assert 0 < y < HEIGHT


@settings(max_examples=40)
@given(SEEDS)
def test_a_hand_moves_and_never_jumps(seed: int) -> None:
    made = some_hand(seed)
    poses = [made.pose(t) for t in np.arange(0, 2, 0.01)]
    steps = [float(np.abs(after - before).max()) for before, after in pairwise(poses)]
    assert min(steps) > 0
    assert max(steps) < 4  # cm, or radians: 4 m/s


@settings(max_examples=40)
@given(SEEDS)
def test_speed_is_how_fast_the_middle_of_the_code_moves(seed: int) -> None:
    made = some_hand(seed)
    before, after = (seen(made.view(t), 0, 0) for t in (1.8, 1.804))
    way = [(later - now) / 0.004 for now, later in zip(before, after, strict=True)]
    assert np.allclose(made.speed(1.802), way, atol=20)
