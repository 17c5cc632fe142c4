"""A list of pictures, read by processes that may end in the middle. Pure.

A process that ends while it reads a picture is replaced, and the next process starts with that picture, not
with the first one: each picture is to be looked at once. A picture that ends two processes is skipped, since
it was probably made to do that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hardware.camera.tried_files import TRIES


class PictureList:
    """The pictures still to be shown, the next one first."""

    def __init__(self, files: Iterable[str]) -> None:
        self._left = deque(files)
        self._ends = 0

    @property
    def left(self) -> tuple[str, ...]:
        """What a new process is to show."""
        return tuple(self._left)

    def shown(self) -> None:
        """The next picture was shown, or refused in words."""
        if self._left:
            self._left.popleft()
        self._ends = 0

    def ended(self) -> str:
        """A process ended before it had shown the next picture. Returns its name if it is skipped."""
        self._ends += 1
        if not self._left or self._ends < TRIES:
            return ""
        self._ends = 0
        return self._left.popleft()
