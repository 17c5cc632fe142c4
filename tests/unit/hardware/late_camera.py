"""A stand-in for picamera2 whose sensor follows late, and which reports what it really did.

It keeps picamera2's rules (0.3.38, `Picamera2.process_requests`, `CompletedRequest.release`): what was set
goes along with the next request that is given back, whoever took its frame; a request waits until those
before it were used; one that failed is given back without any callback.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np

BUFFERS = 4
PERIOD_NS = 66_666_667
LINE_US = 18.904
"""Of the IMX219 at 1640×1232: exposures are whole lines."""


class Wish(dict[str, Any]):
    """picamera2's `Controls`: what goes along with the next request."""

    def make_dict(self) -> dict[str, Any]:
        """As picamera2 has it."""
        return dict(self)


class Completed(msgspec.Struct):
    """A request with its frame. `about`: its metadata, which says what the sensor did."""

    about: dict[str, Any]

    def get_metadata(self) -> dict[str, Any]:
        """As picamera2 has it."""
        return dict(self.about)


class LateCamera:
    """A camera at 15 frames a second, in its own time: frames are taken only by `run` and `capture_arrays`.

    `lag`: frames until the sensor follows. `loses`: numbers of frames that fail. `acts_every`: it controls
    one of so many frames. `at_once`: how many frames picamera2 finds completed at a time, over and over.
    `says`: what metadata says of exposure. `deaf`: it never follows.
    """

    lag = 2
    loses: Collection[int] = ()
    acts_every = 1
    at_once: Sequence[int] = (1,)
    says: tuple[str, ...] = ("ExposureTime", "AnalogueGain")
    deaf = False
    made: ClassVar[list[LateCamera]] = []
    sensor_resolution = (3280, 2464)
    camera_controls: ClassVar[dict[str, Any]] = dict.fromkeys(
        ("FrameDurationLimits", "ExposureTime", "AnalogueGain"), (0, 1, None)
    )
    pre_callback: Callable[[Completed], None] | None = None

    def __init__(self, index: int) -> None:
        assert index == 0
        self.controls = Wish()
        self.number = 0  # of the next frame
        self.exposed_with: list[tuple[int, float]] = []  # of each frame
        self.waits: list[float] = []
        self.rounds: list[int] = []  # frames of each turn of picamera2's loop
        self._queued: deque[dict[str, Any]] = deque({} for _ in range(BUFFERS))
        self.made.append(self)

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        return [{"Num": 0, "Model": "imx219"}]

    def create_video_configuration(self, **config: Any) -> dict[str, Any]:
        return config

    def configure(self, config: dict[str, Any]) -> None:
        self._config = config
        self._set = dict(config["controls"])
        self._on_the_way = deque([dict(self._set)] * (self.lag + 1), maxlen=self.lag + 1)

    def camera_configuration(self) -> dict[str, Any]:
        return self._config

    def start(self) -> None:
        """Nothing: frames are taken when somebody asks."""

    def set_controls(self, controls: dict[str, Any]) -> None:
        assert controls.keys() <= self.camera_controls.keys(), "picamera2 would refuse all of them"
        self.controls.update(controls)

    def run(self, rounds: int) -> None:
        """Take frames that nobody asks for."""
        for _ in range(rounds):
            self._round()

    def capture_arrays(self, names: list[str], wait: float) -> Any:
        assert names == ["lores"]
        self.waits.append(wait)
        while not (ready := self._round()):
            pass
        taken = ready[0]  # queue=False: what nobody asked for is given back
        width, height = self._config["lores"]["size"]
        return [np.zeros((height * 3 // 2, width), dtype=np.uint8)], taken.about

    def close(self) -> None:
        """Nothing."""

    def _round(self) -> list[Completed]:
        """One turn of picamera2's loop: the frames that it completes."""
        self.rounds.append(self.at_once[len(self.rounds) % len(self.at_once)])
        frames = [self._expose() for _ in range(self.rounds[-1])]
        completed = [frame for frame in frames if frame is not None]
        for request in completed:
            if self.pre_callback is not None:
                self.pre_callback(request)
        for _ in frames:
            self._queued.append(self.controls.make_dict())
            self.controls = Wish()
        return completed

    def _expose(self) -> Completed | None:
        """Take a frame; None if it is lost."""
        number, self.number = self.number, self.number + 1
        self._set |= self._queued.popleft()
        follows = number % self.acts_every == 0 and not self.deaf
        self._on_the_way.append(dict(self._set) if follows else self._on_the_way[-1])
        did = self._on_the_way[0]
        self.exposed_with.append((did["ExposureTime"], did.get("AnalogueGain", 1.0)))
        about = {"SensorTimestamp": number * PERIOD_NS} | {
            name: _rounded(name, did[name]) for name in self.says
        }
        return None if number in self.loses else Completed(about)


def _rounded(name: str, value: float) -> float:
    """What a Camera Module 2 makes of it: whole lines, and gains of 256 / (256 - n) up to 10.66."""
    if name == "ExposureTime":
        return int(value // LINE_US * LINE_US)
    return 256 / (256 - int(256 - 256 / min(value, 10.66)))
