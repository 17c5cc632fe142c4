"""How a Pi camera takes two exposures in turn, although it follows late.

Theory of operation. What picamera2 is asked for goes along with the next buffer that is given back to the
camera. It acts when that buffer's turn and the sensor's own delay are over: `buffer_count` + 3 or 4 frames
later (raspberrypi/picamera2#1278; the sensor's part is 2 frames, `CamHelper::getDelays` of libcamera). So
nothing here waits for a wish to be granted. *Every frame that the camera completes* asks for the other
exposure, whoever takes that frame: after a constant delay, of whatever length, the frames alternate too.
What a frame really got is in its metadata.

Two things can still put the same exposure twice before the decoder. A door that takes every second frame
would see one exposure only: where it has let a frame of the other one go by, it waits for the next frame,
which is the other one again (`passes_over`). A door that takes every frame never waits. And a frame that
the camera loses puts two of the same beside each other, where it is missing and once more when its own wish
is due; both are given, because there is nothing better to wait for. If it loses them in a rhythm that undoes
the turns, wishes are kept for longer (`ROW`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from hardware.camera.exposure import nearest
from hardware.camera.spec import Exposure

ROW = 16
"""Frames in a row of one exposure after which each wish is kept for twice as many frames: twice the longest
delay that is known. A camera that acts on every second wish only would always get the same one. Raspberry
Pi's libcamera does so above 30 frames a second (`controllerMinFrameDuration` of its IPA), and so does a
camera that loses frames in time with its buffers, as the virtual one of `make pibox-camera`."""

LONGEST = 8
"""Frames for which a wish is kept at most. A camera that does not follow even then does not follow at all."""

_KNOWN = 16
"""Frames that are remembered: more than picamera2 has buffers."""

_NO_TIME = "its frames do not say with which exposure they were taken"
_DEAF = "it does not follow, whatever it is asked for"


class Alternation:
    """The turns of one camera; see the module's docstring.

    :param exposures: those to take turns, fewer than two: none do.
    """

    def __init__(self, exposures: tuple[Exposure, ...]) -> None:
        self.exposures = exposures
        self.ended = "" if len(exposures) > 1 else "there is only one exposure"
        """Why the exposures do not take turns, in words; empty while they do."""
        self._wish = 0
        self._kept, self._keep_for = 0, 1  # frames for which the wish was kept, and for which it is to be
        self._row = 0  # frames in a row with the same exposure
        self._seen: deque[tuple[int, int]] = deque(maxlen=_KNOWN)  # of each frame: its time, its exposure
        self._given = (0, -1)  # the same of the last one that the door got

    def wish(self) -> Exposure:
        """What to ask for with the next buffer."""
        self._kept += 1
        if self._kept >= self._keep_for:
            self._wish, self._kept = (self._wish + 1) % len(self.exposures), 0
        return self.exposures[self._wish]

    def saw(self, about: Mapping[str, Any]) -> None:
        """Every frame that the camera completes, by its metadata, whether anybody takes it or not."""
        if self.ended:
            return
        if "ExposureTime" not in about:
            self.ended = _NO_TIME
            return
        number = self._exposure_of(about)
        self._row = self._row + 1 if self._seen and self._seen[-1][1] == number else 1
        self._seen.append((_stamp(about), number))
        if self._row % ROW == 0:
            self._keep_for *= 2
        if self._keep_for > LONGEST:
            self.ended = _DEAF

    def passes_over(self, about: Mapping[str, Any]) -> bool:
        """Whether to wait for the next frame.

        So it is if this one has the exposure of the last that the door got, and one of the other exposure has
        gone by in between.
        """
        since, last = self._given
        if self.ended or self._exposure_of(about) != last:
            return False
        return any(since < stamp < _stamp(about) and was != last for stamp, was in tuple(self._seen))

    def give(self, about: Mapping[str, Any]) -> int:
        """Note that the door gets this frame. Returns its exposure, 0 if they do not take turns."""
        self._given = _stamp(about), self._exposure_of(about)
        return self._given[1]

    def _exposure_of(self, about: Mapping[str, Any]) -> int:
        if self.ended or "ExposureTime" not in about:
            return 0
        return nearest(self.exposures, about["ExposureTime"], about.get("AnalogueGain"))


def _stamp(about: Mapping[str, Any]) -> int:
    stamp: int = about.get("SensorTimestamp", 0)
    return stamp
