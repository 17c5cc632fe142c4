"""The nights of the test suite, in four parts so that they can be played side by side.

500 were asked for; they take some 15 minutes of one processor, so the suite has fewer; `make soak` plays
the rest.
"""

from __future__ import annotations

NIGHTS = 200
PARTS = 4


def part(number: int) -> range:
    """The seeds of one part; each has nights of every policy."""
    return range(number, NIGHTS, PARTS)
