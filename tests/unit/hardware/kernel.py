"""A stand-in for the kernel's side of a webcam, which follows its rules about buffers."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hardware.camera import videodev2 as v
from hardware.decoder.picture_file import Grey

WIDTH, HEIGHT, STRIDE = 64, 48, 160  # YUYV rows of 128 bytes, padded
LENGTH = 65536  # whole pages, whatever the page size
SIZE = (WIDTH, HEIGHT)


class Filled(NamedTuple):
    """A buffer with a frame in it."""

    number: int
    length: int
    flags: int
    taken_at: float
    sequence: int


class Range(NamedTuple):
    """What a control may be set to."""

    lowest: int
    highest: int
    step: int = 1
    default: int = 0
    flags: int = 0


UVC: dict[int, Range] = {
    v.CID_GAIN: Range(0, 255),
    v.CID_EXPOSURE_AUTO: Range(0, 3, default=3),
    v.CID_EXPOSURE_ABSOLUTE: Range(3, 2047, default=250),
}
"""Of a webcam as they are sold (Logitech C920): 3 is aperture priority, its automatic."""


class Kernel:
    """Answers a webcam's requests; `show` puts in frames. The device is an ordinary file,
    whose buffers can be mapped like a device's."""

    def __init__(self, device: Path, *, offers: str = "YUYV") -> None:
        self.device, self.offers = device, offers
        device.write_bytes(bytes(LENGTH * 3))
        self.queued: deque[int] = deque()
        self.filled: deque[Filled] = deque()
        self.streaming = False
        self.gone = self.busy = False
        self.after_requeue: Callable[[], None] | None = None  # called once, when a buffer comes back
        self.controls: dict[int, Range] = {}
        self.settings: dict[int, int] = {}
        self.refuses: dict[int, int] = {}  # controls that cannot be set, and the error

    def show(self, data: bytes, flags: int = 0, *, taken_at: float | None = None, sequence: int = 0) -> None:
        """Fill the next buffer. `taken_at` is its stamp in monotonic seconds; None means no stamp."""
        index = self.queued.popleft()
        with self.device.open("r+b") as file:
            file.seek(index * LENGTH)
            file.write(data)
        if taken_at is not None:
            flags |= v.BUF_FLAG_TIMESTAMP_MONOTONIC
        self.filled.append(Filled(index, len(data), flags, taken_at or 0.0, sequence))

    def __call__(self, fd: int, request: int, argument: Any) -> int:
        assert fd > 0
        if self.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        match request:
            case v.QUERYCAP:
                argument.capabilities = v.CAP_DEVICE_CAPS
                argument.device_caps = v.CAP_VIDEO_CAPTURE | v.CAP_STREAMING
            case v.S_FMT if self.busy:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            case v.S_FMT:
                pix = argument.fmt.pix
                pix.pixelformat, pix.bytesperline = v.fourcc(self.offers), STRIDE
            case v.S_PARM:  # a camera with a single rate
                raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
            case v.QUERYBUF:
                argument.length, argument.m.offset = LENGTH, argument.index * LENGTH
            case v.QBUF:
                self.queued.append(argument.index)
                after, self.after_requeue = self.after_requeue, None
                if after is not None:
                    after()
            case v.QUERYCTRL:
                self._describe(argument)
            case v.S_CTRL:
                self._set(argument.id, argument.value)
            case v.DQBUF:
                self._dequeue(argument)
            case v.STREAMON | v.STREAMOFF:
                self.streaming = request == v.STREAMON
        return 0

    def _describe(self, about: Any) -> None:
        if about.id not in self.controls:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        found = self.controls[about.id]
        about.minimum, about.maximum, about.step, about.default_value, about.flags = found

    def _set(self, control: int, value: int) -> None:
        if control in self.refuses:
            raise OSError(self.refuses[control], os.strerror(self.refuses[control]))
        known = self.controls[control]
        assert known.lowest <= value <= known.highest, "a driver would refuse it"
        assert (value - known.lowest) % known.step == 0
        if control != v.CID_EXPOSURE_AUTO:
            # uvcvideo refuses an exposure while the camera decides on it
            assert self.settings.get(v.CID_EXPOSURE_AUTO) == v.EXPOSURE_MANUAL
        self.settings[control] = value

    def _dequeue(self, buffer: Any) -> None:
        if not self.filled:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        filled = self.filled.popleft()
        buffer.index, buffer.bytesused, buffer.flags = filled.number, filled.length, filled.flags
        buffer.timestamp.sec = int(filled.taken_at)
        buffer.timestamp.usec = int(filled.taken_at % 1 * 1e6)
        buffer.sequence = filled.sequence


def yuyv(grey: Grey) -> bytes:
    """A frame as the driver gives it."""
    rows = np.full((HEIGHT, STRIDE), 128, dtype=np.uint8)
    rows[:, : 2 * WIDTH : 2] = grey
    return rows.tobytes()
