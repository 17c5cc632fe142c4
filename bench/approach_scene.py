"""Where light comes from in an approach, and what it passes on its way to the sensor. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from PIL import Image

from bench.approach_card import Card
from bench.approach_hand import Matrix, seen
from bench.sensor import HEIGHT, NATIVE, WIDTH, Picture, softened
from gate.common.value import Value

MARGIN = 24
"""Pixels around what is held up that its blur may reach."""
DARK = 0.1
"""cd/m² of a dark corner of the club."""
_FINEST = 0.45
"""Cycles for each pixel of the frame above which hardly any of a beat is left."""

Box = tuple[slice, slice]
"""Rows and columns."""
Spot = tuple[float, float, float]
"""Across, down and radius in pixels; Gaussian."""


class Lamp(Value, frozen=True):
    """A light of the club, out of focus: place and radius in pixels, cd/m², beats a second."""

    x: float
    y: float
    radius: float
    nits: float
    hertz: float


def club(lamps: Sequence[Lamp], t: float) -> Picture:
    """Behind the guest: nearly dark, with lamps in time with the music. cd/m²."""
    beats = [lamp.nits * (0.55 + 0.45 * np.sin(2 * np.pi * lamp.hertz * t + lamp.x)) for lamp in lamps]
    return np.float32(DARK) + spots([(lamp.x, lamp.y, lamp.radius) for lamp in lamps], beats)


def spots(places: Sequence[Spot], strengths: Sequence[float] = (1.0,)) -> Picture:
    """Spots added up; `strengths`: how bright the middle of each is."""
    x, y, radius = (np.array(values, np.float32)[:, None] for values in zip(*places, strict=True))
    across = np.exp(-0.5 * ((np.arange(WIDTH, dtype=np.float32) - x) / radius) ** 2)
    down = np.exp(-0.5 * ((np.arange(HEIGHT, dtype=np.float32) - y) / radius) ** 2)
    light: Picture = (down * np.array(strengths, np.float32)[:, None]).T @ across
    return light


def box_of(thing: Card, view: Matrix) -> Box:
    """Rows and columns of the frame with the drawing in them, and room for its blur."""
    to_frame = view @ np.linalg.inv(thing.to_dots)
    corners = product((0, thing.drawing.width), (0, thing.drawing.height))
    columns, rows = zip(*(seen(to_frame, *corner) for corner in corners), strict=True)
    return _span(rows, HEIGHT), _span(columns, WIDTH)


def _span(places: Sequence[float], size: int) -> slice:
    low, high = min(places) - MARGIN, max(places) + MARGIN
    return slice(*(int(min(size, max(0, place))) for place in (low, high)))


def projected(thing: Card, view: Matrix, box: Box) -> Picture:
    """The drawing as the lens sees it, 1 to 255; 0 where it is not."""
    rows, columns = box
    from_corner = np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1]])
    to_drawing = thing.to_dots @ np.linalg.inv(view) @ from_corner
    coefficients = (to_drawing / to_drawing[2, 2]).ravel()[:8]
    size = columns.stop - columns.start, rows.stop - rows.start
    seen_through = thing.drawing.transform(
        size, Image.Transform.PERSPECTIVE, tuple(coefficients), Image.Resampling.BILINEAR
    )
    return np.asarray(seen_through, dtype=np.float32)


def moire(view: Matrix, pitch: float, strength: float) -> Picture:
    """The beat of a screen's grid with the sensor's own, which is finer than the frame's; 1 on average.

    Where the beat too is finer than the frame's pixels, the camera's scaler averages it away.

    :param pitch: the screen's dots per cm.
    :param strength: 0 to 1.
    """
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    back = np.linalg.inv(view).astype(np.float32)
    depth = back[2, 0] * x + back[2, 1] * y + back[2, 2]
    light = np.ones((HEIGHT, WIDTH), np.float32)
    for row, along in ((back[0], x), (back[1], y)):
        dots = (row[0] * x + row[1] * y + row[2]) / depth * np.float32(pitch)
        beat = dots - np.float32(NATIVE) * along
        swing = 0.5 * strength * np.exp(-((_per_pixel(beat) / _FINEST) ** 2))
        light += np.float32(swing) * np.cos(np.float32(2 * np.pi) * beat)
    return light


def _per_pixel(cycles: Picture) -> float:
    """Cycles for each pixel in the middle of the frame."""
    y, x = HEIGHT // 2, WIDTH // 2
    return float(np.hypot(cycles[y, x + 1] - cycles[y, x], cycles[y + 1, x] - cycles[y, x]))


def through_drop(light: Picture, drop: Spot, strength: float) -> Picture:
    """With a drop on the lens: a patch of the frame is blurred."""
    share = np.minimum(1, np.float32(1.5 * strength) * spots([drop]))
    through: Picture = light + share * (widely_blurred(light, 4) - light)
    return through


def widely_blurred(light: Picture, pixels: int) -> Picture:
    """By a standard deviation a little above so many pixels, a divisor of the frame's sides."""
    small = softened(np.asarray(Image.fromarray(light).reduce(pixels)), 1.0)
    return np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR))
