"""What a picture is put through: the same as the exact arithmetic, for any picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardware.decoder import filters
from hardware.decoder.picture_file import Grey

SIDES = st.integers(5, 40)
PICTURES = arrays(np.uint8, st.tuples(SIDES, SIDES), elements=st.integers(0, 255))


@given(PICTURES)
def test_smoothing_is_the_weighted_mean_rounded_down(grey: Grey) -> None:
    wide = grey.astype(float)
    rows = (wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4
    exact = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    assert (filters.smoothed(grey) == np.floor(exact)).all()


@given(PICTURES)
def test_halving_is_the_mean_of_four_within_rounding(grey: Grey) -> None:
    height, width = (side // 2 for side in grey.shape)
    exact = grey[: 2 * height, : 2 * width].astype(float).reshape(height, 2, width, 2).mean(axis=(1, 3))
    assert np.abs(filters.halved(grey) - exact).max() <= 1.5


@given(PICTURES)
def test_doubling_keeps_every_pixel_and_puts_means_between(grey: Grey) -> None:
    double = filters.doubled(grey)
    assert double.shape == (2 * grey.shape[0] - 1, 2 * grey.shape[1] - 1)
    assert (double[::2, ::2] == grey).all()
    between = (grey[:, :-1].astype(float) + grey[:, 1:]) / 2
    assert np.abs(double[::2, 1::2] - between).max() <= 0.5


@given(PICTURES, st.integers(1, 3))
def test_sharpening_adds_what_smoothing_takes_away(grey: Grey, strength: int) -> None:
    inner, smooth = grey[1:-1, 1:-1].astype(int), filters.smoothed(grey).astype(int)
    exact = inner + strength * (inner - smooth)
    assert (filters.sharpened(grey, strength) == exact.clip(0, 255)).all()


def test_lifting_keeps_black_white_and_the_order_between_and_spreads_the_dark() -> None:
    greys = np.arange(256, dtype=np.uint8)[None, :]
    lifted = filters.lifted(greys)[0]
    assert (lifted[0], lifted[255]) == (0, 255)
    assert (np.diff(lifted.astype(int)) >= 0).all()
    assert int(lifted[40]) - int(lifted[20]) > 20


@given(PICTURES)
def test_an_evened_picture_is_black_and_white(grey: Grey) -> None:
    assert set(np.unique(filters.evened(grey))) <= {0, 255}


def test_a_shadow_over_half_of_a_pattern_vanishes_when_it_is_evened() -> None:
    pattern = np.kron(np.indices((24, 24)).sum(0) % 2, np.ones((8, 8))) * 150 + 50
    shaded = pattern.copy()
    shaded[:, 96:] *= 0.4
    inner = np.s_[16:-16, 16:80]
    even = filters.evened(shaded.astype(np.uint8))
    expected = np.where(pattern > 100, 255, 0)
    assert (even[inner] == expected[inner]).mean() > 0.98
    assert (even[16:-16, 112:-16] == expected[16:-16, 112:-16]).mean() > 0.98


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 4), (4, 4)])
@pytest.mark.parametrize(
    "filtered",
    [
        filters.smoothed,
        filters.halved,
        filters.doubled,
        filters.lifted,
        filters.evened,
        lambda grey: filters.sharpened(grey, 2),
    ],
)
def test_no_picture_is_too_small(filtered: Callable[[Grey], Grey], shape: tuple[int, int]) -> None:
    assert filtered(np.full(shape, 7, dtype=np.uint8)).dtype == np.uint8


@pytest.mark.parametrize(("noise", "grain"), [(0, 0), (2, 1), (12, 5), (25, 10)])
def test_grain_follows_the_noise(noise: float, grain: int) -> None:
    rows = (128 + np.random.default_rng(1).normal(0, noise, (60, 640))).clip(0, 255).astype(np.uint8)
    steps = filters.steps_between_neighbours(rows)
    assert filters.is_grain_at_least(grain, steps)
    assert not filters.is_grain_at_least(grain + 3, steps)
