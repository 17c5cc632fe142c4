"""How often the eye looks: at every frame, or less often if nobody has come for a while. Pure.

An idle Pi stays cool by looking less often, never by waiting for motion: that would miss a phone held still.
A phone held up while the eye rests is looked at within one resting period and one frame period (0.2 s at 8
looks and 15 frames a second); from the first code on, the eye looks at every frame again.
"""

from __future__ import annotations

import msgspec

REST_AFTER_S = 60.0
"""Longer than a gap in the queue, shorter than the hours before and after it."""


class LookPace(msgspec.Struct, frozen=True):
    """What the pace depends on. All times are monotonic seconds.

    `rest_after_s`: seconds without any code after which the eye rests.
    `resting_fps`: looks a second while the eye rests, 0 for an eye that never rests.
    `code_at`: when a code was last seen, or the eye was opened.
    `asked_at`: when the camera was last asked for a frame.
    """

    resting_fps: float
    code_at: float
    asked_at: float = float("-inf")
    rest_after_s: float = REST_AFTER_S

    def saw_code(self, now: float) -> LookPace:
        """A code was seen, ours or not."""
        return msgspec.structs.replace(self, code_at=now)

    def asked(self, now: float) -> LookPace:
        """The camera was asked for a frame."""
        return msgspec.structs.replace(self, asked_at=now)

    def rests(self, now: float) -> bool:
        """Whether the eye rests."""
        return self.resting_fps > 0 and now - self.code_at >= self.rest_after_s

    def due(self, now: float) -> float:
        """When to ask for the next frame: at once, or one resting period after the last."""
        return self.asked_at + 1 / self.resting_fps if self.rests(now) else now
