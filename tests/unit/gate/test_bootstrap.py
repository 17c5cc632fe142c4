"""The eye's camera, as made from the configuration."""

from __future__ import annotations

import pytest

from gate.bootstrap import camera_spec
from gate.common.errors import ConfigError
from gate.config import CameraSection


def test_the_pi_camera_gets_its_fixed_exposure_gain_and_focus() -> None:
    spec = camera_spec(CameraSection(mains_hz=50, exposure=2, gain=6.0, focus=4.0, fps=15))
    assert spec.controls["ExposureTime"] == 20_000
    assert (spec.controls["AnalogueGain"], spec.controls["LensPosition"]) == (6.0, 4.0)
    assert spec.controls["AeEnable"] is False


def test_a_webcam_gets_no_controls_of_a_pi_camera() -> None:
    assert camera_spec(CameraSection(driver="v4l2")).controls == {}


def test_the_eye_idles_at_the_configured_rate() -> None:
    assert camera_spec(CameraSection(idle_fps=3)).idle_fps == 3


def test_a_rate_too_high_for_the_mains_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"camera: At 120 frames a second .* set fps to"):
        camera_spec(CameraSection(mains_hz=50, fps=120))
