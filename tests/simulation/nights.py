"""The nights of the test suite, in two parts, played side by side; `make soak` plays more."""

from __future__ import annotations

from tests.long import cases

NIGHTS = cases(30, long=500)
PARTS = 2


def part(number: int) -> range:
    """The seeds of one part; each has nights of every policy."""
    return range(number, NIGHTS, PARTS)
