"""Whether a frame is what the camera sees now. Pure.

A driver can go on delivering and yet show the past: a queue that is never emptied, a frame
handed out again and again. A ticket in such a frame is one that has long left, so it is not
looked at, and a camera that gives nothing else is as good as silent.
"""

from __future__ import annotations

from typing import Literal

OLD_S = 1.0
"""A frame older than this is not looked at: whoever is in it may have gone on by now."""

KEPT_S = 2.0
"""What was read waits so long for the door: the second it waits for its journal (`gate.opening.PATIENCE_S`)
and as much again for everything else. A guest still holds the phone up then, and his code is read anew if
he does; answered later than that, a pulse would be for whoever stands there by then."""

Stale = Literal["", "old", "repeated"]


def stale(taken_at: float | None, before: float | None, now: float) -> Stale:
    """Why a frame is not to be looked at; empty if it is fresh.

    :param taken_at: `hardware.frames.Frame.taken_at`; what a source does not tell is not judged.
    :param before: the same of the frame before it, None for the first.
    :param now: monotonic seconds.
    """
    if taken_at is None:
        return ""
    if before is not None and taken_at <= before:
        return "repeated"
    return "old" if now - taken_at > OLD_S else ""


def is_past(read_at: float, now: float) -> bool:
    """Whether what was read then, in monotonic seconds, is no longer to be answered."""
    return now - read_at > KEPT_S
