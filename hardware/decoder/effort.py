"""How hard the decoder is to try on one picture. Pure, and imports nothing heavy."""

from __future__ import annotations

from enum import IntEnum

SECOND_OPINION_EVERY = 3
"""Of this many frames in a row that show only foreign codes, everything is tried on one."""


class Effort(IntEnum):
    """What to try on a picture. `FRAME`: the next frame comes in 40 ms. `STILL`: there is only this one.

    `SECOND_OPINION`: find everything in a frame, whatever is read first. A poster in view must not hide a
    phone that only a later step reads.

    The others are for a frame after one that was tried with `FRAME`, and try something else on it.
    `SHARPENED`: against blur. `WALLET`: the symbols of wallet passes. `EVENED`: a threshold from each pixel's
    surroundings. `LIFTED`: a closer search in what is dark. `FINE_WALLET`: as `WALLET`, for small symbols.
    """

    FRAME = 0
    SECOND_OPINION = 1
    STILL = 2
    SHARPENED = 3
    WALLET = 4
    EVENED = 5
    LIFTED = 6
    FINE_WALLET = 7


ROTATION = (
    *(Effort.FRAME, Effort.SHARPENED, Effort.FRAME, Effort.WALLET),
    *(Effort.FRAME, Effort.SHARPENED, Effort.FRAME, Effort.EVENED),
    *(Effort.FRAME, Effort.SHARPENED, Effort.FRAME, Effort.FINE_WALLET),
    *(Effort.FRAME, Effort.SHARPENED, Effort.FRAME, Effort.LIFTED),
)
"""What is tried on frames in a row without a code of ours. No frame affords everything. What reads most comes
most often (docs/performance.md), and a wallet pass is read in no other way."""


def effort(missed: int, foreign: bool = False) -> Effort:
    """How hard to try on a frame after `missed` frames without a code of ours.

    :param foreign: whether the last of them showed another code.
    """
    if foreign and missed % SECOND_OPINION_EVERY == SECOND_OPINION_EVERY - 1:
        return Effort.SECOND_OPINION
    return ROTATION[missed % len(ROTATION)]
