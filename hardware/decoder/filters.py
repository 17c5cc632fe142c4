"""What a picture is put through before a decoder looks at it. Pure.

All of it stays within 8 bits, which takes an eighth of the time of floating point on the machines measured.
"""

from __future__ import annotations

import numpy as np

from hardware.decoder.picture_file import Grey

LARGE = 1600
"""Longer side in pixels above which a still picture is tried in reduced size first."""

NOISY = 5
"""From this grain on a frame is only tried smoothed. A quarter of all neighbouring pixels differ by less than
the grain. In 1000 scenes made with noise of 0 to 25 grey values, unsmoothed frames helped nowhere from a
noise of 12 on, where the grain is 5."""

_WINDOW = 32
"""Pixels a side of the square whose mean is the threshold of `evened`: larger than a module, smaller than a
shadow or a band of flicker."""


def mean(a: Grey, b: Grey) -> Grey:
    """The mean of two pictures, rounded down."""
    both = a ^ b
    both >>= 1
    both += a & b
    return both


def smoothed(grey: Grey) -> Grey:
    """Averaged over 3×3 pixels, weights 1-2-1 each way; two pixels smaller each way."""
    height, width = grey.shape
    if min(height, width) < 3:
        return grey
    # as one long row, which is three times as fast; what is mixed across the edges is cut off below
    sums = grey.astype(np.uint16).ravel()
    for step in (width, width, 1, 1):
        sums = sums[:-step] + sums[step:]
    smooth = np.empty((height - 2) * width, dtype=np.uint8)
    np.right_shift(sums, 4, out=smooth[:-2], casting="unsafe")
    return np.ascontiguousarray(smooth.reshape(height - 2, width)[:, :-2])


def halved(grey: Grey) -> Grey:
    """Half the size, each pixel the mean of four; a side of one pixel stays."""
    height, width = (side // 2 * 2 for side in grey.shape)
    rows = mean(grey[0:height:2], grey[1:height:2]) if height else grey
    return mean(rows[:, 0:width:2], rows[:, 1:width:2]) if width else rows


def reduced(grey: Grey) -> Grey:
    """Halved until the longer side is at most `LARGE`."""
    while max(grey.shape) > LARGE:
        grey = halved(grey)
    return grey


def doubled(grey: Grey) -> Grey:
    """Twice the size less one pixel, each new pixel the mean of its neighbours."""
    height, width = grey.shape
    rows = np.empty((2 * height - 1, width), np.uint8)
    rows[::2], rows[1::2] = grey, mean(grey[:-1], grey[1:])
    both = np.empty((2 * height - 1, 2 * width - 1), np.uint8)
    both[:, ::2], both[:, 1::2] = rows, mean(rows[:, :-1], rows[:, 1:])
    return both


def sharpened(grey: Grey, strength: int) -> Grey:
    """The picture plus `strength` times what smoothing takes from it; two pixels smaller each way."""
    if min(grey.shape) < 3:
        return grey
    sharp = grey[1:-1, 1:-1].astype(np.int16)
    sharp *= strength + 1
    sharp -= strength * smoothed(grey).astype(np.int16)
    return sharp.clip(0, 255).astype(np.uint8)


def lifted(grey: Grey) -> Grey:
    """Dark greys made lighter, which spreads what a dim phone shows over more values.

    A gamma of 0.5 in four straight lines, of slopes 4, 2, 1 and ½, which takes a third of the time.
    """
    up_to_16, up_to_32, up_to_128 = (
        np.minimum(grey, np.full_like(grey[:1], limit)) for limit in (16, 32, 128)
    )
    light = grey // 2
    light += up_to_128 // 2
    light += up_to_32
    light += up_to_16
    light += up_to_16
    return light


def evened(grey: Grey) -> Grey:
    """White where a pixel is at least as bright as its surroundings on average, else black.

    Shadows, glare and bands of flicker vanish. Sides are cut to multiples of four.
    """
    if min(grey.shape) < 4:
        return grey
    height, width = (side // 4 * 4 for side in grey.shape)
    grey = grey[:height, :width]
    quarter = halved(halved(grey))
    threshold = np.maximum(_local_mean(quarter, _WINDOW // 8), 2) - 2
    white = grey.reshape(height // 4, 4, -1) >= np.repeat(threshold, 4, axis=1)[:, None, :]
    black_and_white: Grey = np.negative(white.view(np.uint8))
    return black_and_white.reshape(height, width)


def _local_mean(grey: Grey, radius: int) -> Grey:
    """The mean over a square of 2 × `radius` pixels a side around each; at the edge, over what it repeats."""
    side = 2 * radius
    padded = np.pad(grey, ((radius, radius - 1), (radius, radius - 1)), "edge")
    sums = np.pad(padded.cumsum(0, dtype=np.uint32).cumsum(1, dtype=np.uint32), ((1, 0), (1, 0)))
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    average: Grey = (total // (side * side)).astype(np.uint8)
    return average


def steps_between_neighbours(rows: Grey) -> Grey:
    """How far each pixel is from the one to its left."""
    left, right = rows[:, :-1], rows[:, 1:]
    return np.maximum(left, right) - np.minimum(left, right)


def is_grain_at_least(limit: int, steps: Grey) -> bool:
    """Noise is everywhere, while prints and displays leave more than a quarter of a picture even."""
    return 4 * int(np.count_nonzero(steps < limit)) < steps.size
