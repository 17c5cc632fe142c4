"""What may come of one sender: so much at once, and so much more each second. Pure."""

from __future__ import annotations


class Budget:
    """So much at once, and so much more each second.

    :param left: what there is of it at `now_ms`. None: as much as there may be at once.
    """

    def __init__(self, a_second: float, at_once: float, now_ms: int, left: float | None = None) -> None:
        self._a_second, self._at_once = a_second, at_once
        self._left, self._at_ms = at_once if left is None else left, now_ms

    def is_left(self, now_ms: int) -> bool:
        """Whether anything is."""
        passed_ms = max(0, now_ms - self._at_ms)
        self._left = min(self._left + self._a_second * passed_ms / 1000, self._at_once)
        self._at_ms = max(self._at_ms, now_ms)
        return self._left > 0

    def spend(self, amount: float, now_ms: int) -> bool:
        """Whether it was enough; what was not is owed by nobody."""
        self.is_left(now_ms)
        was_enough = amount <= self._left
        self._left = max(0.0, self._left - amount)
        return was_enough
