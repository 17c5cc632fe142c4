"""Two exposures in turn on a webcam, which does not say what it did."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.common.errors import HardwareError
from hardware.camera import videodev2 as v
from hardware.camera.exposure import fixed_exposure
from hardware.camera.spec import CameraSpec, Exposure
from hardware.camera.webcam import Webcam
from hardware.camera.webcam_exposure import KEPT, LATE, WebcamExposure
from tests.unit.hardware.kernel import SIZE, UVC, Kernel, Range

BRIGHT = fixed_exposure(mains_hz=60, half_periods=1, gain=1, fps=15)
DIM = fixed_exposure(mains_hz=60, half_periods=3, gain=8, fps=15)
ASKED = ((83, 0), (250, 119))
"""Time in 100 µs and gain, of BRIGHT and DIM on a C920."""


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    kernel = Kernel(tmp_path / "video0")
    kernel.controls = dict(UVC)
    return kernel


def _webcam(kernel: Kernel, exposures: tuple[Exposure, ...] = (BRIGHT, DIM)) -> Webcam:
    spec = CameraSpec(driver="v4l2", device=str(kernel.device), size=SIZE, exposures=exposures)
    return Webcam(spec, kernel)


def _grabs(kernel: Kernel, camera: Webcam, frames: int, late: int = LATE) -> Iterator[tuple[int, int]]:
    """Of each frame: the exposure it is said to have, and the one it has if the camera follows so late."""
    history = deque([_set(kernel)] * (late + 1), maxlen=late + 1)
    for _ in range(frames):
        kernel.show(b"\0" * 160 * 48)
        frame = camera.grab(1.0)
        assert frame is not None
        yield frame.exposure, ASKED.index(history[0])
        history.append(_set(kernel))


def _set(kernel: Kernel) -> tuple[int, int]:
    return kernel.settings[v.CID_EXPOSURE_ABSOLUTE], kernel.settings[v.CID_GAIN]


def test_exposures_take_turns_and_a_frame_has_that_asked_for_two_frames_before(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    assert kernel.settings[v.CID_EXPOSURE_AUTO] == v.EXPOSURE_MANUAL
    frames = list(_grabs(kernel, camera, 40))
    assert all(said == did for said, did in frames)
    assert [did for _, did in frames[LATE : LATE + 4 * KEPT]] == ([0] * KEPT + [1] * KEPT) * 2
    camera.close()


@pytest.mark.parametrize("late", range(4))
def test_however_late_it_follows_eight_frames_have_four_of_each_exposure(kernel: Kernel, late: int) -> None:
    camera = _webcam(kernel)
    did = [did for _, did in _grabs(kernel, camera, 60, late)][late:]
    assert {sum(did[at : at + 2 * KEPT]) for at in range(len(did) - 2 * KEPT)} == {KEPT}
    camera.close()


def test_a_closed_webcam_decides_by_itself_again(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    camera.close()
    assert kernel.settings[v.CID_EXPOSURE_AUTO] == UVC[v.CID_EXPOSURE_AUTO].default


def test_with_one_exposure_a_webcam_is_left_as_it_is(kernel: Kernel) -> None:
    camera = _webcam(kernel, ())
    kernel.show(b"\0" * 160 * 48)
    assert camera.grab(1.0) is not None
    camera.close()
    assert kernel.settings == {}


@pytest.mark.parametrize("missing", [v.CID_EXPOSURE_AUTO, v.CID_EXPOSURE_ABSOLUTE])
@pytest.mark.parametrize("how", ["absent", v.CTRL_FLAG_DISABLED, v.CTRL_FLAG_READ_ONLY])
def test_a_webcam_without_the_controls_decides_by_itself_and_says_so_once(
    kernel: Kernel, missing: int, how: str | int, caplog: pytest.LogCaptureFixture
) -> None:
    if isinstance(how, str):
        del kernel.controls[missing]
    else:
        kernel.controls[missing] = kernel.controls[missing]._replace(flags=how)
    assert _labels_of_twenty(kernel) == {0}
    assert kernel.settings == {}
    assert _said(caplog) == "decides on its exposure by itself: it has no control for it"


def test_without_a_gain_the_time_alone_takes_turns(kernel: Kernel) -> None:
    del kernel.controls[v.CID_GAIN]
    assert _labels_of_twenty(kernel) == {0, 1}
    assert v.CID_GAIN not in kernel.settings


@pytest.mark.parametrize("control", list(UVC))
def test_a_webcam_that_refuses_decides_by_itself_and_says_so_once(
    kernel: Kernel, control: int, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.refuses = {control: errno.EIO}
    assert _labels_of_twenty(kernel) == {0}
    assert _said(caplog) == "decides on its exposure by itself: it refuses: Input/output error"
    assert kernel.settings.get(v.CID_EXPOSURE_AUTO) != v.EXPOSURE_MANUAL


def test_a_webcam_that_refuses_later_decides_by_itself_from_then_on(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    camera = _webcam(kernel)
    assert {said for said, _ in _grabs(kernel, camera, KEPT - 1)} == {0}
    kernel.refuses = {v.CID_GAIN: errno.EPIPE}
    assert {said for said, _ in _grabs(kernel, camera, 1)} == {0}
    assert kernel.settings[v.CID_EXPOSURE_AUTO] == UVC[v.CID_EXPOSURE_AUTO].default
    assert _said(caplog) == "decides on its exposure by itself: it refuses: Broken pipe"
    camera.close()


def test_a_webcam_whose_range_is_too_small_decides_by_itself(
    kernel: Kernel, caplog: pytest.LogCaptureFixture
) -> None:
    kernel.controls[v.CID_EXPOSURE_ABSOLUTE] = Range(500, 5000)
    del kernel.controls[v.CID_GAIN]
    assert _labels_of_twenty(kernel) == {0}
    assert "so small that both would be the same" in _said(caplog)


def test_a_webcam_unplugged_while_it_is_asked_is_reported(kernel: Kernel) -> None:
    kernel.refuses = {v.CID_EXPOSURE_AUTO: errno.ENODEV}
    with pytest.raises(HardwareError, match="No such device"):
        _webcam(kernel)


@given(
    lowest=st.integers(-500, 500),
    more=st.integers(1, 10_000),
    step=st.integers(0, 300),
    time_us=st.integers(1, 1_000_000),
    gain=st.floats(1, 64),
)
def test_whatever_a_webcam_allows_it_is_asked_for_nothing_else(
    lowest: int, more: int, step: int, time_us: int, gain: float
) -> None:
    asked: dict[int, int] = {}

    def answer(request: int, argument: object) -> None:
        if isinstance(argument, v.ControlRange):
            argument.minimum, argument.maximum, argument.step = lowest, lowest + more, step
        elif isinstance(argument, v.Control):
            asked[argument.id] = argument.value

    WebcamExposure((Exposure(time_us, gain), Exposure(1, 1.0)), answer, "a webcam").start()
    for control in asked.keys() - {v.CID_EXPOSURE_AUTO}:
        assert lowest <= asked[control] <= lowest + more
        assert (asked[control] - lowest) % max(1, step) == 0


def _labels_of_twenty(kernel: Kernel) -> set[int]:
    camera = _webcam(kernel)
    labels = set()
    for _ in range(20):
        kernel.show(b"\0" * 160 * 48)
        frame = camera.grab(1.0)
        assert frame is not None
        labels.add(frame.exposure)
    camera.close()
    return labels


def _said(caplog: pytest.LogCaptureFixture) -> str:
    (record,) = caplog.records
    return record.getMessage().split(" ", 2)[2]
