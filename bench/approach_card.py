"""What is held up in an approach, flat and from the front: a phone's screen or a sheet of paper. Pure."""

from __future__ import annotations

import base64
import random

import numpy as np
import numpy.typing as npt
import segno
from PIL import Image, ImageDraw, ImageOps

from bench import night
from bench.approach_hand import Matrix
from gate.common.value import Value

MODULE = 4
"""Dots of the drawing per module: at most two for each pixel of the frame, so that none is skipped."""
QUIET_ZONE = 4
_SCREEN_CM, _PAPER_CM = (6.6, 14.2), (9.0, 12.0)


class Card(Value, frozen=True):
    """`drawing`: 1 to 255 in proportion to its light; `side`: of the code, in cm, without its quiet zone.

    `to_dots`: from cm, with the middle of the code at 0, to dots of the drawing.
    """

    text: str
    drawing: Image.Image
    side: float
    to_dots: Matrix


def card(number: int, rng: random.Random, *, paper: bool, dark: bool, cracks: int) -> Card:
    """A ticket; one code in three is signed, and long.

    :param dark: the screen is in dark mode, the code bright on black.
    :param cracks: how many cracks of the glass run over the code.
    """
    text = night.code(number) + (_signature(number) if number % 3 == 0 else "")
    code = segno.make(text, micro=False, boost_error=False)
    modules = 255 - 254 * np.array(list(code.matrix_iter(border=QUIET_ZONE)), dtype=np.uint8)
    side = rng.uniform(3.3, 5.2) + (0.6 if number % 3 == 0 else 0)
    scale = MODULE * (len(modules) - 2 * QUIET_ZONE) / side
    drawing, middle = _drawing(modules, scale, _PAPER_CM if paper else _SCREEN_CM, rng)
    if dark:
        drawing = drawing.point([max(1, 256 - grey) for grey in range(256)])
    if not paper:
        drawing, middle = _in_its_body(drawing, middle, scale)
    if cracks:
        _crack(drawing, middle, side * scale, cracks, rng)
    to_dots = np.array([[scale, 0, middle[0]], [0, scale, middle[1]], [0, 0, 1]])
    return Card(text=text, drawing=drawing, side=side, to_dots=to_dots)


def _signature(number: int) -> str:
    """Well-formed, but of nothing: 64 bytes."""
    return ".K1" + base64.b32encode(random.Random(number).randbytes(64)).decode().rstrip("=")


def _drawing(
    modules: npt.NDArray[np.uint8], scale: float, size: tuple[float, float], rng: random.Random
) -> tuple[Image.Image, tuple[float, float]]:
    """The sheet with its code and some lines of text, and where the code's middle is."""
    code = Image.fromarray(modules).resize((MODULE * len(modules),) * 2, Image.Resampling.NEAREST)
    width, height = (max(code.width + 8, round(scale * side)) for side in size)
    sheet = Image.new("L", (width, max(height, code.height + 8)), 255)
    left, top = (width - code.width) // 2, round((sheet.height - code.height) * rng.uniform(0.3, 0.6))
    _write(ImageDraw.Draw(sheet), sheet.width, (0.4 * top, 0.8 * top), scale, rng)
    _write(ImageDraw.Draw(sheet), sheet.width, (top + code.height, 0.95 * sheet.height), scale, rng)
    sheet.paste(code, (left, top))
    return sheet, (left + code.width / 2, top + code.height / 2)


def _in_its_body(
    screen: Image.Image, middle: tuple[float, float], scale: float
) -> tuple[Image.Image, tuple[float, float]]:
    """The phone around its screen: black."""
    edge = round(0.35 * scale)
    phone = ImageOps.expand(screen, edge, fill=1)
    return phone, (middle[0] + edge, middle[1] + edge)


def _write(
    pen: ImageDraw.ImageDraw, width: int, rows: tuple[float, float], scale: float, rng: random.Random
) -> None:
    """Lines of words, as dark boxes."""
    for y in np.arange(rows[0], rows[1], 0.7 * scale):
        x = 0.1 * width
        while x < 0.8 * width:
            long = rng.uniform(0.4, 1.2) * scale
            pen.rectangle((x, y, min(x + long, 0.9 * width), y + 0.3 * scale), fill=rng.randint(20, 90))
            x += long + 0.25 * scale


def _crack(
    drawing: Image.Image, middle: tuple[float, float], side: float, cracks: int, rng: random.Random
) -> None:
    """Cracks run outwards from where the glass was hit; their edges scatter the screen's light."""
    pen = ImageDraw.Draw(drawing)
    hit = [at + side * rng.uniform(-0.6, 0.6) for at in middle]
    first = rng.uniform(0, 2 * np.pi)
    for number in range(cracks):
        heading = first + 2 * np.pi * number / cracks + rng.uniform(-0.4, 0.4)
        x, y = hit
        for _ in range(rng.randint(4, 14)):
            heading += rng.gauss(0, 0.3)
            step = side * rng.uniform(0.05, 0.15)
            end = x + step * np.cos(heading), y + step * np.sin(heading)
            pen.line((x, y, *end), fill=rng.choice((1, 30, 140, 190, 240)), width=rng.randint(1, MODULE - 1))
            x, y = end
