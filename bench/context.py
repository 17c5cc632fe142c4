"""What every subject is given."""

from __future__ import annotations

from pathlib import Path

from gate.common.value import Value


class Context(Value, frozen=True):
    """`folder`: for the run's files, on a real disk. `data`: the pictures, if they are there.

    `share`: of the usual number of rounds; below 1 the figures are less sure and sooner there.
    """

    folder: Path
    data: Path
    share: float = 1.0

    def rounds(self, usual: int) -> int:
        """How many rounds to measure; never so few that a fifth of them has no percentile."""
        return max(50, int(usual * self.share))
