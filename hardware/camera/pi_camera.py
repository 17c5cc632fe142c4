"""The Raspberry Pi's camera through picamera2.

One `lores` YUV stream beside a larger main stream of the same shape, from the sensor mode that sees the
lens's whole view, so that the camera does the scaling (quality 7.3). Only the Y plane, the first `height`
rows, is used. The camera is configured once, because reconfiguring it in a loop wedges libcamera; exposures
that take turns go along with picamera2's requests (`hardware.camera.alternation`). Every wait has a limit,
and a silent camera is replaced together with its process.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import numpy as np

from gate.common.errors import HardwareError, Step
from hardware.camera.alternation import Alternation
from hardware.camera.frame_source import Frame
from hardware.camera.spec import CameraSpec

_MAIN_WIDTH = 1280
"""Approximate width of the main stream in pixels; its picture is only there to be scaled down."""

_EXPOSURE = ("ExposureTime", "AnalogueGain")

_DRIVER_ERRORS = (RuntimeError, OSError, ValueError, AttributeError, IndexError, TypeError)
"""What picamera2 raises when the camera or libcamera refuses. It has no error of its own, and where libcamera
returns nothing it carries on and fails later (seen: ValueError, AttributeError)."""

_MOST_PASSED_OVER = 4
"""Frames. One is enough at up to 30 a second; at 107, the most, four can have one exposure."""

_ONE_EXPOSURE = "camera keeps one exposure for all frames: %s"

_log = logging.getLogger(__name__)
"""As picamera2's own messages: to the stderr of the camera's process, and so into the journal."""


class PiCamera:
    """The first camera of the Pi. `driver`: the class `picamera2.Picamera2`, or one that behaves like it."""

    def __init__(self, spec: CameraSpec, driver: Any = None) -> None:
        driver = _picamera2() if driver is None else driver
        if not driver.global_camera_info():
            raise HardwareError(
                "camera",
                "No camera is connected to this Raspberry Pi.",
                "Check the ribbon cable, then restart.",
            )
        self._camera = _started(driver, spec)
        # the camera may have adjusted the size to what its hardware can scale to
        self._size: tuple[int, int] = self._camera.camera_configuration()["lores"]["size"]
        self._patience_s = 2 / max(1, spec.fps)
        self._adjustable = frozenset(self._camera.camera_controls)
        can_take_turns = "ExposureTime" in self._adjustable
        self._turns = Alternation(spec.exposures if can_take_turns else ())
        self._takes_turns = not self._turns.ended
        self._fixed = {name: spec.controls[name] for name in _EXPOSURE if name in spec.controls}
        if self._takes_turns:
            self._camera.pre_callback = self._completed
        elif spec.exposures and not can_take_turns:
            _log.warning(_ONE_EXPOSURE, "it has no control ExposureTime")

    def grab(self, timeout_s: float) -> Frame | None:
        """The next frame; None if the camera gave none within `timeout_s`.

        Where exposures take turns, the exposure whose turn it is may take a few frame periods longer.
        """
        taken = self._capture(timeout_s)
        for _ in range(_MOST_PASSED_OVER):
            if taken is None or not self._turns.passes_over(taken[1]):
                break
            taken = self._capture(self._patience_s) or taken
        return None if taken is None else self._frame(*taken)

    def _completed(self, request: Any) -> None:
        """Called by picamera2, in its own thread, for every frame that the camera has completed."""
        # what was raised here would end that thread, and no frame would come any more
        with contextlib.suppress(*_DRIVER_ERRORS):
            if not self._takes_turns:
                return
            self._turns.saw(request.get_metadata())
            if self._turns.ended:
                self._takes_turns = False
                self._ask(self._fixed)
                _log.warning(_ONE_EXPOSURE, self._turns.ended)
            # the second of two frames completed at once would overwrite what the first has asked for
            elif "ExposureTime" not in self._camera.controls.make_dict():
                wish = self._turns.wish()
                self._ask({"ExposureTime": wish.time_us, "AnalogueGain": wish.gain})

    def _ask(self, controls: dict[str, Any]) -> None:
        self._camera.set_controls({name: controls[name] for name in controls.keys() & self._adjustable})

    def _capture(self, timeout_s: float) -> tuple[Any, dict[str, Any]] | None:
        """The next frame's planes and metadata, whatever its exposure."""
        try:
            # a wait of 0 means: do not wait, and return the job instead of the frame
            (planes,), about = self._camera.capture_arrays(["lores"], wait=max(timeout_s, 0.001))
        except TimeoutError:
            # otherwise the next frame goes to this job, for which nobody waits any more
            self._camera.cancel_all_and_flush()
            return None
        except _DRIVER_ERRORS as error:
            what = f"The camera stopped working ({error})."
            raise HardwareError("camera", what, "Check the ribbon cable.") from error
        return planes, about

    def _frame(self, planes: Any, about: dict[str, Any]) -> Frame:
        width, height = self._size
        # rows are padded to the stride of the hardware, and the colour planes follow below
        grey = np.ascontiguousarray(planes[:height, :width])
        return Frame(grey, "picamera2", taken_at=_taken_at(about), exposure=self._turns.give(about))

    def exhausted(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Stop the camera and give it back."""
        # without stop() before it: that queues behind a frame which may never come
        with contextlib.suppress(*_DRIVER_ERRORS):
            self._camera.close()


def _taken_at(about: dict[str, Any]) -> float | None:
    """Monotonic seconds of a frame's metadata.

    libcamera documents CLOCK_BOOTTIME, but its drivers stamp CLOCK_MONOTONIC, and picamera2 compares with
    that. The two differ by the time that the machine was suspended, and a Pi cannot be suspended.
    """
    stamp_ns = about.get("SensorTimestamp")
    return None if stamp_ns is None else stamp_ns / 1e9


def _picamera2() -> Any:
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise HardwareError(
            "camera",
            f"picamera2 is not installed for this Python ({error}).",
            "Run: apt install python3-picamera2, and use a venv with --system-site-packages.",
        ) from error
    return Picamera2


def _started(driver: Any, spec: CameraSpec) -> Any:
    try:
        camera = driver(0)
    except _DRIVER_ERRORS as error:
        # seen: 'Camera __init__ sequence did not complete.', whatever the cause
        what = f"The camera cannot be opened ({error.__cause__ or error}); another program may be using it."
        advice = "Stop that program or restart the Pi."
        raise HardwareError("camera", what, advice, Step.CAMERA_BUSY) from error
    try:
        camera.configure(_configuration(camera, spec))
        camera.start()
    except _DRIVER_ERRORS as error:
        with contextlib.suppress(*_DRIVER_ERRORS):
            camera.close()
        what = f"The camera refuses frames of {spec.size[0]}×{spec.size[1]} ({error})."
        raise HardwareError("camera", what, "Set camera.size to 640×480.") from error
    return camera


def _configuration(camera: Any, spec: CameraSpec) -> Any:
    period_us = 1_000_000 // max(1, spec.fps)
    width, height = spec.size
    larger = max(1, _MAIN_WIDTH // width)
    return camera.create_video_configuration(
        # in the shape of lores, which shows the same view: in another shape it would be squeezed
        main={"size": (width * larger, height * larger), "format": "YUV420"},
        lores={"size": spec.size, "format": "YUV420"},
        raw=None,
        sensor={"output_size": _whole_view(camera.sensor_resolution)},
        controls=_known(camera, {"FrameDurationLimits": (period_us, period_us), **spec.controls}),
        buffer_count=4,
        queue=False,  # give a frame taken after it was asked for, not one kept from before
        display=None,
        encode=None,
    )


def _whole_view(resolution: tuple[int, int]) -> tuple[int, int]:
    """The sensor mode to ask for, to which picamera2 takes the nearest: half the pixels each way.

    On Raspberry Pi's modules, that is the mode which sees everything and joins 2×2 pixels: more light, and
    fast enough (ov5647 1296×972, imx219 1640×1232, imx477 2028×1520, imx708 2304×1296; the imx296 has only
    one mode). By itself, picamera2 picks the mode nearest to the main stream, which on some modules sees only
    the middle of the view.
    """
    return resolution[0] // 2, resolution[1] // 2


def _known(camera: Any, controls: dict[str, Any]) -> dict[str, Any]:
    """Leave out what this camera does not have: picamera2 would refuse all of them."""
    unknown = sorted(controls.keys() - camera.camera_controls.keys())
    if unknown:
        _log.warning("camera runs without controls that it does not have: %s", ", ".join(unknown))
    return {name: value for name, value in controls.items() if name in camera.camera_controls}
