"""A code found in a picture, as a value. Pure, and imports nothing heavy."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec

MOST_CODES = 16
"""Codes reported per picture, those nearest to its middle; a wall of codes is not a guest."""


class FoundCode(msgspec.Struct, frozen=True):
    """One code. `offset`: its middle from the picture's middle, 0 to 1 (1: in a corner)."""

    raw: bytes
    offset: float


def offset_from_middle(x: float, y: float, shape: tuple[int, ...]) -> float:
    """`FoundCode.offset` of a point in a picture of `shape` (height, width)."""
    height, width = shape
    distance = math.hypot(x - width / 2, y - height / 2)
    return round(min(1.0, distance / math.hypot(width / 2, height / 2)), 4)


def nearest_first(found: Iterable[FoundCode]) -> tuple[FoundCode, ...]:
    """Each code once, where it was seen nearest to the middle."""
    nearest = {code.raw: code for code in sorted(found, key=lambda code: -code.offset)}
    return tuple(sorted(nearest.values(), key=lambda code: code.offset))
