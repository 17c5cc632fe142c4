"""The Raspberry Pi's camera through picamera2.

One `lores` YUV stream next to a larger main one of the same shape, out of the sensor mode
that sees the lens's whole view, so that the camera does the scaling (quality 7.3). Of its
planes only Y, the first `height` rows, is used. Configured once: reconfiguring in a loop is
what wedges libcamera. Every wait is bounded, and a camera that stays silent is replaced
with its whole process.
"""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import numpy as np

from gate.common.errors import HardwareError, Step
from hardware.camera.frame_source import Frame
from hardware.camera.spec import CameraSpec

_MAIN_WIDTH = 1280
"""Pixels in a row that the main stream has, about: its picture is only there to be scaled down."""

_LEAKS = (RuntimeError, OSError, ValueError, AttributeError, IndexError)
"""What picamera2 raises when the camera or libcamera refuses: it has no error of its own, and
where libcamera answers with nothing it goes on and trips (seen: ValueError, AttributeError)."""

_log = logging.getLogger(__name__)
"""As picamera2's own words, to the stderr of the camera's process and so into the journal."""


class PiCamera:
    """`driver` is the class `picamera2.Picamera2`, or one that behaves like it."""

    def __init__(self, spec: CameraSpec, driver: Any = None) -> None:
        self._name = f"picamera2:{spec.index}"
        driver = _picamera2() if driver is None else driver
        if len(driver.global_camera_info()) <= spec.index:
            raise HardwareError(
                "camera",
                f"No camera number {spec.index} is connected to this Raspberry Pi.",
                "Check the ribbon cable, then restart.",
            )
        self._camera = _started(driver, spec)
        # what was granted: the camera may have adjusted the size to what its hardware can scale to
        self._size: tuple[int, int] = self._camera.camera_configuration()["lores"]["size"]

    def grab(self, timeout_s: float) -> Frame | None:
        """The next frame; None if the camera gave none within `timeout_s`."""
        try:
            # a wait of 0 would mean: do not wait, and give the job instead of the frame
            (planes,), about = self._camera.capture_arrays(["lores"], wait=max(timeout_s, 0.001))
        except TimeoutError:
            # or the next frame would go to this job, which nobody waits for any more
            self._camera.cancel_all_and_flush()
            return None
        except _LEAKS as error:
            what = f"The camera stopped working ({error})."
            raise HardwareError("camera", what, "Check the ribbon cable.") from error
        width, height = self._size
        # rows are padded to the stride of the hardware, and the colour planes follow below
        grey = np.ascontiguousarray(planes[:height, :width])
        return Frame(grey, self._name, taken_at=_taken_at(about))

    def exhausted(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Stop the camera and give it back."""
        # not stop() before it: that waits in line behind a frame which may never come
        with contextlib.suppress(*_LEAKS):
            self._camera.close()


def _taken_at(about: dict[str, Any]) -> float | None:
    """Monotonic seconds of a frame's metadata.

    libcamera says CLOCK_BOOTTIME; its drivers stamp CLOCK_MONOTONIC, with which picamera2
    compares, too. The two differ by the time a machine was suspended, and a Pi cannot be.
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
        camera = driver(spec.index)
    except _LEAKS as error:
        # seen: 'Camera __init__ sequence did not complete.', whatever the cause is
        what = f"The camera cannot be opened ({error.__cause__ or error}); another program may be using it."
        advice = "Stop that program or restart the Pi."
        raise HardwareError("camera", what, advice, Step.CAMERA_BUSY) from error
    try:
        camera.configure(_configuration(camera, spec))
        camera.start()
    except _LEAKS as error:
        with contextlib.suppress(*_LEAKS):
            camera.close()
        what = f"The camera refuses frames of {spec.size[0]}×{spec.size[1]} ({error})."
        raise HardwareError("camera", what, "Set camera.size to 640×480.") from error
    return camera


def _configuration(camera: Any, spec: CameraSpec) -> Any:
    period_us = 1_000_000 // max(1, spec.fps)
    width, height = spec.size
    larger = max(1, _MAIN_WIDTH // width)
    return camera.create_video_configuration(
        # the shape of lores, which shows what main shows: in another it would be squeezed
        main={"size": (width * larger, height * larger), "format": "YUV420"},
        lores={"size": spec.size, "format": "YUV420"},
        raw=None,
        sensor={"output_size": _whole_view(camera.sensor_resolution)},
        controls=_known(camera, {"FrameDurationLimits": (period_us, period_us), **spec.controls}),
        buffer_count=4,
        queue=False,  # a frame taken after it was asked for, not one kept from before
        display=None,
        encode=None,
    )


def _whole_view(resolution: tuple[int, int]) -> tuple[int, int]:
    """The sensor mode to ask for, of which picamera2 takes the nearest: half the pixels each way.

    In Raspberry Pi's modules that is the mode which sees everything and joins 2×2 pixels: more
    light, and fast enough (ov5647 1296×972, imx219 1640×1232, imx477 2028×1520, imx708
    2304×1296; the imx296 has only one). Left alone, picamera2 picks the mode nearest to the
    main stream, which of some of them sees only the middle of the view.
    """
    return resolution[0] // 2, resolution[1] // 2


def _known(camera: Any, controls: dict[str, Any]) -> dict[str, Any]:
    """Without those that this camera does not have: picamera2 would refuse them all."""
    unknown = sorted(controls.keys() - camera.camera_controls.keys())
    if unknown:
        _log.warning("The camera has no %s; it runs without.", ", ".join(unknown))
    return {name: value for name, value in controls.items() if name in camera.camera_controls}
