"""Whether a frame is what the camera sees now. Pure.

A driver can keep delivering and yet show the past: a queue that is never emptied, one frame again and again,
a sensor that is frozen under a working driver. A ticket in such a frame has long left, so the frame is not
looked at, and a camera that gives nothing else is as good as silent.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Literal

from hardware.decoder.flatness import FLAT

if TYPE_CHECKING:
    from hardware.decoder.picture_file import Grey

OLD_S = 1.0
"""A frame older than this is not looked at: the guest in it may have left by now."""

KEPT_S = 2.0
"""How long what was read waits for the door: the second that the door waits for its journal
(`gate.recovery.open_journal.PATIENCE_S`), and as much again for everything else. A guest who still holds the
phone up is read again; answered later than that, the pulse would be for whoever stands there by then."""

PRINT_STEP = 8
"""Every eighth pixel of every eighth row tells two frames apart: with noise of one grey value, 4,800 pixels
are never all the same."""


Stale = Literal["", "old", "repeated", "frozen"]


def stale(taken_at: float | None, before: float | None, now: float) -> Stale:
    """Why a frame is not to be looked at; empty if it is fresh.

    :param taken_at: `hardware.camera.frame_source.Frame.taken_at`; without it, a frame counts as fresh.
    :param before: that of the frame before it, None for the first one.
    :param now: monotonic seconds.
    """
    if taken_at is None:
        return ""
    if before is not None and taken_at <= before:
        return "repeated"
    return "old" if now - taken_at > OLD_S else ""


def fingerprint(grey: Grey) -> int:
    """A number that differs between any two pictures of a working sensor; 0 if the picture shows nothing."""
    few = grey[::PRINT_STEP, ::PRINT_STEP]
    if int(few.max()) - int(few.min()) < FLAT:
        return 0
    return zlib.crc32(few.tobytes()) or 1


class FreezeDetector:
    """Notices a frozen sensor: every frame is the same to the pixel, for longer than chance allows.

    It has to see every frame, also across restarts of the camera: a camera that shows the same picture after
    a restart is still frozen. All times are monotonic seconds.

    :param frozen_after_s: how long frames may be identical.
    """

    def __init__(self, frozen_after_s: float) -> None:
        self._frozen_after_s = frozen_after_s
        self._print = 0
        self._since = 0.0

    def is_frozen(self, picture: int, now: float) -> bool:
        """Whether the sensor is frozen, given the `fingerprint` of the newest frame."""
        if not picture or picture != self._print:
            self._print, self._since = picture, now
        return now - self._since > self._frozen_after_s


def is_past(read_at: float, now: float) -> bool:
    """Whether it is too late to answer what was read at that time (monotonic seconds)."""
    return now - read_at > KEPT_S
