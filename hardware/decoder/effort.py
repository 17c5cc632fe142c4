"""How hard the decoder is to try on one picture. Pure, and imports nothing heavy."""

from __future__ import annotations

from enum import IntEnum

SECOND_OPINION_EVERY = 3
"""Of this many frames in a row without a code of ours, pyzbar tries one too (quality 7.3)."""


class Effort(IntEnum):
    """`FRAME`: the next frame comes in 40 ms. `STILL`: there is only this one.

    `SECOND_OPINION`: find everything in a frame, whatever is read first. A poster in view must not hide a
    phone that only a later step reads.
    """

    FRAME = 0
    SECOND_OPINION = 1
    STILL = 2


def effort(missed: int) -> Effort:
    """How hard to try on a frame after `missed` frames without a code of ours."""
    return (
        Effort.SECOND_OPINION if missed % SECOND_OPINION_EVERY == SECOND_OPINION_EVERY - 1 else Effort.FRAME
    )
