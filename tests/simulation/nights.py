"""The nights of the test suite, in four parts so that they can be played side by side.

300, because 500 take the whole suite to its limit of 20 minutes; `make soak` plays more.
"""

from __future__ import annotations

NIGHTS = 300
PARTS = 4


def part(number: int) -> range:
    """The seeds of one part; each has nights of every policy."""
    return range(number, NIGHTS, PARTS)
