"""How fast something may come from one sender for ever, and how much of it at once. Pure.

A gate that was away may bring what happened meanwhile: what an allowance can hold grows with the time
for which its sender may have had something waiting, and with nothing that it says itself (protocol 4.5).
"""

from __future__ import annotations

from gate.common.value import Value

DEEPEST_S = 60.0
"""Who goes on taking where nothing is left has to keep quiet for so long, and no longer."""


class Rate(Value, frozen=True):
    """So many a second for ever, and so many more at once."""

    per_s: float
    at_once: float


class Allowance:
    """What is left of a rate to one sender: a token bucket.

    In any span of time, whoever stops when nothing is left takes at most ``at_once + per_s * span`` and the
    last thing taken; more only after an absence, ``per_s`` for each second of it.

    :param now: seconds, of a clock that never jumps, here and below.
    :param away_s: how long ago it is known to have had nothing waiting.
    :param left: what there is of it `now`. None: as much as there may be at once.
    """

    def __init__(self, rate: Rate, now: float, away_s: float = 0.0, left: float | None = None) -> None:
        self._rate = rate
        self._at = now
        self.left = self._most(away_s) if left is None else left

    def _most(self, away_s: float) -> float:
        return self._rate.at_once + self._rate.per_s * max(0.0, away_s)

    def fill(self, now: float, away_s: float = 0.0) -> float:
        """What is left now."""
        grown = self.left + self._rate.per_s * max(0.0, now - self._at)
        self.left = min(grown, self._most(away_s))
        self._at = now
        return self.left

    def take(self, count: float) -> None:
        """`count` came; a negative one gives back."""
        self.left -= count

    def insist(self, count: float) -> None:
        """`count` came though nothing was left: the wait begins again, up to `DEEPEST_S`."""
        self.left = min(self.left, max(self.left - count, -DEEPEST_S * self._rate.per_s))

    def is_left(self, now: float) -> bool:
        """Whether anything is. A clock that goes back gives nothing."""
        return self.fill(max(now, self._at)) > 0

    def spend(self, count: float, now: float) -> bool:
        """`count` came: whether it was within the allowance. What was not is owed by nobody."""
        was_enough = count <= self.fill(max(now, self._at))
        self.left = max(0.0, self.left - count)
        return was_enough
