"""The Pi camera adapter and the eye on the real picamera2, whose camera shows the pictures set here.

`make pibox-camera` runs this in a tree with libcamera's virtual camera; `make test` does not see it.
The virtual camera gives NV12 in exactly the sizes listed below, has next to no controls, and no
device file: libcamera's lock against a second process, which lies on that file, is not shown here.
"""

# ruff: noqa: D103 – a test's name says it

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import segno
from PIL import Image

from gate.common.errors import HardwareError
from hardware.camera.alternation import ROW
from hardware.camera.exposure import AF_CONTINUOUS, AF_MANUAL, controls_for
from hardware.camera.frame_source import fit
from hardware.camera.pi_camera import PiCamera
from hardware.camera.spec import CameraSpec, Exposure
from hardware.decoder.decode import read_codes
from hardware.decoder.effort import Effort
from hardware.decoder.picture_file import Grey
from hardware.eye.eye import ChildEye

SHOWN = Path("/run/frames")
SIZES = [(640, 480), (1280, 720)]
LARGEST = (1280, 960)
CODE = "MGY-PF-20250115-7K3M9QX2VD5RTA0HQ"
OTHER = "MGY-PF-20250115-ABC123XYZ"
TURNS = (Exposure(8333, 1.0), Exposure(25_000, 8.0))
BUFFERS = 4
"""Of the adapter's configuration: requests that are on their way."""


def show(text: str, size: tuple[int, int]) -> Grey:
    """Let every camera opened from now on show a code, in the middle of its view; what is shown."""
    symbol = io.BytesIO()
    segno.make(text, error="m", boost_error=False).save(symbol, kind="png", scale=6, border=4)
    picture = Image.fromarray(fit(np.asarray(Image.open(symbol).convert("L")), size))
    SHOWN.mkdir(exist_ok=True)
    picture.save(SHOWN / "0.jpg", quality=95)
    sizes = "".join(f"  - {{width: {w}, height: {h}, frame_rates: [5, 60]}}\n" for w, h in [*SIZES, LARGEST])
    Path("/run/virtual.yaml").write_text(
        f'"Virtual0":\n  supported_formats:\n{sizes}  frames: {{path: "{SHOWN}/"}}\n  model: "Virtual"\n'
    )
    return np.asarray(Image.open(SHOWN / "0.jpg").convert("L"))


def spec(size: tuple[int, int] = (640, 480)) -> CameraSpec:
    return CameraSpec(driver="picamera2", size=size)


def grabbed(camera: PiCamera) -> Grey:
    frame = camera.grab(10.0)
    assert frame is not None
    return frame.grey


@pytest.fixture
def camera() -> Iterator[PiCamera]:
    show(CODE, (640, 480))
    camera = PiCamera(spec())
    yield camera
    camera.close()


@pytest.mark.parametrize("size", SIZES)
def test_a_code_is_read_from_the_grey_picture_alone(size: tuple[int, int]) -> None:
    shown = show(CODE, size)
    camera = PiCamera(spec(size))
    grey = grabbed(camera)
    camera.close()
    assert grey.shape == shown.shape
    assert np.abs(grey.astype(int) - shown).mean() < 1, "nothing is shifted, padded or coloured"
    assert [found.raw for found in read_codes(grey, Effort.FRAME).found] == [CODE.encode()]


def test_odd_sizes_are_rounded_down_to_even_ones() -> None:
    show(CODE, (640, 480))
    camera = PiCamera(spec((641, 481)))
    assert grabbed(camera).shape == (480, 640)
    camera.close()


def test_frames_say_when_they_were_taken_on_the_clock_of_this_machine() -> None:
    show(CODE, (640, 480))
    before = time.monotonic()
    camera = PiCamera(spec())
    frames = [camera.grab(10.0) for _ in range(10)]
    camera.close()
    taken = [frame.taken_at for frame in frames if frame is not None and frame.taken_at is not None]
    assert len(taken) == 10
    assert taken == sorted(set(taken)), "later each time, none shown twice"
    assert before < taken[0]
    assert taken[-1] < time.monotonic()


def test_our_controls_are_libcameras_and_those_the_camera_lacks_are_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    import libcamera

    fixed = controls_for(mains_hz=60, half_periods=1, gain=8, focus=6, fps=25)
    assert all(hasattr(libcamera.controls, name) for name in fixed)
    assert int(libcamera.controls.AfModeEnum.Manual) == AF_MANUAL
    assert int(libcamera.controls.AfModeEnum.Continuous) == AF_CONTINUOUS
    show(CODE, (640, 480))
    camera = PiCamera(CameraSpec(driver="picamera2", controls=fixed))
    assert grabbed(camera).shape == (480, 640)
    camera.close()
    said = [record.getMessage() for record in caplog.records if record.name == "hardware.camera.pi_camera"]
    assert said == [f"camera runs without controls that it does not have: {', '.join(sorted(fixed))}"]


def test_a_camera_without_exposure_keeps_one_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    show(CODE, (640, 480))
    camera = PiCamera(CameraSpec(driver="picamera2", exposures=TURNS))
    frames = [camera.grab(10.0) for _ in range(10)]
    camera.close()
    assert {frame and frame.exposure for frame in frames} == {0}
    said = [record.getMessage() for record in caplog.records if record.name == "hardware.camera.pi_camera"]
    assert said == ["camera keeps one exposure for all frames: it has no control ExposureTime"]


@pytest.mark.parametrize("late", range(4))
@pytest.mark.parametrize("every", [1, 2, 3])
def test_exposures_alternate_through_the_real_requests(
    late: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """picamera2's thread, buffers, requests and controls are real; what the sensor does is not.

    Of every four frames this camera loses two (seen; tools/pibox-camera says why), and no rhythm is worse.
    """
    show(CODE, (640, 480))
    exposing = Exposing(late)
    exposing.install(monkeypatch)
    fixed = {"ExposureTime": TURNS[0].time_us, "AnalogueGain": TURNS[0].gain}
    camera = PiCamera(
        CameraSpec(driver="picamera2", fps=20, controls=fixed, exposures=TURNS), exposing.driver
    )
    frames = []
    for _ in range(60):
        seen = camera._camera.frames
        frame = camera.grab(10.0)
        assert frame is not None
        frames.append(frame)
        while camera._camera.frames < seen + every:
            time.sleep(0.001)
    camera.close()
    rows = [len(list(row)) for _, row in itertools.groupby(frame.exposure for frame in frames)]
    assert max(rows) < 2 * ROW, "a row of that length is noticed, and ended within the delay"
    assert len(rows) > 5
    assert not camera._turns.ended


class Exposing:
    """A sensor that exposes as the requests of real picamera2 say, `late` frames after its request's turn.

    The virtual camera has neither exposure nor gain. So picamera2 is told that it has both, and that a
    frame's metadata say what was asked for along with the request of that number. libcamera numbers
    requests in the order in which they are queued.
    """

    def __init__(self, late: int) -> None:
        self.late = late
        self.asked: list[int | None] = []  # the exposure that went along: when started, with each request

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put it below picamera2; `driver` is then a camera that has it."""
        import libcamera
        from picamera2 import Picamera2
        from picamera2.controls import Controls
        from picamera2.request import CompletedRequest

        sent, told = Controls.get_libcamera_controls, CompletedRequest.get_metadata
        has = {
            name: (getattr(libcamera.controls, name), SimpleNamespace(min=1, max=100_000, default=1))
            for name in ("ExposureTime", "AnalogueGain")
        }

        class Driver(Picamera2):
            @property
            def camera_ctrl_info(self) -> Any:
                return self._has

            @camera_ctrl_info.setter
            def camera_ctrl_info(self, found: Any) -> None:
                self._has = found | has

        def get_libcamera_controls(controls: Any) -> Any:
            wish = sent(controls)
            self.asked.append(wish.get(libcamera.controls.ExposureTime))
            return wish

        def get_metadata(request: Any) -> Any:
            return told(request) | self.of(request.request.sequence)

        self.driver = Driver
        # picamera2 0.3.38 sets two controls that libcamera has from 0.5 on; others of their type do as well
        modes = {"ExposureTimeMode": "AeMeteringMode", "AnalogueGainMode": "AeConstraintMode"}
        for newer, older in modes.items():
            monkeypatch.setattr(libcamera.controls, newer, getattr(libcamera.controls, older), raising=False)
        monkeypatch.setattr(Controls, "get_libcamera_controls", get_libcamera_controls)
        monkeypatch.setattr(CompletedRequest, "get_metadata", get_metadata)

    def of(self, number: int) -> dict[str, float]:
        """What the metadata of the frame in the request of this number say."""
        known = self.asked[: max(0, number - BUFFERS - self.late + 1) + 1]
        time_us = [asked for asked in known if asked is not None][-1]
        (taken_with,) = (one for one in TURNS if one.time_us == time_us)
        return {"ExposureTime": time_us, "AnalogueGain": taken_with.gain}


def test_a_closed_camera_can_be_opened_again_and_leaves_nothing_open() -> None:
    show(CODE, (640, 480))
    left = set()
    for _ in range(4):
        camera = PiCamera(spec())
        assert grabbed(camera).shape == (480, 640)
        camera.close()
        camera.close()
        gc.collect()  # picamera2 leaves its pollers to it
        left.add(len(list(Path("/proc/self/fd").iterdir())))
    assert len(left) == 1


def test_a_second_opening_is_refused_in_words(camera: PiCamera) -> None:
    with pytest.raises(HardwareError, match=r"cannot be opened .*another program may be using it") as refused:
        PiCamera(spec())
    assert "busy" in str(refused.value)
    assert grabbed(camera).shape == (480, 640), "the first one goes on"


def test_a_silent_camera_gives_none_then_goes_on_and_can_be_closed_while_silent(camera: PiCamera) -> None:
    held = silenced(camera)
    assert [camera.grab(0.1), camera.grab(0.1)] == [None, None]
    assert camera._camera._job_list == [], "no request for a frame waits in line before the next"
    for request in held:
        request.release()
    assert grabbed(camera).shape == (480, 640)
    silenced(camera)
    assert camera.grab(0.1) is None
    camera.close()


def silenced(camera: PiCamera) -> list[Any]:
    """Take the buffers away from the camera until it has none to put a frame into."""
    real, held = camera._camera, []
    with contextlib.suppress(TimeoutError):
        while True:
            held.append(real.capture_request(wait=1.0))
    real.cancel_all_and_flush()
    return held


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("size", SIZES)
def test_a_killed_or_frozen_camera_process_is_replaced(size: tuple[int, int], blow: signal.Signals) -> None:
    show(CODE, size)
    eye = ChildEye(spec(size), camera_deadline_s=2.0)
    try:
        assert next_code(eye) == CODE.encode()
        show(OTHER, size)  # seen only by a camera opened after this
        os.kill(eye._camera.pid, blow)
        while next_code(eye) != OTHER.encode():
            pass
        assert eye.restarts().camera == 1
        assert eye.restarts().decoder == 0
        assert eye.trouble() is None
    finally:
        eye.close()


def test_a_size_the_camera_does_not_have_is_said_in_words() -> None:
    show(CODE, (640, 480))
    eye = ChildEye(spec((800, 600)))
    try:
        while (trouble := eye.trouble()) is None:
            eye.look(0.1)
        assert "1280×960, larger than was asked for" in str(trouble)
    finally:
        eye.close()


def next_code(eye: ChildEye) -> bytes:
    while True:
        look = eye.look(1.0)
        if look is not None and look.sightings:
            return look.sightings[0].raw
