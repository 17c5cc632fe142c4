"""Approaches of guests: repeatable, varied, and readable where nothing is in the way."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from bench.approach_hand import Hand
from bench.approaches import (
    BRIGHT,
    DIM,
    FRAMES,
    JUDGING,
    ONE,
    THEMES,
    TUNING,
    Approach,
    Theme,
    approach,
    approaches,
)
from bench.sensor import HEIGHT, WIDTH, Shutter
from gate.rules.payload import Code
from gate.rules.presence import Presented
from hardware.decoder.decode import read_codes

HELD = 26
"""A frame in which the code is held."""


def at_rest(held: Hand) -> Hand:
    """The same hand, there already, straight in front of the camera, and perfectly still."""
    return replace(held, held=(0, 0, 17, 0, 0, 0), off=(0,) * 6, turn=(0,) * 6, sways=())


def clean(one: Approach) -> Approach:
    """The same ticket in good light."""
    now = replace(one.now, white=200, glare=0, moire=0, wet=0, duty=1.0, veil=0.02, focus=100 / 17)
    return replace(one, hand=at_rest(one.hand), now=now, theme=replace(one.theme, white=(200, 200)))


def test_the_seeds_of_tuning_and_of_judging_have_none_in_common() -> None:
    assert not set(TUNING) & set(JUDGING)


@pytest.mark.parametrize("name", THEMES)
def test_the_same_seed_gives_the_same_frame_and_another_seed_another(name: str) -> None:
    one, same, other = (approach(name, seed).frame(HELD, ONE) for seed in (5, 5, 6))
    assert one.shape == (HEIGHT, WIDTH)
    assert one.dtype == np.uint8
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", [name for name in THEMES if name != "crack"])
def test_every_theme_is_read_with_good_light_and_a_still_hand(name: str) -> None:
    one = clean(approach(name, 5))
    assert [found.raw.decode() for found in read_codes(one.frame(HELD, ONE)).found] == [one.text]


def test_twice_the_time_shows_a_dim_phone_brighter() -> None:
    one = approach("dim", 5)
    short, long = (one.frame(HELD, Shutter(seconds=flickers / 120, gain=4)) for flickers in (1, 2))
    assert long.mean() > short.mean()


def test_the_exposure_for_dim_things_gets_more_light_than_the_one_for_bright_screens() -> None:
    assert BRIGHT.seconds * BRIGHT.gain < ONE.seconds * ONE.gain < DIM.seconds * DIM.gain


def test_an_exposure_of_no_whole_flicker_shows_bands_on_paper() -> None:
    one = clean(approach("paper", 5))
    one = replace(one, now=replace(one.now, lamp_depth=0.8, lamps=one.now.lamps[:1]))
    whole, part = (
        one.frame(HELD, Shutter(seconds=seconds, gain=4))[:, WIDTH // 2 - 100].astype(float)
        for seconds in (1 / 120, 1 / 200)
    )
    assert np.ptp(smooth(part)[100:380]) > np.ptp(smooth(whole)[100:380])


def smooth(column: np.ndarray) -> np.ndarray:
    return np.convolve(column, np.ones(20) / 20, mode="same")


def test_a_longer_exposure_blurs_a_moving_code_more() -> None:
    one = clean(approach("plain", 5))
    moving = replace(one, hand=replace(one.hand, off=(9, 0, 0, 0, 0, 0), start=1.0, glide=2.5))
    short, long = (
        moving.frame(HELD, Shutter(seconds=seconds, gain=gain))
        for seconds, gain in ((1 / 120, 3), (1 / 40, 1))
    )
    assert edges(long) < edges(short)


def edges(frame: np.ndarray) -> float:
    """How steep the steepest edges across are."""
    return float(np.percentile(np.abs(np.diff(frame.astype(float), axis=1)), 99.5))


def test_all_themes_appear_equally_often_and_no_seed_twice() -> None:
    made = list(approaches(TUNING, 3))
    assert [one.name for one in made] == [name for name in THEMES for _ in range(3)]
    assert len({one.seed for one in made}) == len(made)


def test_one_of_three_tickets_of_each_theme_is_signed_and_all_are_well_formed() -> None:
    made = list(approaches(TUNING, 3))
    signed = [one.name for one in made if ".K1" in one.text]
    assert signed == list(THEMES)
    assert all(isinstance(Presented.of(one.text.encode()).what, Code) for one in made)


def test_a_larger_run_begins_with_the_approaches_of_a_smaller_one() -> None:
    small, large = ([(one.name, one.seed) for one in approaches(JUDGING, each)] for each in (1, 2))
    assert set(small) < set(large)


def test_there_is_an_end_to_an_approach() -> None:
    assert approach("plain", 5).time(FRAMES - 1) < 2 + 1 / 15


def test_an_unknown_theme_is_an_error() -> None:
    with pytest.raises(KeyError):
        approach("sunshine", 1)


def test_plain_is_what_a_theme_is_without_anything_special() -> None:
    assert THEMES["plain"] == Theme()
