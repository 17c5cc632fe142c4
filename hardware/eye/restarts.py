"""After a child process ended: how soon to start the next, and when to call a person. Pure."""

from __future__ import annotations

from collections import deque

QUICK_RETRY_S = 0.1
"""Before the first replacement; the next guest must not notice (architecture 5.1)."""

BURNT_RETRY_S = 0.5
"""Before the next one if children keep ending: with the start (0.13 s seen) within a second, without taking
all of the CPU."""

SLOW_RETRY_S = 3.0
"""Before the next one if a device is missing; it may be plugged in again."""

FUSE = (5, 30.0)
"""This many ends within this many seconds are trouble that a person should see."""


class RestartPolicy:
    """For the processes of one child. All times are monotonic seconds.

    :param proof: how often a child must have done its work to count as working.
    :param in_a_row: this many ends without a working child in between are trouble too: replacing does not
        help.
    """

    def __init__(self, proof: int = 1, in_a_row: int = 3) -> None:
        self.count = 0
        self._proof, self._done = proof, 0
        self._most_in_a_row, self._in_a_row = in_a_row, 0
        self._ended: deque[float] = deque(maxlen=FUSE[0])

    def ended(self, now: float) -> None:
        """A child ended or was killed."""
        self.count += 1
        self._ended.append(now)
        self._in_a_row = 1 if self.works else self._in_a_row + 1
        self._done = 0

    def delivered(self) -> None:
        """The child did its work once."""
        self._done += 1

    def forget(self) -> None:
        """What was wrong is over."""
        self._ended.clear()
        self._in_a_row = 0

    @property
    def works(self) -> bool:
        """Whether the present child has proved that it works."""
        return self._done >= self._proof

    @property
    def keep_coming(self) -> bool:
        """Whether a person should be called. Ask right after an end."""
        burnt = len(self._ended) == FUSE[0] and self._ended[-1] - self._ended[0] < FUSE[1]
        return burnt or self._in_a_row >= self._most_in_a_row

    @property
    def retry_s(self) -> float:
        """How long after the end the next child is started."""
        return BURNT_RETRY_S if self.keep_coming else QUICK_RETRY_S
