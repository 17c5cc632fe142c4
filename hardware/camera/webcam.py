"""A USB webcam through Video4Linux2, the kernel's own interface (docs/adr/0026 says why no library).

It streams into memory-mapped buffers. Uncompressed grey or YUV is preferred; motion JPEG, which some cameras
insist on, is unpacked with Pillow.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import io
import mmap
import os
import select
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from gate.common.errors import HardwareError, Step
from hardware.camera import videodev2 as v
from hardware.camera.frame_source import Frame
from hardware.camera.spec import CameraSpec
from hardware.camera.webcam_exposure import WebcamExposure
from hardware.decoder.picture_file import Grey

BUFFERS = 3
"""Frames that the driver may fill ahead; more would only make them older."""

BUFFERED_S = 0.2
"""A frame older than this was kept from before it was asked for; the next one is used instead."""

FORMATS = ("GREY", "YUYV", "NV12", "YU12", "MJPG")
"""Supported pixel formats, the cheapest to turn into grey first."""

Ioctl = Callable[[int, int, Any], object]


class Webcam:
    """`ioctl` is `fcntl.ioctl`, or a stand-in for the kernel."""

    def __init__(self, spec: CameraSpec, ioctl: Ioctl = fcntl.ioctl) -> None:
        self._name, self._ioctl = spec.device, ioctl
        self._maps: list[mmap.mmap] = []
        self._sequence, self._taken_at = -1, 0.0  # of the last frame
        self._file = _opened(spec.device)
        self._exposure = WebcamExposure(spec.exposures, self._call, spec.device)
        try:
            self._check_is_camera()
            self._format = self._set_format(spec.size)
            self._set_rate(spec.fps)
            self._map_buffers()
            self._call(v.STREAMON, ctypes.c_int(v.CAPTURE))
            self._exposure.start()
        except OSError as error:
            self.close()
            raise self._broken(error) from error

    def grab(self, timeout_s: float) -> Frame | None:
        """The newest frame; None if none came within `timeout_s`, or a damaged one."""
        until = time.monotonic() + timeout_s
        try:
            buffer = self._next(until)
            if buffer is not None and time.monotonic() - self._when(buffer) > BUFFERED_S:
                # asked rarely, the driver filled its buffers long ago and dropped what came after
                self._call(v.QBUF, buffer)
                buffer = self._next(until)
            return None if buffer is None else self._frame(buffer)
        except BlockingIOError:  # no buffer was filled after all
            return None
        except OSError as error:
            raise self._broken(error) from error

    def exhausted(self) -> bool:
        """Never."""
        return False

    def close(self) -> None:
        """Stop streaming and give the device back, with the exposure that it has by itself."""
        self._exposure.stop()
        with contextlib.suppress(OSError):
            self._call(v.STREAMOFF, ctypes.c_int(v.CAPTURE))
        for mapped in self._maps:
            mapped.close()
        os.close(self._file)

    def _call(self, request: int, argument: Any) -> None:
        self._ioctl(self._file, request, argument)

    def _check_is_camera(self) -> None:
        about = v.Capability()
        self._call(v.QUERYCAP, about)
        can = about.device_caps if about.capabilities & v.CAP_DEVICE_CAPS else about.capabilities
        if not (can & v.CAP_VIDEO_CAPTURE and can & v.CAP_STREAMING):
            raise OSError(errno.ENOTTY, "it is not a camera")

    def _set_format(self, size: tuple[int, int]) -> v.PixFormat:
        for name in FORMATS:
            wanted = v.Format(type=v.CAPTURE)
            wanted.fmt.pix = v.PixFormat(width=size[0], height=size[1], pixelformat=v.fourcc(name))
            try:
                self._call(v.S_FMT, wanted)
            except OSError as error:
                if error.errno == errno.EBUSY:
                    raise
                continue  # EINVAL: this driver refuses what others would replace
            if v.fourcc_name(wanted.fmt.pix.pixelformat) in FORMATS:
                return v.PixFormat.from_buffer_copy(wanted.fmt.pix)
        raise OSError(errno.EINVAL, f"it offers none of {', '.join(FORMATS)}")

    def _set_rate(self, fps: int) -> None:
        wanted = v.StreamParm(type=v.CAPTURE)
        wanted.timeperframe.numerator, wanted.timeperframe.denominator = 1, max(1, fps)
        with contextlib.suppress(OSError):  # a camera with a fixed rate is good enough
            self._call(v.S_PARM, wanted)

    def _map_buffers(self) -> None:
        request = v.RequestBuffers(count=BUFFERS, type=v.CAPTURE, memory=v.MMAP)
        self._call(v.REQBUFS, request)
        for index in range(request.count):
            buffer = v.Buffer(index=index, type=v.CAPTURE, memory=v.MMAP)
            self._call(v.QUERYBUF, buffer)
            self._maps.append(mmap.mmap(self._file, buffer.length, offset=buffer.m.offset))
            self._call(v.QBUF, buffer)

    def _next(self, until: float) -> v.Buffer | None:
        """The newest filled buffer, None if there is none before `until` (monotonic seconds)."""
        poller = select.poll()
        poller.register(self._file, select.POLLIN)
        if not poller.poll(max(0.0, until - time.monotonic()) * 1000):
            return None
        return self._newest()

    def _frame(self, buffer: v.Buffer) -> Frame | None:
        self._sequence, self._taken_at = buffer.sequence, self._when(buffer)
        grey = self._grey(buffer)
        self._call(v.QBUF, buffer)
        exposure = self._exposure.next()
        return None if grey is None else Frame(grey, self._name, taken_at=self._taken_at, exposure=exposure)

    def _when(self, buffer: v.Buffer) -> float:
        """When a frame was taken, in monotonic seconds.

        If the driver stamps by another clock or none, that is now, unless the frame has the same number as
        the last one. A driver that does not number its frames leaves 0.
        """
        clock = buffer.flags & v.BUF_FLAG_TIMESTAMP_MASK
        if clock == v.BUF_FLAG_TIMESTAMP_MONOTONIC:
            return float(buffer.timestamp.sec + buffer.timestamp.usec / 1e6)
        is_same = buffer.sequence == self._sequence != 0
        return self._taken_at if is_same else time.monotonic()

    def _newest(self) -> v.Buffer:
        """Take all filled buffers and give back all but the last; the device does not block."""
        newest = self._dequeue()
        with contextlib.suppress(BlockingIOError):
            while True:
                newer = self._dequeue()
                self._call(v.QBUF, newest)
                newest = newer
        return newest

    def _dequeue(self) -> v.Buffer:
        buffer = v.Buffer(type=v.CAPTURE, memory=v.MMAP)
        self._call(v.DQBUF, buffer)
        return buffer

    def _grey(self, buffer: v.Buffer) -> Grey | None:
        if buffer.flags & v.BUF_FLAG_ERROR:
            return None
        return to_grey(self._maps[buffer.index][: buffer.bytesused], self._format)

    def _broken(self, error: OSError) -> HardwareError:
        if error.errno == errno.EBUSY:
            what = f"The camera {self._name} is being used by another program."
            return HardwareError("camera", what, "Stop that program.", Step.CAMERA_BUSY)
        what = f"The camera {self._name} does not work ({error.strerror or error})."
        return HardwareError("camera", what, "Unplug it and plug it in again.", Step.CAMERA_CABLE)


def to_grey(data: bytes, pix: v.PixFormat) -> Grey | None:
    """The brightness of one frame of the driver; None if the frame is incomplete.

    Rows may be padded: `pix.bytesperline` is the distance between two of them in bytes.
    """
    name = v.fourcc_name(pix.pixelformat)
    if name == "MJPG":
        return _unpacked(data)
    bytes_per_pixel = 2 if name == "YUYV" else 1
    stride = pix.bytesperline or pix.width * bytes_per_pixel
    if len(data) < stride * pix.height:
        return None
    rows = np.frombuffer(data, dtype=np.uint8, count=stride * pix.height).reshape(pix.height, stride)
    return np.ascontiguousarray(rows[:, : pix.width * bytes_per_pixel : bytes_per_pixel])


def _unpacked(data: bytes) -> Grey | None:
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            image.draft("L", image.size)
            return np.array(image.convert("L"))
    except (OSError, SyntaxError, ValueError):
        return None


def _opened(device: str) -> int:
    try:
        return os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        what, advice = f"There is no camera at {device}.", "Plug it in; `ls /dev/video*` shows what is there."
        raise HardwareError("camera", what, advice, Step.CAMERA_CABLE) from error
    except PermissionError as error:
        what, advice = f"This account may not use the camera {device}.", "Add it to the group `video`."
        raise HardwareError("camera", what, advice, Step.RIGHTS) from error
    except OSError as error:
        what = f"The camera {device} cannot be opened ({error.strerror})."
        advice = "Unplug it and plug it in again."
        raise HardwareError("camera", what, advice, Step.CAMERA_CABLE) from error
