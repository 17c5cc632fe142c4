"""How many frames in a row had no code of ours, and whether the last had another, for each exposure."""

from __future__ import annotations

from collections import Counter


class Misses:
    """One count for all frames would beat in time with the turns.

    What the decoder tries depends on the count (`hardware.decoder.effort`): where every second frame is
    special and every second one is for dim screens, one of the two would never be tried on the other.
    """

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._foreign: dict[int, bool] = {}

    def before(self, exposure: int) -> int:
        """Frames of this exposure without a code of ours since one was read, whatever its exposure."""
        return self._counts[exposure]

    def was_foreign(self, exposure: int) -> bool:
        """Whether the last frame of this exposure showed another code. A poster may do so in one only."""
        return self._foreign.get(exposure, False)

    def missed(self, exposure: int, *, foreign: bool) -> None:
        """A frame of this exposure had no code of ours; `foreign`: but another."""
        self._counts[exposure] += 1
        self._foreign[exposure] = foreign

    def read(self) -> None:
        """A frame had one."""
        self._counts.clear()
        self._foreign.clear()
