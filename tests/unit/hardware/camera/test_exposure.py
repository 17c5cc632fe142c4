"""Exposure in whole flicker periods of the light, and the controls that fix it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.camera.exposure import (
    BLANKING_US,
    Controls,
    Mains,
    controls_for,
    exposure_us,
    fixed_exposure,
    nearest,
)
from hardware.camera.spec import CameraSpec, Exposure

MAINS: st.SearchStrategy[Mains] = st.sampled_from([50, 60])


def at_the_door(mains_hz: Mains = 60, focus: float | None = 6.0) -> Controls:
    return controls_for(mains_hz=mains_hz, half_periods=1, gain=8, focus=focus, fps=25)


@given(mains_hz=MAINS, half_periods=st.integers(1, 1000), fps=st.integers(1, 80))
def test_the_exposure_is_whole_flicker_periods_and_never_longer_than_a_frame(
    mains_hz: Mains, half_periods: int, fps: int
) -> None:
    exposure = exposure_us(mains_hz, half_periods, fps)
    flickers = round(exposure * 2 * mains_hz / 1_000_000)
    assert 1 <= flickers <= half_periods
    assert abs(exposure - flickers * 1_000_000 / (2 * mains_hz)) <= 0.5, "libcamera's unit is a µs"
    assert exposure + BLANKING_US <= 1_000_000 / fps


@given(mains_hz=MAINS, half_periods=st.integers(1, 1000), fps=st.integers(1, 80))
def test_the_exposure_has_as_many_flicker_periods_as_asked_for_if_they_fit(
    mains_hz: Mains, half_periods: int, fps: int
) -> None:
    flicker_us = 1_000_000 / (2 * mains_hz)
    flickers = round(exposure_us(mains_hz, half_periods, fps) / flicker_us)
    longer = (flickers + 1) * flicker_us + BLANKING_US
    assert flickers == half_periods or longer > 1_000_000 // fps


@pytest.mark.parametrize(
    ("mains_hz", "half_periods", "exposure"),
    [(50, 1, 10_000), (50, 3, 30_000), (50, 4, 30_000), (60, 1, 8333), (60, 3, 25_000)],
)
def test_the_exposures_at_25_frames_a_second(mains_hz: Mains, half_periods: int, exposure: int) -> None:
    assert exposure_us(mains_hz, half_periods, 25) == exposure


@pytest.mark.parametrize(("mains_hz", "most"), [(50, 90), (60, 107)])
def test_too_many_frames_a_second_are_refused_with_the_maximum(mains_hz: Mains, most: int) -> None:
    assert exposure_us(mains_hz, 1, most)
    with pytest.raises(ValueError, match=f"set fps to {most} or less"):
        exposure_us(mains_hz, 1, most + 1)


@pytest.mark.parametrize(("half_periods", "fps"), [(0, 25), (1, 0)])
def test_numbers_below_one_are_refused(half_periods: int, fps: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        exposure_us(50, half_periods, fps)


def test_everything_automatic_is_off_and_the_lens_is_fixed() -> None:
    assert at_the_door() == {
        "AeEnable": False,
        "AwbEnable": False,
        "ExposureTime": 8333,
        "AnalogueGain": 8.0,
        "AfMode": 0,
        "LensPosition": 6.0,
    }


def test_without_a_focus_the_lens_focuses_by_itself() -> None:
    controls = at_the_door(focus=None)
    assert controls["AfMode"] == 2
    assert "LensPosition" not in controls


@pytest.mark.parametrize(("gain", "focus"), [(0.5, 6.0), (8.0, -1.0)])
def test_an_impossible_gain_or_focus_is_refused(gain: float, focus: float) -> None:
    with pytest.raises(ValueError, match="gain must be"):
        controls_for(mains_hz=50, half_periods=1, gain=gain, focus=focus, fps=25)


def test_the_controls_are_kept_in_the_cameras_spec() -> None:
    assert CameraSpec(driver="picamera2", controls=at_the_door()).controls == at_the_door()


BRIGHT = fixed_exposure(mains_hz=60, half_periods=1, gain=1, fps=15)
DIM = fixed_exposure(mains_hz=60, half_periods=3, gain=8, fps=15)


def test_an_exposure_with_a_gain_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="gain must be"):
        fixed_exposure(mains_hz=60, half_periods=1, gain=0.5, fps=15)


@given(number=st.sampled_from([0, 1]), longer=st.floats(0.7, 1.4), stronger=st.floats(0.7, 1.4))
def test_a_frame_is_known_by_its_exposure_however_the_sensor_rounds_it(
    number: int, longer: float, stronger: float
) -> None:
    asked = (BRIGHT, DIM)[number]
    assert nearest((BRIGHT, DIM), asked.time_us * longer, asked.gain * stronger) == number
    assert nearest((BRIGHT, DIM), asked.time_us * longer, None) == number


def test_two_exposures_of_the_same_brightness_are_told_apart() -> None:
    pair = (Exposure(25_000, 4.0), Exposure(10_000, 10.0))
    assert [nearest(pair, one.time_us, one.gain) for one in pair] == [0, 1]


@given(time_us=st.floats(-1, 1e9), gain=st.none() | st.floats(-1, 1e6))
def test_any_metadata_gives_one_of_the_exposures(time_us: float, gain: float | None) -> None:
    assert nearest((BRIGHT, DIM), time_us, gain) in (0, 1)
