"""How sharp a picture is. Pure; for whoever turns a camera's lens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hardware.decoder.picture_file import Grey

SHARPEST = 999

_FULL = 0.9
"""Spread of the edges over the spread of the picture that counts as the sharpest: a code of two
pixels a module comes to 0.7, of four to 0.4, a phone at the door in focus to 0.2 to 0.4."""

_FLAT = 8.0
"""Grey levels. A picture with less contrast than about this is an empty wall, and what is left in
it is the sensor's noise, which must not look sharp."""

_SMALLEST = 8
"""Pixels a side; in less there is nothing to measure."""

_Field = npt.NDArray[np.float32]


def sharpness(grey: Grey) -> int:
    """0 to 999, of the picture's middle, where the phone is held; half its width and height.

    The variance of the Laplacian (Pech-Pacheco et al., *Diatom autofocusing in brightfield
    microscopy*, ICPR 2000), of the picture averaged over 3×3 pixels against noise, and
    divided by the variance of the picture itself: more light or more contrast multiplies
    both alike. Only values of one scene compare, for it also depends on what is in view.

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
