"""The nights of the test suite, in four parts so that they can be played side by side."""

from __future__ import annotations

NIGHTS = 500
PARTS = 4


def part(number: int) -> range:
    """The seeds of one part; each has nights of every policy."""
    return range(number, NIGHTS, PARTS)
