"""A webcam that works, or fails, as a file says: it replaces the kernel's side in a child process."""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest

from hardware.camera import videodev2 as v
from hardware.camera.frame_source import dark, fit
from hardware.camera.spec import CameraSpec
from hardware.camera.webcam_exposure import LATE
from tests.unit.hardware.kernel import UVC, Kernel
from tests.unit.hardware.scenes import code

SIZE = (240, 240)
FRAME_S = 0.01

How = Literal["fresh", "old", "repeated", "frozen", "silent", "silent_once", "hanging", "busy", "dim"]

_CUSTOMIZE = """
import fcntl
from pathlib import Path
from tests.integration.hardware.live_kernel import LiveKernel
fcntl.ioctl = LiveKernel(Path(__file__).parent)
"""


class Scene(msgspec.Struct, frozen=True):
    """What the camera gives, and the code in view.

    `silent_once`: silent until its process is replaced. `hanging`: the driver does not return.
    `frozen`: the same pixels for ever, under new times. `busy`: another program has the camera. `dim`: the
    code shows only in frames with more gain. With gain, black is grey.
    """

    how: How = "fresh"
    text: str = ""


class Camera:
    """The test's side: a webcam in `folder`, which must be the first in the children's PYTHONPATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        (folder / "video0").write_bytes(bytes(1))
        (folder / "sitecustomize.py").write_text(_CUSTOMIZE)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        self.give()

    def spec(self, **more: Any) -> CameraSpec:
        """The eye's camera."""
        return CameraSpec(driver="v4l2", device=str(self._folder / "video0"), size=SIZE, **more)

    def give(self, how: How = "fresh", text: str = "") -> None:
        """Give this from the next frame on."""
        hidden = self._folder / ".scene"
        hidden.write_bytes(msgspec.json.encode(Scene(how, text)))
        hidden.rename(self._folder / "scene")

    def given(self) -> list[tuple[float, str]]:
        """Every frame taken from it: when, and the code in view."""
        try:
            lines = (self._folder / "given").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(float(line.split(" ")[0]), line.split(" ")[1]) for line in lines]


class LiveKernel(Kernel):
    """The child's side."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "video0", offers="GREY")
        self._folder, self._drained = folder, True
        self._sequence = 1
        self.controls = dict(UVC)
        self._gains = deque([0] * (LATE + 1), maxlen=LATE + 1)

    def __call__(self, fd: int, request: int, argument: Any) -> int:
        self.busy = self._scene().how == "busy"
        if request == v.S_FMT and not self.busy:
            argument.fmt.pix.pixelformat, argument.fmt.pix.bytesperline = v.fourcc("GREY"), SIZE[0]
            return 0
        return super().__call__(fd, request, argument)

    def _dequeue(self, buffer: Any) -> None:
        self._drained = not self._drained
        if self._drained:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        time.sleep(FRAME_S)
        now = time.monotonic()  # before the scene: a frame that was stopped in between is old, not wrong
        scene = self._scene()
        if scene.how == "hanging":
            time.sleep(3600)
        if self._is_silent(scene.how):
            self._drained = True
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._fill(scene, now)
        super()._dequeue(buffer)

    def _scene(self) -> Scene:
        return msgspec.json.decode((self._folder / "scene").read_bytes(), type=Scene)

    def _is_silent(self, how: How) -> bool:
        first = self._folder / "first"
        if how == "silent_once" and not first.exists():
            first.write_text(str(os.getpid()))
        return how == "silent" or (how == "silent_once" and first.read_text() == str(os.getpid()))

    def _fill(self, scene: Scene, now: float) -> None:
        self._sequence += scene.how != "repeated"
        stamp = {"old": now - 5, "repeated": None}.get(scene.how, now)
        self._gains.append(self.settings.get(v.CID_GAIN, 0))
        gain = self._gains[0]
        is_shown = scene.text and (gain or scene.how != "dim")
        grey = np.maximum(fit(code(scene.text), SIZE) if is_shown else dark(SIZE), 32 if gain else 0)
        if scene.how != "frozen":
            grey[0, 0] ^= self._sequence & 7  # a sensor's noise
        with (self._folder / "given").open("a") as given:
            given.write(f"{now} {scene.text}\n")
        self.show(grey.tobytes(), taken_at=stamp, sequence=self._sequence)
