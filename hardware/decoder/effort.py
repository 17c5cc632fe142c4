"""How hard the decoder is to try on one picture. Pure, and imports nothing heavy."""

from __future__ import annotations

from enum import IntEnum

SECOND_OPINION_EVERY = 3
"""Every so many frames in a row in which nothing of ours was found, pyzbar looks too (quality 7.3)."""


class Effort(IntEnum):
    """`FRAME`: the next frame comes in 40 ms. `STILL`: there is only this one.

    `SECOND_OPINION`: all there is to be found in a frame, whatever is read first. A poster in
    view must not hide a phone that only a later step reads.
    """

    FRAME = 0
    SECOND_OPINION = 1
    STILL = 2


def effort(missed: int) -> Effort:
    """How hard to try on a frame after `missed` frames in which nothing of ours was found."""
    return (
        Effort.SECOND_OPINION if missed % SECOND_OPINION_EVERY == SECOND_OPINION_EVERY - 1 else Effort.FRAME
    )
