"""Sparing: how many refusals of codes nobody knows are written down each on its own. Pure.

A phone can show another foreign code in every frame. Were each of them a record, a stranger with a film
would fill the journal and use up what the hub takes from one gate (protocol 4.5, Fairness), and an honest
gate would be told of as flooding. So each source has a pace. What is beyond it is decided and answered as
always, and only its number is recorded, in the note of an event `guessing`. Admissions, and refusals of
tickets the cache knows, never come here.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gate.common.value import Value

PER_S = 1.0
"""Of each source for ever. A gate's share at the hub has room for two refusals for each guest."""
AT_ONCE = 20.0
"""And so many at once: far more than honest guests hold up by mistake."""
TELL_MS = 30_000
"""So long after the first that was left out, the number is recorded."""


class Sparing(Value, frozen=True):
    """`used`: by source, how many are to be waited for, and when that was so; monotonic ms as all here.

    `left_out`: refusals without a record of their own since `since_ms`.
    """

    used: Mapping[str, tuple[float, int]] = {}
    left_out: int = 0
    since_ms: int = 0

    def has_room(self, source: str, now_ms: int) -> bool:
        """Whether one more refusal of this source is recorded on its own."""
        return self._used(source, now_ms) <= AT_ONCE - 1

    def recorded(self, source: str, now_ms: int) -> Sparing:
        """One was."""
        one_more = (self._used(source, now_ms) + 1, now_ms)
        return msgspec.structs.replace(self, used={**self.used, source: one_more})

    def one_left_out(self, now_ms: int) -> Sparing:
        """One was not."""
        since = self.since_ms if self.left_out else now_ms
        return msgspec.structs.replace(self, left_out=self.left_out + 1, since_ms=since)

    def is_due(self, now_ms: int) -> bool:
        """Whether the number of those left out is to be recorded now."""
        return self.left_out > 0 and now_ms - self.since_ms >= TELL_MS

    def told(self) -> Sparing:
        """It was: counting begins anew."""
        return msgspec.structs.replace(self, left_out=0)

    def _used(self, source: str, now_ms: int) -> float:
        used, at_ms = self.used.get(source, (0.0, now_ms))
        return max(0.0, used - PER_S * max(0, now_ms - at_ms) / 1000)
