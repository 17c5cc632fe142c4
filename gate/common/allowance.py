"""How fast one sender may send for ever, and how much at once. Pure.

A gate that was away may deliver what happened meanwhile: its allowance grows with the time for which it
may have had something waiting, and with nothing that it says itself (protocol 4.5).
"""

from __future__ import annotations

from gate.common.value import Value

DEEPEST_S = 60.0
"""The longest a sender who ignores an empty allowance has to keep quiet."""


class Rate(Value, frozen=True):
    """How many a second for ever, and how many more at once."""

    per_s: float
    at_once: float


class Allowance:
    """What one sender has left of a rate: a token bucket.

    A sender who stops when nothing is left takes at most ``at_once + per_s * span`` in any span of time,
    plus the last thing taken; after an absence, ``per_s`` more for each second of it.

    :param now: seconds of a clock that never jumps, here and below.
    :param away_s: how long ago the sender is known to have had nothing waiting.
    :param left: what is left `now`. None: all there may be at once.
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
        """`count` came; a negative one is given back."""
        self.left -= count

    def insist(self, count: float) -> None:
        """`count` came though nothing was left: the wait grows, up to `DEEPEST_S`."""
        self.left = min(self.left, max(self.left - count, -DEEPEST_S * self._rate.per_s))

    def is_left(self, now: float) -> bool:
        """Whether anything is left. A clock that goes back gives nothing."""
        return self.fill(max(now, self._at)) > 0

    def spend(self, count: float, now: float) -> bool:
        """`count` came: whether it was within the allowance. Any excess is forgotten, not owed."""
        was_enough = count <= self.fill(max(now, self._at))
        self.left = max(0.0, self.left - count)
        return was_enough
