"""The Raspberry Pi's camera through picamera2.

One `lores` YUV stream next to a larger main one, so that the sensor's whole field of view
is scaled down by the camera (quality 7.3); of its planes only Y, the first `height` rows,
is used. Configured once: reconfiguring in a loop is what wedges libcamera. Every wait is
bounded, and a camera that stays silent is replaced with its whole process.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from gate.errors import HardwareError
from hardware.frames import Frame
from hardware.spec import CameraSpec

_MAIN = (1280, 960)
"""Size asked of the main stream: it picks the sensor mode; its picture is not used."""


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
            planes = self._camera.capture_array("lores", wait=timeout_s)
        except TimeoutError:
            return None
        except (RuntimeError, OSError) as error:
            what = f"The camera stopped working ({error})."
            raise HardwareError("camera", what, "Check the ribbon cable.") from error
        width, height = self._size
        # rows are padded to the stride of the hardware, and the colour planes follow below
        return Frame(np.ascontiguousarray(planes[:height, :width]), self._name)

    def exhausted(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Stop the camera and give it back."""
        with contextlib.suppress(RuntimeError, OSError):
            self._camera.stop()
        with contextlib.suppress(RuntimeError, OSError):
            self._camera.close()


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
    except (RuntimeError, IndexError, OSError) as error:
        # seen: 'Camera __init__ sequence did not complete.' when another process holds it
        what = f"The camera cannot be opened ({error}); another program may be using it."
        raise HardwareError("camera", what, "Stop that program or restart the Pi.") from error
    try:
        camera.configure(_configuration(camera, spec))
        camera.start()
    except (RuntimeError, OSError) as error:
        with contextlib.suppress(RuntimeError, OSError):
            camera.close()
        what = f"The camera refuses frames of {spec.size[0]}×{spec.size[1]} ({error})."
        raise HardwareError("camera", what, "Set camera.size to 640×480.") from error
    return camera


def _configuration(camera: Any, spec: CameraSpec) -> Any:
    period_us = 1_000_000 // max(1, spec.fps)
    main = (max(_MAIN[0], spec.size[0]), max(_MAIN[1], spec.size[1]))
    return camera.create_video_configuration(
        main={"size": main, "format": "YUV420"},
        lores={"size": spec.size, "format": "YUV420"},
        controls={"FrameDurationLimits": (period_us, period_us), **spec.controls},
        buffer_count=4,
        queue=False,  # a frame taken after it was asked for, not one kept from before
        display=None,
        encode=None,
    )
