"""Whether a frame is what the camera sees now. Pure.

A driver can go on delivering and yet show the past: a queue that is never emptied, a frame
handed out again and again, a sensor that stands still under a driver that goes on. A ticket in such a
frame is one that has long left, so it is not looked at, and a camera that gives nothing else is as good as
silent.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Literal

from hardware.decoder.flatness import FLAT

if TYPE_CHECKING:
    from hardware.decoder.picture_file import Grey

OLD_S = 1.0
"""A frame older than this is not looked at: whoever is in it may have gone on by now."""

KEPT_S = 2.0
"""What was read waits so long for the door: the second it waits for its journal
(`gate.recovery.open_journal.PATIENCE_S`) and as much again for everything else. A guest still holds the phone
up then, and his code is read anew if he does; answered later than that, a pulse would be for whoever stands
there by then."""

PRINT_STEP = 8
"""Every eighth pixel of every eighth row tells two frames apart: of noise of one grey value, 4,800 pixels
never come out alike."""


Stale = Literal["", "old", "repeated", "frozen"]


def stale(taken_at: float | None, before: float | None, now: float) -> Stale:
    """Why a frame is not to be looked at; empty if it is fresh.

    :param taken_at: `hardware.camera.frame_source.Frame.taken_at`; what a source does not tell is not judged.
    :param before: the same of the frame before it, None for the first.
    :param now: monotonic seconds.
    """
    if taken_at is None:
        return ""
    if before is not None and taken_at <= before:
        return "repeated"
    return "old" if now - taken_at > OLD_S else ""


def fingerprint(grey: Grey) -> int:
    """A number that two pictures taken by a working sensor do not share; 0 for one that shows nothing."""
    few = grey[::PRINT_STEP, ::PRINT_STEP]
    if int(few.max()) - int(few.min()) < FLAT:
        return 0
    return zlib.crc32(few.tobytes()) or 1


class FreezeDetector:
    """Whether a sensor stands still: every frame the same to the pixel, for longer than chance allows.

    Asked of every frame, also across a restart of the camera: one that shows the same picture after it was
    started anew is still frozen. All times are monotonic seconds.

    :param frozen_after_s: how long frames may be alike before that counts.
    """

    def __init__(self, frozen_after_s: float) -> None:
        self._frozen_after_s = frozen_after_s
        self._print = 0
        self._since = 0.0

    def is_frozen(self, picture: int, now: float) -> bool:
        """Take the `fingerprint` of the newest frame."""
        if not picture or picture != self._print:
            self._print, self._since = picture, now
        return now - self._since > self._frozen_after_s


def is_past(read_at: float, now: float) -> bool:
    """Whether what was read then, in monotonic seconds, is no longer to be answered."""
    return now - read_at > KEPT_S
