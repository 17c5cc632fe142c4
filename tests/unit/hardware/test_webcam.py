"""The webcam driver against a stand-in for the kernel that keeps its rules about buffers."""

from __future__ import annotations

import ctypes
import errno
import io
import os
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gate.errors import HardwareError, Step
from hardware import videodev as v
from hardware.pictures import Grey
from hardware.spec import CameraSpec
from hardware.v4l2 import Webcam, to_grey

WIDTH, HEIGHT, STRIDE = 64, 48, 160  # YUYV rows of 128 bytes, padded
LENGTH = 65536  # whole pages, whatever their size
SIZE = (WIDTH, HEIGHT)


class Kernel:
    """Answers a webcam's requests; frames are put in by `show`. The device is an ordinary file,
    which a buffer of it is mapped from like from a device."""

    def __init__(self, device: Path, *, offers: str = "YUYV") -> None:
        self.device, self.offers = device, offers
        device.write_bytes(bytes(LENGTH * 3))
        self.queued: deque[int] = deque()
        self.filled: deque[tuple[int, int, int]] = deque()
        self.streaming = False
        self.gone = False

    def show(self, data: bytes, flags: int = 0) -> None:
        index = self.queued.popleft()
        with self.device.open("r+b") as file:
            file.seek(index * LENGTH)
            file.write(data)
        self.filled.append((index, len(data), flags))

    def __call__(self, fd: int, request: int, argument: Any) -> int:
        assert fd > 0
        if self.gone:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        match request:
            case v.QUERYCAP:
                argument.capabilities = v.CAP_DEVICE_CAPS
                argument.device_caps = v.CAP_VIDEO_CAPTURE | v.CAP_STREAMING
            case v.S_FMT:
                pix = argument.fmt.pix
                pix.pixelformat, pix.bytesperline = v.fourcc(self.offers), STRIDE
            case v.S_PARM:  # a camera of one rate
                raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
            case v.QUERYBUF:
                argument.length, argument.m.offset = LENGTH, argument.index * LENGTH
            case v.QBUF:
                self.queued.append(argument.index)
            case v.DQBUF:
                self._dequeue(argument)
            case v.STREAMON | v.STREAMOFF:
                self.streaming = request == v.STREAMON
        return 0

    def _dequeue(self, buffer: Any) -> None:
        if not self.filled:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        buffer.index, buffer.bytesused, buffer.flags = self.filled.popleft()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "video0")


def _webcam(kernel: Kernel) -> Webcam:
    return Webcam(CameraSpec(driver="v4l2", device=str(kernel.device), size=SIZE), kernel)


def _yuyv(grey: Grey) -> bytes:
    rows = np.full((HEIGHT, STRIDE), 128, dtype=np.uint8)
    rows[:, : 2 * WIDTH : 2] = grey
    return rows.tobytes()


def _shade(value: int) -> Grey:
    return np.full((HEIGHT, WIDTH), value, dtype=np.uint8)


def test_a_frame_is_its_brightness_and_its_buffer_goes_back(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    grey = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    kernel.show(_yuyv(grey))
    frame = camera.grab(1.0)
    assert frame is not None
    assert np.array_equal(frame.grey, grey)
    assert sorted(kernel.queued) == [0, 1, 2]
    camera.close()
    assert not kernel.streaming


def test_only_the_newest_frame_is_given(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    for value in (10, 20, 30):
        kernel.show(_yuyv(_shade(value)))
    frame = camera.grab(1.0)
    assert frame is not None
    assert frame.grey[0, 0] == 30
    assert sorted(kernel.queued) == [0, 1, 2]
    camera.close()


def test_a_damaged_or_short_frame_is_none_and_the_next_is_read(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    kernel.show(_yuyv(_shade(9)), v.BUF_FLAG_ERROR)
    assert camera.grab(1.0) is None
    kernel.show(b"short")
    assert camera.grab(1.0) is None
    kernel.show(_yuyv(_shade(9)))
    assert camera.grab(1.0) is not None
    camera.close()


def test_a_webcam_pulled_out_is_named(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    kernel.gone = True
    with pytest.raises(HardwareError, match="No such device") as broken:
        camera.grab(1.0)
    assert "Unplug" in broken.value.advice
    assert broken.value.step is Step.CAMERA_CABLE
    camera.close()


def test_a_camera_with_no_known_format_is_named(kernel: Kernel) -> None:
    kernel.offers = "H264"
    with pytest.raises(HardwareError, match="offers none of GREY"):
        _webcam(kernel)


def _pix(name: str, stride: int) -> v.PixFormat:
    return v.PixFormat(width=WIDTH, height=HEIGHT, pixelformat=v.fourcc(name), bytesperline=stride)


@pytest.mark.parametrize("name", ["GREY", "NV12", "YU12"])
def test_planar_formats_are_their_first_plane(name: str) -> None:
    rows = np.random.default_rng(3).integers(0, 256, (HEIGHT * 3 // 2, 80), dtype=np.uint8)
    grey = to_grey(rows.tobytes(), _pix(name, 80))
    assert grey is not None
    assert np.array_equal(grey, rows[:HEIGHT, :WIDTH])


def test_motion_jpeg_is_unpacked_and_garbage_is_none() -> None:
    out = io.BytesIO()
    Image.fromarray(_shade(90)).save(out, format="JPEG")
    grey = to_grey(out.getvalue(), _pix("MJPG", 0))
    assert grey is not None
    assert abs(int(grey[5, 5]) - 90) <= 2
    assert to_grey(b"\xff\xd8garbage", _pix("MJPG", 0)) is None


def test_request_numbers_are_the_kernels() -> None:
    """As a C compiler prints them from linux/videodev2.h on a 64-bit machine."""
    assert ctypes.sizeof(ctypes.c_void_p) == 8, "a gate is a 64-bit machine; the numbers differ on others"
    ours = [v.QUERYCAP, v.S_FMT, v.REQBUFS, v.QUERYBUF, v.QBUF, v.DQBUF, v.STREAMON, v.STREAMOFF, v.S_PARM]
    assert ours == [
        *(0x80685600, 0xC0D05605, 0xC0145608, 0xC0585609, 0xC058560F),
        *(0xC0585611, 0x40045612, 0x40045613, 0xC0CC5616),
    ]


def test_fields_are_where_the_kernel_has_them() -> None:
    assert (v.Format.fmt.offset, v.Buffer.m.offset, v.Buffer.length.offset) == (8, 64, 72)
    assert v.StreamParm.timeperframe.offset == 12
    assert v.Capability.device_caps.offset == 88
