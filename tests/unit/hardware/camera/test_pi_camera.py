"""The Pi camera adapter against a stand-in with picamera2's shapes and errors (0.3.38)."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from gate.common.errors import HardwareError
from hardware.camera.pi_camera import PiCamera
from hardware.camera.spec import CameraSpec

STRIDE = 704
SPEC = CameraSpec(driver="picamera2", size=(640, 480), controls={"ExposureTime": 10_000})


class FakePicamera2:
    """A Camera Module 2, which has a fixed lens. `silent`: it gives no frame. `busy`: another process has it.

    `breaks`: what asking for a frame raises.
    """

    cameras: ClassVar[list[dict[str, Any]]] = [{"Num": 0, "Model": "imx219"}]
    silent = False
    busy = False
    breaks: Exception | None = None
    about: ClassVar[dict[str, Any]] = {"SensorTimestamp": 12_345_678_900}
    made: ClassVar[list[FakePicamera2]] = []
    sensor_resolution = (3280, 2464)
    camera_controls: ClassVar[dict[str, Any]] = {
        "FrameDurationLimits": (33_333, 120_000, None),
        "ExposureTime": (0, 66_666, None),
    }

    def __init__(self, index: int) -> None:
        assert index == 0
        if self.busy:
            cause = RuntimeError("Failed to acquire camera: Device or resource busy")
            raise RuntimeError("Camera __init__ sequence did not complete.") from cause
        self.calls: list[str] = []
        self.config: dict[str, Any] = {}
        self.made.append(self)

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return cls.cameras

    def create_video_configuration(self, **config: Any) -> dict[str, Any]:
        return config

    def configure(self, config: dict[str, Any]) -> None:
        self.calls.append("configure")
        for name in config["controls"]:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self.config = config

    def camera_configuration(self) -> dict[str, Any]:
        return self.config

    def start(self) -> None:
        self.calls.append("start")

    def capture_arrays(self, names: list[str], wait: float) -> Any:
        assert names == ["lores"]
        assert wait > 0, "every wait is bounded"
        if self.silent:
            raise TimeoutError
        if self.breaks is not None:
            raise self.breaks
        width, height = self.config["lores"]["size"]
        planes = np.full((height * 3 // 2, max(STRIDE, width)), 128, dtype=np.uint8)
        planes[:height, :width] = 7
        return [planes], self.about

    def cancel_all_and_flush(self) -> None:
        self.calls.append("cancel")

    def close(self) -> None:
        self.calls.append("close")


class NoCamera(FakePicamera2):
    cameras: ClassVar[list[dict[str, Any]]] = []


class Silent(FakePicamera2):
    silent = True


class Busy(FakePicamera2):
    busy = True


class Undated(FakePicamera2):
    about: ClassVar[dict[str, Any]] = {}


class Mismatched(FakePicamera2):
    """An error seen from picamera2 when the buffer is larger than the picture."""

    breaks = ValueError("cannot reshape array of size 462848 into shape (720,640)")


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_a_frame_is_the_brightness_without_padding_or_colour(size: tuple[int, int]) -> None:
    camera = PiCamera(msgspec.structs.replace(SPEC, size=size), FakePicamera2)
    for _ in range(3):
        frame = camera.grab(1.0)
        assert frame is not None
        assert frame.grey.shape == (size[1], size[0])
        assert set(np.unique(frame.grey)) == {7}
    camera.close()
    assert FakePicamera2.made[-1].calls == ["configure", "start", "close"]


def test_a_frame_says_when_it_was_taken() -> None:
    frame = PiCamera(SPEC, FakePicamera2).grab(1.0)
    assert frame is not None
    assert frame.taken_at == pytest.approx(12.3456789)


def test_a_frame_without_a_time_is_still_a_frame() -> None:
    frame = PiCamera(SPEC, Undated).grab(1.0)
    assert frame is not None
    assert frame.taken_at is None


@pytest.mark.parametrize(
    ("size", "main"), [((640, 480), (1280, 960)), ((1280, 720), (1280, 720)), ((1920, 1080), (1920, 1080))]
)
def test_the_stream_keeps_its_shape_and_sees_the_whole_view(
    size: tuple[int, int], main: tuple[int, int]
) -> None:
    PiCamera(msgspec.structs.replace(SPEC, size=size), FakePicamera2)
    config = FakePicamera2.made[-1].config
    assert config["lores"] == {"size": size, "format": "YUV420"}
    assert config["main"]["size"] == main
    assert config["sensor"] == {"output_size": (1640, 1232)}
    assert config["controls"] == {"FrameDurationLimits": (40_000, 40_000), "ExposureTime": 10_000}


def test_controls_the_camera_does_not_have_are_left_out_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    controls: dict[str, bool | int | float] = {"LensPosition": 6.0, "AfMode": 0, "ExposureTime": 10_000}
    camera = PiCamera(msgspec.structs.replace(SPEC, controls=controls), FakePicamera2)
    assert camera.grab(1.0) is not None
    assert FakePicamera2.made[-1].config["controls"].keys() == {"FrameDurationLimits", "ExposureTime"}
    assert [record.getMessage() for record in caplog.records] == [
        "camera runs without controls that it does not have: AfMode, LensPosition"
    ]


def test_a_silent_camera_gives_none_and_leaves_no_pending_request() -> None:
    assert PiCamera(SPEC, Silent).grab(0.01) is None
    assert FakePicamera2.made[-1].calls[-1] == "cancel"


def test_a_wait_of_zero_still_returns_a_frame() -> None:
    assert PiCamera(SPEC, FakePicamera2).grab(0.0) is not None


def test_an_error_inside_picamera2_is_reported_in_words() -> None:
    with pytest.raises(HardwareError, match=r"The camera stopped working \(cannot reshape") as broken:
        PiCamera(SPEC, Mismatched).grab(1.0)
    assert broken.value.part == "camera"


@pytest.mark.parametrize(("driver", "says"), [(NoCamera, "No camera is connected"), (Busy, "resource busy")])
def test_a_missing_or_busy_camera_is_reported(driver: type[FakePicamera2], says: str) -> None:
    with pytest.raises(HardwareError, match=says) as broken:
        PiCamera(SPEC, driver)
    assert broken.value.part == "camera"
    assert broken.value.step


def test_without_picamera2_the_package_is_named() -> None:
    with pytest.raises(HardwareError, match=r"picamera2 is not installed|No camera is connected"):
        PiCamera(SPEC)
