"""How many refusals of unknown codes get a record of their own. Pure.

A phone can show another foreign code in every frame. If each had a record, a stranger with a video could
fill the journal and use up what the hub accepts from one gate (protocol 4.5, Fairness), and an honest gate
would be reported as flooding. So each source has a pace. Refusals beyond it are decided and answered as
usual, but only their number is recorded, in the note of an event `guessing`. Admissions, and refusals of
tickets that the cache knows, are not affected.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gate.common.value import Value

PER_S = 1.0
"""For each source, for ever. A gate's budget at the hub has room for two refusals per guest."""
AT_ONCE = 20.0
"""At once: far more than honest guests hold up by mistake."""
TELL_MS = 30_000
"""How long after the first refusal left out the number is recorded."""


class Sparing(Value, frozen=True):
    """`used`: for each source how much of its pace was used, and at what time. All times are monotonic ms.

    `left_out`: how many refusals got no record of their own since `since_ms`.
    """

    used: Mapping[str, tuple[float, int]] = {}
    left_out: int = 0
    since_ms: int = 0

    def has_room(self, source: str, now_ms: int) -> bool:
        """Whether one more refusal of this source gets a record."""
        return self._used(source, now_ms) <= AT_ONCE - 1

    def recorded(self, source: str, now_ms: int) -> Sparing:
        """One refusal got its record."""
        one_more = (self._used(source, now_ms) + 1, now_ms)
        return msgspec.structs.replace(self, used={**self.used, source: one_more})

    def one_left_out(self, now_ms: int) -> Sparing:
        """One refusal got no record."""
        since = self.since_ms if self.left_out else now_ms
        return msgspec.structs.replace(self, left_out=self.left_out + 1, since_ms=since)

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time to record how many were left out."""
        return self.left_out > 0 and now_ms - self.since_ms >= TELL_MS

    def reported(self) -> Sparing:
        """Their number was recorded; counting begins again."""
        return msgspec.structs.replace(self, left_out=0)

    def _used(self, source: str, now_ms: int) -> float:
        used, at_ms = self.used.get(source, (0.0, now_ms))
        return max(0.0, used - PER_S * max(0, now_ms - at_ms) / 1000)
