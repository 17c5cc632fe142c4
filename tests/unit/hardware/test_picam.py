"""The Pi camera adapter against a stand-in that has picamera2's shapes and errors (0.3.38)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from gate.errors import HardwareError
from hardware.picam import PiCamera
from hardware.spec import CameraSpec

STRIDE = 704
SPEC = CameraSpec(driver="picamera2", size=(640, 480), controls={"AfMode": 0})


class FakePicamera2:
    """One camera. `silent`: it gives no frame. `busy`: another process holds it."""

    cameras: ClassVar[list[dict[str, Any]]] = [{"Num": 0, "Model": "imx708"}]
    silent = False
    busy = False
    made: ClassVar[list[FakePicamera2]] = []

    def __init__(self, index: int) -> None:
        assert index == 0
        if self.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
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
        self.config = config

    def camera_configuration(self) -> dict[str, Any]:
        return self.config

    def start(self) -> None:
        self.calls.append("start")

    def capture_array(self, name: str, wait: float) -> Any:
        assert name == "lores"
        assert wait > 0, "every wait is bounded"
        if self.silent:
            raise TimeoutError
        planes = np.full((720, STRIDE), 128, dtype=np.uint8)
        planes[:480, :640] = 7
        return planes

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")


class NoCamera(FakePicamera2):
    cameras: ClassVar[list[dict[str, Any]]] = []


class Silent(FakePicamera2):
    silent = True


class Busy(FakePicamera2):
    busy = True


def test_a_frame_is_the_brightness_without_padding_and_colour() -> None:
    camera = PiCamera(SPEC, FakePicamera2)
    for _ in range(3):
        frame = camera.grab(1.0)
        assert frame is not None
        assert frame.grey.shape == (480, 640)
        assert set(np.unique(frame.grey)) == {7}
    camera.close()
    assert FakePicamera2.made[-1].calls == ["configure", "start", "stop", "close"]


def test_the_stream_and_fixed_controls_are_asked_for() -> None:
    PiCamera(SPEC, FakePicamera2)
    config = FakePicamera2.made[-1].config
    assert config["lores"] == {"size": (640, 480), "format": "YUV420"}
    assert config["controls"] == {"FrameDurationLimits": (40_000, 40_000), "AfMode": 0}
    assert config["main"]["size"] >= config["lores"]["size"]


def test_a_silent_camera_is_none_within_the_time() -> None:
    assert PiCamera(SPEC, Silent).grab(0.01) is None


@pytest.mark.parametrize(("driver", "says"), [(NoCamera, "No camera number 0"), (Busy, "cannot be opened")])
def test_a_missing_or_taken_camera_is_named(driver: type[FakePicamera2], says: str) -> None:
    with pytest.raises(HardwareError, match=says) as broken:
        PiCamera(SPEC, driver)
    assert broken.value.part == "camera"
    assert broken.value.step


def test_without_picamera2_the_package_is_named() -> None:
    with pytest.raises(HardwareError, match=r"picamera2 is not installed|No camera number 0"):
        PiCamera(SPEC)
