"""The webcam driver against a stand-in for the kernel that follows its rules about buffers."""

from __future__ import annotations

import ctypes
import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gate.common.errors import HardwareError, Step
from hardware.camera import videodev2 as v
from hardware.camera.spec import CameraSpec
from hardware.camera.webcam import Webcam, to_grey
from hardware.decoder.picture_file import Grey
from tests.unit.hardware.kernel import HEIGHT, SIZE, WIDTH, Kernel, yuyv


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "video0")


def _webcam(kernel: Kernel) -> Webcam:
    return Webcam(CameraSpec(driver="v4l2", device=str(kernel.device), size=SIZE), kernel)


def _shade(value: int) -> Grey:
    return np.full((HEIGHT, WIDTH), value, dtype=np.uint8)


def test_a_frame_is_its_brightness_and_its_buffer_is_returned(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    grey = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    kernel.show(yuyv(grey))
    frame = camera.grab(1.0)
    assert frame is not None
    assert np.array_equal(frame.grey, grey)
    assert sorted(kernel.queued) == [0, 1, 2]
    camera.close()
    assert not kernel.streaming


def test_only_the_newest_frame_is_given(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    for value in (10, 20, 30):
        kernel.show(yuyv(_shade(value)))
    frame = camera.grab(1.0)
    assert frame is not None
    assert frame.grey[0, 0] == 30
    assert sorted(kernel.queued) == [0, 1, 2]
    camera.close()


def test_a_damaged_or_short_frame_gives_none_and_the_next_is_read(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    kernel.show(yuyv(_shade(9)), v.BUF_FLAG_ERROR)
    assert camera.grab(1.0) is None
    kernel.show(b"short")
    assert camera.grab(1.0) is None
    kernel.show(yuyv(_shade(9)))
    assert camera.grab(1.0) is not None
    camera.close()


def test_a_frame_knows_when_it_was_taken(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    now = time.monotonic()
    kernel.show(yuyv(_shade(9)), taken_at=now)
    frame = camera.grab(1.0)
    assert frame is not None
    assert frame.taken_at == pytest.approx(now, abs=1e-5)
    camera.close()


def test_a_frame_buffered_before_the_request_is_not_given(kernel: Kernel) -> None:
    """A driver that is rarely asked fills its three buffers and drops later frames."""
    camera = _webcam(kernel)
    kernel.show(yuyv(_shade(10)), taken_at=time.monotonic() - 0.9)
    kernel.after_requeue = lambda: kernel.show(yuyv(_shade(20)), taken_at=time.monotonic())
    frame = camera.grab(5.0)
    assert frame is not None
    assert frame.grey[0, 0] == 20
    assert sorted(kernel.queued) == [0, 1, 2]
    camera.close()


def test_a_driver_that_gives_only_old_frames_gives_them_with_their_age(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    past = time.monotonic() - 60
    kernel.show(yuyv(_shade(10)), taken_at=past)
    kernel.after_requeue = lambda: kernel.show(yuyv(_shade(20)), taken_at=past + 1)
    frame = camera.grab(5.0)
    assert frame is not None
    assert frame.taken_at == pytest.approx(past + 1, abs=1e-5)
    camera.close()


@pytest.mark.parametrize(("sequence", "same"), [(7, True), (0, False)])
def test_without_timestamps_a_repeated_frame_is_known_by_its_sequence_number(
    kernel: Kernel, sequence: int, same: bool
) -> None:
    camera = _webcam(kernel)
    frames = []
    for _ in range(2):
        kernel.show(yuyv(_shade(9)), sequence=sequence)
        frames.append(camera.grab(1.0))
    assert frames[0] is not None
    assert frames[1] is not None
    assert (frames[0].taken_at == frames[1].taken_at) is same
    camera.close()


def test_an_unplugged_webcam_is_reported(kernel: Kernel) -> None:
    camera = _webcam(kernel)
    kernel.gone = True
    with pytest.raises(HardwareError, match="No such device") as broken:
        camera.grab(1.0)
    assert "Unplug" in broken.value.advice
    assert broken.value.step is Step.CAMERA_CABLE
    camera.close()


def test_a_webcam_another_program_uses_is_reported(kernel: Kernel) -> None:
    kernel.busy = True
    with pytest.raises(HardwareError, match="being used by another program") as broken:
        _webcam(kernel)
    assert broken.value.step is Step.CAMERA_BUSY


def test_a_camera_with_no_known_format_is_reported(kernel: Kernel) -> None:
    kernel.offers = "H264"
    with pytest.raises(HardwareError, match="offers none of GREY"):
        _webcam(kernel)


def _pix(name: str, stride: int) -> v.PixFormat:
    return v.PixFormat(width=WIDTH, height=HEIGHT, pixelformat=v.fourcc(name), bytesperline=stride)


@pytest.mark.parametrize("name", ["GREY", "NV12", "YU12"])
def test_a_planar_format_is_read_from_its_first_plane(name: str) -> None:
    rows = np.random.default_rng(3).integers(0, 256, (HEIGHT * 3 // 2, 80), dtype=np.uint8)
    grey = to_grey(rows.tobytes(), _pix(name, 80))
    assert grey is not None
    assert np.array_equal(grey, rows[:HEIGHT, :WIDTH])


def test_motion_jpeg_is_unpacked_and_garbage_gives_none() -> None:
    out = io.BytesIO()
    Image.fromarray(_shade(90)).save(out, format="JPEG")
    grey = to_grey(out.getvalue(), _pix("MJPG", 0))
    assert grey is not None
    assert abs(int(grey[5, 5]) - 90) <= 2
    assert to_grey(b"\xff\xd8garbage", _pix("MJPG", 0)) is None


def test_request_numbers_match_the_kernels() -> None:
    """As a C compiler prints them from linux/videodev2.h on a 64-bit machine."""
    assert ctypes.sizeof(ctypes.c_void_p) == 8, "a gate is a 64-bit machine; the numbers differ on others"
    ours = [v.QUERYCAP, v.S_FMT, v.REQBUFS, v.QUERYBUF, v.QBUF, v.DQBUF, v.STREAMON, v.STREAMOFF, v.S_PARM]
    assert ours == [
        *(0x80685600, 0xC0D05605, 0xC0145608, 0xC0585609, 0xC058560F),
        *(0xC0585611, 0x40045612, 0x40045613, 0xC0CC5616),
    ]
    assert [v.S_CTRL, v.QUERYCTRL] == [0xC008561C, 0xC0445624]


def test_struct_fields_are_at_the_kernels_offsets() -> None:
    assert (v.Format.fmt.offset, v.Buffer.m.offset, v.Buffer.length.offset) == (8, 64, 72)
    assert v.StreamParm.timeperframe.offset == 12
    assert v.Capability.device_caps.offset == 88
    assert (v.ControlRange.minimum.offset, v.ControlRange.flags.offset) == (40, 56)
