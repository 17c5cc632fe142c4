"""The eye's camera, as made from the configuration; what the wiring imports."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.bootstrap import camera_spec
from gate.common.errors import ConfigError
from gate.config import CameraSection
from hardware.camera.exposure import Mains
from hardware.camera.spec import Exposure
from tests.paths import ROOT


def test_the_pi_camera_gets_its_fixed_exposure_gain_and_focus() -> None:
    spec = camera_spec(CameraSection(mains_hz=50, exposure=2, gain=6.0, focus=4.0, fps=15))
    assert spec.controls["ExposureTime"] == 20_000
    assert (spec.controls["AnalogueGain"], spec.controls["LensPosition"]) == (6.0, 4.0)
    assert spec.controls["AeEnable"] is False


def test_a_webcam_gets_no_controls_of_a_pi_camera() -> None:
    assert camera_spec(CameraSection(driver="v4l2")).controls == {}


@pytest.mark.parametrize("driver", ["picamera2", "v4l2"])
@pytest.mark.parametrize(("mains_hz", "times"), [(60, (8333, 25_000)), (50, (10_000, 30_000))])
def test_by_default_a_camera_takes_turns_between_bright_screens_and_paper(
    driver: Literal["picamera2", "v4l2"], mains_hz: Mains, times: tuple[int, int]
) -> None:
    spec = camera_spec(CameraSection(driver=driver, mains_hz=mains_hz))
    assert spec.exposures == (Exposure(times[0], 1.0), Exposure(times[1], 8.0))


@pytest.mark.parametrize("alternate", [True, False])
def test_a_pi_camera_that_takes_no_turns_has_a_gain_between_those_of_the_two(alternate: bool) -> None:
    spec = camera_spec(CameraSection(alternate=alternate))
    assert (spec.controls["ExposureTime"], spec.controls["AnalogueGain"]) == (8333, 4.0)
    assert len(spec.exposures) == 2 * alternate


def test_pictures_in_a_folder_have_no_exposures() -> None:
    assert camera_spec(CameraSection(driver="folder", path="/tmp/pictures")).exposures == ()


@given(
    mains_hz=st.sampled_from([50, 60]),
    fps=st.integers(1, 90),
    exposure=st.integers(1, 12),
    dim_exposure=st.integers(1, 12),
)
def test_both_exposures_fit_into_a_frame(mains_hz: Mains, fps: int, exposure: int, dim_exposure: int) -> None:
    section = CameraSection(mains_hz=mains_hz, fps=fps, exposure=exposure, dim_exposure=dim_exposure)
    assert all(one.time_us < 1_000_000 / fps for one in camera_spec(section).exposures)


def test_the_eye_idles_at_the_configured_rate() -> None:
    assert camera_spec(CameraSection(idle_fps=3)).idle_fps == 3


def test_a_rate_too_high_for_the_mains_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"camera: At 120 frames a second .* set fps to"):
        camera_spec(CameraSection(mains_hz=50, fps=120))


def test_the_wiring_is_imported_without_what_the_eyes_processes_do_not_wait_for() -> None:
    heavy = "numpy PIL pydantic rich sqlite_utils typer zxingcpp gate.door.loop gate.diagnostics.doctor"
    says = f"import sys, gate.cli.main, gate.bootstrap; print(sys.modules.keys() & {set(heavy.split())})"
    done = subprocess.run([sys.executable, "-c", says], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stderr
