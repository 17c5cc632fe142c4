"""Which camera, as a value. Imports nothing heavy: the door's own process holds one of these."""

from __future__ import annotations

from typing import Literal

import msgspec

CameraDriver = Literal["folder", "files", "v4l2", "picamera2"]

LONGEST_SIDE = 2400
"""Pixels to which ``files`` reduces the longer side of a picture, so that it fits into a shared slot."""


class Exposure(msgspec.Struct, frozen=True):
    """How much light a frame gets: for how many µs, and at what analogue gain, from 1.0."""

    time_us: int
    gain: float


class CameraSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Which camera, and how to run it. Plain data, so that it can be passed to a child process.

    `path`: the folder watched by ``folder``. `files`: the pictures of ``files``.
    `device`: the node of ``v4l2``. `size`: width and height of a frame in pixels.
    `fps`: frames a second, at most. `idle_fps`: looks a second while nobody comes (`hardware.eye.pace`),
    0: as many as ever. `hold_ms`: how long ``folder`` holds one picture up.
    `controls`: fixed libcamera controls for ``picamera2``, such as ``{"AfMode": 0, "LensPosition": 5.0}``.
    `exposures`: two that ``picamera2`` and ``v4l2`` use in turn, beginning with the one in `controls`; none:
    `controls` hold for every frame, and a webcam decides by itself (docs/adr/0029).
    """

    driver: CameraDriver
    path: str = ""
    files: tuple[str, ...] = ()
    device: str = "/dev/video0"
    size: tuple[int, int] = (640, 480)
    fps: int = 25
    idle_fps: float = 0.0
    hold_ms: int = 300
    controls: dict[str, bool | int | float] = {}
    exposures: tuple[Exposure, ...] = ()

    @property
    def every_frame_counts(self) -> bool:
        """Whether no frame may be dropped: a picture is shown once, while a camera keeps looking."""
        return self.driver in ("folder", "files")
