"""A picture's sharpness falls with blur and hardly changes with light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from hardware.camera.frame_source import fit
from hardware.decoder.picture_file import Grey, load_picture
from hardware.decoder.sharpness import SHARPEST, sharpness
from tests.unit.hardware.scenes import code, shared

PHONES = sorted(shared("door/synth-640x480").glob("*.png"))
RADII = (0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)


def _blurred(grey: Grey, radius: float) -> Grey:
    return np.asarray(Image.fromarray(grey).filter(ImageFilter.GaussianBlur(radius)))


def _lit(grey: Grey, gain: float, offset: float) -> Grey:
    return (grey * gain + offset).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("path", PHONES, ids=lambda path: path.stem)
def test_the_more_a_picture_is_blurred_the_less_sharp_it_is(path: Path) -> None:
    grey = load_picture(path)
    measured = [sharpness(grey), *(sharpness(_blurred(grey, radius)) for radius in RADII)]
    assert measured == sorted(measured, reverse=True)
    assert len(set(measured)) == len(measured)


@settings(max_examples=50)
@given(st.integers(2, 12), st.sampled_from(RADII), st.text("ABCDEFGHJKMNPQRSTVWXYZ0123456789", min_size=1))
def test_a_blurred_code_is_less_sharp_than_itself(scale: int, radius: float, text: str) -> None:
    grey = fit(code(text, scale=scale), (640, 480))
    assert sharpness(_blurred(grey, radius)) < sharpness(grey)


@pytest.mark.parametrize("path", PHONES[::3], ids=lambda path: path.stem)
@pytest.mark.parametrize(("gain", "offset"), [(0.3, 0), (0.5, 60), (0.7, 20)])
def test_other_light_changes_sharpness_by_less_than_a_tenth(path: Path, gain: float, offset: float) -> None:
    grey = load_picture(path)
    assert abs(sharpness(_lit(grey, gain, offset)) - sharpness(grey)) < 0.1 * sharpness(grey)


def test_an_empty_wall_is_not_sharp_and_noise_is_less_sharp_than_a_code() -> None:
    assert sharpness(np.full((480, 640), 90, dtype=np.uint8)) == 0
    noise = np.random.default_rng(5).normal(40, 2, (480, 640)).clip(0, 255).astype(np.uint8)
    assert sharpness(noise) < sharpness(fit(code("A"), (640, 480)))


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (15, 640), (16, 16), (480, 1)])
def test_any_frame_can_be_measured(shape: tuple[int, int]) -> None:
    rough = np.random.default_rng(5).integers(0, 256, shape, dtype=np.uint8)
    assert 0 <= sharpness(rough) <= SHARPEST
