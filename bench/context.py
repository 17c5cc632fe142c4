"""What each subject receives."""

from __future__ import annotations

from pathlib import Path

from gate.common.value import Value


class Context(Value, frozen=True):
    """`folder`: for the run's files, on a real disk. `data`: the pictures, if present.

    `share`: fraction of the usual number of rounds; below 1 the run is faster and less precise.
    """

    folder: Path
    data: Path
    share: float = 1.0

    def rounds(self, usual: int) -> int:
        """How many rounds to measure; at least enough for percentiles of a fifth of them."""
        return max(50, int(usual * self.share))
