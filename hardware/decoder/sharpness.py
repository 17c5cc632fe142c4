"""How sharp a picture is, for a person who turns a camera's lens. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hardware.decoder.picture_file import Grey

SHARPEST = 999

_FULL = 0.9
"""Spread of the edges, divided by the spread of the picture, that counts as sharpest. A code of two pixels a
module has 0.7, of four 0.4, a phone in focus at the door 0.2 to 0.4."""

_FLAT = 8.0
"""Grey values. A picture with less contrast than about this shows an empty wall and the sensor's noise, which
must not look sharp."""

_SMALLEST = 8
"""Pixels a side; a smaller picture cannot be measured."""

_Field = npt.NDArray[np.float32]


def sharpness(grey: Grey) -> int:
    """0 to 999, for the middle half of width and height, where the phone is held.

    The variance of the Laplacian (Pech-Pacheco et al., *Diatom autofocusing in brightfield microscopy*, ICPR
    2000), of the picture averaged over 3×3 pixels against noise, divided by the variance of the picture
    itself: more light or more contrast multiplies both equally. Only values of one scene can be compared,
    since the value also depends on what is in view.

    :param grey: height × width.
    """
    middle = _middle(grey)
    if min(middle.shape) < _SMALLEST:
        return 0
    smooth = _smoothed(middle.astype(np.float32))
    edges = float(_laplacian(smooth).std())
    contrast = float(np.hypot(smooth.std(), _FLAT))
    return min(SHARPEST, round(SHARPEST * edges / contrast / _FULL))


def _middle(grey: Grey) -> Grey:
    height, width = grey.shape
    return grey[height // 4 : height - height // 4, width // 4 : width - width // 4]


def _smoothed(field: _Field) -> _Field:
    """Weights 1-2-1 each way; two pixels smaller each way."""
    rows = field[:-2] + 2 * field[1:-1] + field[2:]
    smooth: _Field = rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]
    return smooth / np.float32(16)


def _laplacian(field: _Field) -> _Field:
    around = field[:-2, 1:-1] + field[2:, 1:-1] + field[1:-1, :-2] + field[1:-1, 2:]
    laplacian: _Field = around - 4 * field[1:-1, 1:-1]
    return laplacian
