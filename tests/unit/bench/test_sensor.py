"""The model of a sensor behaves as one: light, flicker, blur, noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.sensor import HEIGHT, Picture, Rows, Shutter, developed, moved, softened, under_lamp, under_pulses

FLICKER_S = 1 / 120
STARTS = st.floats(0, 10)
MOTIONS = st.floats(-30, 30)


def grey_of(nits: float, seconds: float = FLICKER_S, gain: float = 4.0) -> float:
    light = np.full((60, 80), nits, np.float32)
    return float(developed(light, Shutter(seconds=seconds, gain=gain), np.random.default_rng(1)).mean())


def line() -> Picture:
    """One bright column."""
    light = np.zeros((41, 81), np.float32)
    light[:, 40] = 100
    return light


def unevenness(rows: Rows) -> float:
    return float(np.ptp(rows))


@given(st.floats(1, 150), st.floats(1, 8))
def test_twice_the_exposure_is_brighter(nits: float, gain: float) -> None:
    assert grey_of(nits, 2 * FLICKER_S, gain) > grey_of(nits, FLICKER_S, gain)


@given(st.floats(5000, 1e6))
def test_what_is_saturated_gets_no_brighter(nits: float) -> None:
    assert grey_of(nits) == 255


def test_a_dark_scene_is_noisier_than_its_light_allows_for_with_less_gain() -> None:
    light = np.full((200, 200), 20.0, np.float32)
    frames = [
        developed(light * (4 / gain), Shutter(seconds=FLICKER_S, gain=gain), np.random.default_rng(1))
        for gain in (2, 8)
    ]
    assert frames[0].mean() == pytest.approx(frames[1].mean(), abs=2)
    assert frames[0].std() < frames[1].std()


@given(STARTS, st.integers(1, 4), st.floats(0.1, 1))
def test_a_lamp_makes_no_bands_in_whole_flickers(start: float, flickers: int, depth: float) -> None:
    assert unevenness(under_lamp(120, depth, start, flickers * FLICKER_S)) < 1e-6


@given(STARTS, st.floats(0.2, 0.8), st.floats(0.1, 1))
def test_a_lamp_makes_bands_in_parts_of_a_flicker(start: float, part: float, depth: float) -> None:
    # the rows of a frame start over more than two flickers
    assert unevenness(under_lamp(120, depth, start, part * FLICKER_S)) > 0.1 * depth


@given(STARTS, st.integers(1, 4), st.floats(0.1, 0.9))
def test_whole_pulses_of_a_screen_make_no_bands(start: float, pulses: int, duty: float) -> None:
    assert unevenness(under_pulses(240, duty, start, pulses / 240)) < 1e-4


@given(STARTS, st.floats(0.1, 0.5))
def test_one_pulse_and_a_half_makes_bands(start: float, duty: float) -> None:
    assert unevenness(under_pulses(180, duty, start, FLICKER_S)) > 0.5


def test_a_screen_without_pulses_makes_none() -> None:
    rows = under_pulses(90, 1.0, 0.3, FLICKER_S)
    assert rows.shape == (HEIGHT, 1)
    assert unevenness(rows) < 1e-6


@given(MOTIONS, MOTIONS, st.floats(0.3, 3))
def test_blur_spreads_light_and_loses_none(across: float, down: float, deviation: float) -> None:
    light = np.zeros((101, 101), np.float32)
    light[50, 50] = 100
    blurred = softened(moved(light, across, down), deviation)
    assert blurred.sum() == pytest.approx(100, rel=1e-3)
    assert blurred.max() < 100


def test_a_longer_way_blurs_more_across_it_and_not_along_it() -> None:
    still, short, long = (moved(line(), way, 0)[20].max() for way in (0, 3, 9))
    assert still > short > long
    assert np.array_equal(moved(line(), 0, 9), line())


def test_the_farther_from_focus_the_softer() -> None:
    sharp, soft = (softened(line(), deviation)[20].max() for deviation in (0.6, 2.0))
    assert sharp > soft
