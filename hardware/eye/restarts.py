"""What the ends of child processes say: how soon to start the next, and when to call a person. Pure."""

from __future__ import annotations

from collections import deque

QUICK_RETRY_S = 0.1
"""Before the first replacement: the next guest must not notice (architecture 5.1)."""

BURNT_RETRY_S = 0.5
"""Before the next where children keep ending: within a second with the start (0.13 s seen), and
yet not all the time there is."""

SLOW_RETRY_S = 3.0
"""Before the next where a device is missing: it may be plugged in again."""

FUSE = (5, 30.0)
"""This many ends within this many seconds are trouble that a person should see."""


class RestartPolicy:
    """The ends of one child's processes. All times are monotonic seconds.

    :param proof: how often a child must have done what it is for until it counts as working.
    :param in_a_row: so many ends without a child that worked in between are trouble, too:
        replacing cures nothing.
    """

    def __init__(self, proof: int = 1, in_a_row: int = 3) -> None:
        self.count = 0
        self._proof, self._done = proof, 0
        self._most_in_a_row, self._in_a_row = in_a_row, 0
        self._ended: deque[float] = deque(maxlen=FUSE[0])

    def ended(self, now: float) -> None:
        """A child ended or was given up."""
        self.count += 1
        self._ended.append(now)
        self._in_a_row = 1 if self.works else self._in_a_row + 1
        self._done = 0

    def delivered(self) -> None:
        """The child did what it is for."""
        self._done += 1

    def forget(self) -> None:
        """What was wrong is over."""
        self._ended.clear()
        self._in_a_row = 0

    @property
    def works(self) -> bool:
        """Whether the child of now is proven to work."""
        return self._done >= self._proof

    @property
    def keep_coming(self) -> bool:
        """Whether a person should be called, asked right after an end."""
        burnt = len(self._ended) == FUSE[0] and self._ended[-1] - self._ended[0] < FUSE[1]
        return burnt or self._in_a_row >= self._most_in_a_row

    @property
    def retry_s(self) -> float:
        """How long after the end the next child is started."""
        return BURNT_RETRY_S if self.keep_coming else QUICK_RETRY_S
