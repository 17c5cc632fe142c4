"""What a camera is to the rest of the gate: a source of grey frames."""

from __future__ import annotations

from typing import Protocol

import msgspec
import numpy as np
from PIL import Image

from hardware.decoder.picture_file import Grey


class Frame(msgspec.Struct, frozen=True):
    """One frame. `source`: where it is from, for the log.

    `refused`: why there is nothing to decode although something was shown (a file that is not a picture), in
    words; empty for all other frames. `grey` is then a dark frame.
    `taken_at`: when the camera began to take it, in seconds of `time.monotonic()`, which all processes of a
    machine share; None if the source does not know. Two frames with the same time are one frame, shown twice.
    `exposure`: with which of `CameraSpec.exposures` it was taken; 0 if the camera does not take turns.
    """

    grey: Grey
    source: str
    refused: str = ""
    taken_at: float | None = None
    exposure: int = 0


class FrameSource(Protocol):
    """A camera."""

    def grab(self, timeout_s: float) -> Frame | None:
        """The next frame, or None if none came within `timeout_s`. Raises `HardwareError`."""

    def exhausted(self) -> bool:
        """Whether no frame will come any more (the end of a list of pictures)."""

    def close(self) -> None:
        """Release the device. Never raises."""


def dark(size: tuple[int, int]) -> Grey:
    """An empty frame of `size` (width, height)."""
    return np.zeros((size[1], size[0]), dtype=np.uint8)


def fit(grey: Grey, size: tuple[int, int]) -> Grey:
    """A picture as a camera of `size` (width, height) would see it, whole and in the middle.

    It is made smaller if it is too large, never larger. The space around it gets the shade of its edge, or
    white if the edge is mixed, so that a code that reaches the edge gets a margin.
    """
    picture = _shrunk(grey, size)
    frame = np.full((size[1], size[0]), _edge_shade(picture), dtype=np.uint8)
    top, left = (size[1] - picture.shape[0]) // 2, (size[0] - picture.shape[1]) // 2
    frame[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return frame


def _shrunk(grey: Grey, size: tuple[int, int]) -> Grey:
    height, width = grey.shape
    scale = min(size[0] / width, size[1] / height)
    if scale >= 1:
        return grey
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(grey).resize(small, Image.Resampling.BOX, reducing_gap=None))


def _edge_shade(grey: Grey) -> int:
    edge = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    dark_end, light_end = np.percentile(edge, (10, 90))
    return int(np.median(edge)) if light_end - dark_end < 64 else 255
