"""A cheap camera with a rolling shutter, as a model: what an exposure makes of light. Pure.

Constants are those of a Camera Module 3 (IMX708, 1.4 µm pixels binned 2×2, f/1.8), to the order of magnitude.
What the model leaves out is in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gate.common.value import Value
from hardware.decoder.picture_file import Grey

WIDTH, HEIGHT = 640, 480
FOCAL_PX = 533
"""Focal length in pixels of the 640 wide frame: it sees 62° across."""
NATIVE = 3.6
"""Pixels of the sensor, binned, for each pixel of the frame: 2304 for 640."""
APERTURE_CM = 0.263
"""Diameter of the lens' opening: 4.74 mm at f/1.8."""
SHARPEST_PX = 0.55
"""Standard deviation of the blur of lens and pixels at the distance of best focus."""
READOUT_S = 0.018
"""From the first row's exposure to the last row's."""
ROW_S = READOUT_S / HEIGHT

ELECTRONS = 1750
"""Per second and cd/m²: π/4/f² lux on the sensor for each cd/m², 32,000 photons per lux and second on four
pixels, of which a quarter survive filter and silicon."""
FULL = 24_000
"""Electrons of four pixels that fill the converter at gain 1."""
STEPS = 4096
"""Of the converter: four times ten bits, added up."""
READ_NOISE, CONVERTER_NOISE = 3.0, 12.0
"""Standard deviations in electrons: before the gain, and after it, where gain makes it matter less."""
GAMMA = 2.2

Picture = npt.NDArray[np.float32]
"""Light in cd/m², height × width."""
Rows = npt.NDArray[np.float32]
"""A factor for each row of the frame, height × 1."""


class Shutter(Value, frozen=True):
    """Exposure time and analogue gain."""

    seconds: float
    gain: float


def _grey_values() -> Grey:
    linear = np.arange(STEPS) / (STEPS - 1)
    grey: Grey = (255 * linear ** (1 / GAMMA)).round().astype(np.uint8)
    return grey


_GREY = _grey_values()


def developed(light: Picture, shutter: Shutter, rng: np.random.Generator) -> Grey:
    """The frame: shot noise, read noise, saturation, conversion, gamma."""
    electrons = light * np.float32(ELECTRONS * shutter.seconds)
    variance = electrons + np.float32(READ_NOISE**2 + (CONVERTER_NOISE / shutter.gain) ** 2)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    np.sqrt(variance, out=variance)
    noise *= variance
    noise += electrons
    noise *= np.float32(shutter.gain / FULL * (STEPS - 1))
    np.clip(noise, 0, STEPS - 1, out=noise)
    return _GREY.take(noise.astype(np.intp))


def row_starts(start: float) -> npt.NDArray[np.float64]:
    """When the exposure of each row begins, in s, if that of the first begins at `start`."""
    starts: npt.NDArray[np.float64] = start + ROW_S * np.arange(HEIGHT, dtype=np.float64)[:, None]
    return starts


def under_lamp(hertz: float, depth: float, start: float, seconds: float) -> Rows:
    """Mean light of a lamp that swings by `depth` around 1, over each row's exposure."""
    # np.sinc is zero for a whole number of flickers: the reason why exposures are such numbers
    swing = depth * np.sinc(hertz * seconds)
    middle = row_starts(start) + seconds / 2
    return (1 + swing * np.cos(2 * np.pi * hertz * middle)).astype(np.float32)


def under_pulses(hertz: float, duty: float, start: float, seconds: float) -> Rows:
    """Mean light of a screen dimmed by pulses, over each row's exposure; its mean over time is 1.

    :param duty: share of the time in which the screen shines; 1: it is not dimmed by pulses.
    """
    begin = row_starts(start) * hertz
    shone = _shone(begin + hertz * seconds, duty) - _shone(begin, duty)
    return (shone / (hertz * seconds * duty)).astype(np.float32)


def _shone(cycles: npt.NDArray[np.float64], duty: float) -> npt.NDArray[np.float64]:
    whole = np.floor(cycles)
    shone: npt.NDArray[np.float64] = whole * duty + np.minimum(cycles - whole, duty)
    return shone


def moved(light: Picture, across: float, down: float) -> Picture:
    """Blurred by a motion of so many pixels during the exposure; the edge is repeated."""
    taps = list(_places(across, down))
    if len(taps) == 1:
        return light
    reach = max(max(abs(x), abs(y)) for x, y in taps)
    padded = np.pad(light, reach, mode="edge")
    height, width = light.shape
    total = np.zeros_like(light)
    for x, y in taps:
        total += padded[reach + y : reach + y + height, reach + x : reach + x + width]
    total *= np.float32(1 / len(taps))
    return total


def _places(across: float, down: float) -> Iterator[tuple[int, int]]:
    """The pixels of the way, its middle at the origin."""
    # more would show nothing: what the lens softens lies closer than these
    steps = min(16, max(1, round(max(abs(across), abs(down)) + 0.5)))
    for number in range(steps):
        place = (number + 0.5) / steps - 0.5
        yield round(across * place), round(down * place)


def softened(light: Picture, deviation: float) -> Picture:
    """Out of focus: a Gaussian of this standard deviation in pixels."""
    reach = max(1, round(2.5 * deviation))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        light = _weighted(light, weights[reach:], axis)
    return light


def _weighted(light: Picture, half: npt.NDArray[np.float32], axis: int) -> Picture:
    """Convolved along an axis with a symmetric kernel, given from its middle; the edge is repeated."""
    reach, size = len(half) - 1, light.shape[axis]
    margins = [(reach, reach) if axis == this else (0, 0) for this in (0, 1)]
    padded = np.moveaxis(np.pad(light, margins, mode="edge"), axis, 0)
    total: Picture = padded[reach : reach + size] * half[0]
    for step in range(1, reach + 1):
        both = padded[reach - step : reach - step + size] + padded[reach + step : reach + step + size]
        both *= half[step]
        total += both
    return np.moveaxis(total, 0, axis)
