"""Looks into the modules of a QR symbol: is it one part of a structured-append sequence?

zxing-cpp reads a part like any other code, and its Python interface does not say that it is one (seen with
3.1.1), but it can draw the modules that it sampled. ISO/IEC 18004 places the first four bits of the data, the
mode indicator, in the 2×2 modules of the lower right corner, and 0011 means structured append (7.4.1, table
2; 7.7.3 for the placement).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_STRUCTURED_APPEND = 0b0011
# ISO/IEC 18004, table 10: row i, column j is inverted where the condition holds
_MASKS: tuple[Callable[[int, int], bool], ...] = (
    lambda i, j: (i + j) % 2 == 0,
    lambda i, _: i % 2 == 0,
    lambda _, j: j % 3 == 0,
    lambda i, j: (i + j) % 3 == 0,
    lambda i, j: (i // 2 + j // 3) % 2 == 0,
    lambda i, j: (i * j) % 2 + (i * j) % 3 == 0,
    lambda i, j: ((i * j) % 2 + (i * j) % 3) % 2 == 0,
    lambda i, j: ((i + j) % 2 + (i * j) % 3) % 2 == 0,
)


def looks_like_part(barcode: Any) -> bool:
    """Whether the mode indicator says structured append, as sampled, before error correction.

    One misread module can turn 0010 (our codes) into it, so True is a suspicion, not a proof.

    :param barcode: a `zxingcpp.Barcode` of format QRCode.
    """
    modules = np.asarray(barcode.to_image(scale=1, add_quiet_zones=False)) < 128
    mask = _MASKS[int(barcode.extra["DataMask"])]
    last = modules.shape[0] - 1
    corner = ((last, last), (last, last - 1), (last - 1, last), (last - 1, last - 1))
    mode = 0
    for row, column in corner:
        mode = mode << 1 | (bool(modules[row, column]) ^ mask(row, column))
    return mode == _STRUCTURED_APPEND
