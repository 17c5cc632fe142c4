"""A page as a picture: pure, one bit per pixel, the same on every machine."""

from __future__ import annotations

from PIL import Image, ImageDraw

from display import fonts
from display.layout import MARK, layout
from display.shapes import Box, Layout, Roll, Text
from display.words import Icon, Page

Size = tuple[int, int]

NORM: Size = (128, 64)
"""The usual panel, in pixels (SSD1306, SH1106)."""

HOLD = 1.2
"""Seconds everything stands still before it scrolls."""

UPWARDS = 26.0
"""Rows a second: two lines of names."""

SIDEWAYS = 40.0
"""Columns a second."""

_LIT, _DARK = 1, 0
_THIN = 18  # from this size on the font's strokes look thin from afar: they are drawn a pixel wider
_PAUSE = 24  # columns of nothing between the end of a moving line and its next beginning


def draw(page: Page, size: Size = NORM, t: float = 0.0) -> Image.Image:
    """Paint a page.

    :param size: width and height of the panel in pixels, at least 128 × 64.
    :param t: seconds since the page appeared; matters only where something scrolls.
    :returns: a picture of mode "1"; lit pixels are 1.
    """
    plan = layout(page, size)
    picture = Image.new("1", size, _DARK)
    _paint(picture, plan, t)
    return picture


def moves(page: Page, size: Size = NORM) -> bool:
    """Whether the picture of this page changes with time."""
    return layout(page, size).moves


def _paint(picture: Image.Image, plan: Layout, t: float) -> None:
    pen = ImageDraw.Draw(picture)
    if plan.bar is not None:
        pen.rectangle((plan.bar.x, plan.bar.y, plan.bar.right - 1, plan.bar.bottom - 1), fill=_LIT)
    if plan.mark is not None:
        _online_mark(pen, *plan.mark)
    if plan.icon_box is not None:
        picture.paste(_LIT, (plan.icon_box.x, plan.icon_box.y), icon(plan.icon, plan.icon_box.w))
    for text in plan.texts:
        _text(picture, text, t)
    if plan.roll is not None:
        _roll(picture, plan.roll, t)


def _online_mark(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """Four rising bars, as telephones show reception."""
    for column in range(0, MARK, 2):
        pen.line((x + column, y + MARK - 1, x + column, y + MARK - 1 - column), fill=_LIT)


def _text(picture: Image.Image, text: Text, t: float) -> None:
    box = text.box
    if box.w <= 0 or box.h <= 0:
        return
    strip = Image.new("1", (box.w, box.h), _LIT if text.black else _DARK)
    _write(strip, text.text, text.size, text.align, 0, t, _DARK if text.black else _LIT)
    picture.paste(strip, (box.x, box.y))


def _write(  # noqa: PLR0913, PLR0917 - a picture, and what, how large, where, when and in which colour
    strip: Image.Image, text: str, size: int, align: float, y: int, t: float, colour: int
) -> None:
    """Write a line at row `y` of a strip; one too wide for it moves through it, round and round."""
    pen, across = ImageDraw.Draw(strip), fonts.width(text, size)
    y -= fonts.ink(text, size).top
    if across <= strip.width:
        xs = [round((strip.width - across) * align)]
    else:
        gone = int(max(t - HOLD, 0.0) * SIDEWAYS) % (across + _PAUSE)
        xs = [-gone, across + _PAUSE - gone]
    for x in xs:
        pen.text((x, y), text, fill=colour, font=fonts.font(size))
        if size >= _THIN:
            pen.text((x + 1, y), _airy(text, size), fill=colour, font=fonts.font(size))


def _airy(text: str, size: int) -> str:
    """The characters that stay open when drawn a pixel wider."""
    return text if size >= 22 else "".join(" " if c in "mwMW@%&#" else c for c in text)


def _roll(picture: Image.Image, roll: Roll, t: float) -> None:
    """Scroll, one free row between the last line and the first when it comes round again."""
    box = roll.box
    strip = Image.new("1", (box.w, box.h), _DARK)
    length = (len(roll.rows) + 1) * roll.pitch
    gone = int(max(t - HOLD, 0.0) * UPWARDS) % length if roll.moves else 0
    for number, row in enumerate(roll.rows):
        for start in (0, length) if roll.moves else (0,):
            y = start + number * roll.pitch - gone
            if -roll.pitch < y < box.h:
                _row(strip, roll, row, y, t)
    picture.paste(strip, (box.x, box.y))


def _row(strip: Image.Image, roll: Roll, row: str, y: int, t: float) -> None:
    accents = fonts.ink("H", roll.size).top - fonts.ink(row, roll.size).top
    _write(strip, row, roll.size, 0.5, y + 2 - accents, t, _LIT)


def icon(kind: Icon, side: int) -> Image.Image:
    """A sign in a square of `side` pixels: what the guest understands without reading."""
    picture = Image.new("1", (side, side), _DARK)
    _SIGNS[kind](ImageDraw.Draw(picture), Box(x=0, y=0, w=side, h=side))
    return picture


def _check(pen: ImageDraw.ImageDraw, box: Box) -> None:
    thick = max(box.w // 6, 3)
    low = (box.w * 3 // 8, box.h - 1 - thick)
    _stroke(pen, (thick // 2, box.h * 5 // 9), low, thick)
    _stroke(pen, low, (box.w - 1 - thick // 2, thick), thick)


def _cross(pen: ImageDraw.ImageDraw, box: Box) -> None:
    thick = max(box.w // 5, 4)
    near, far = thick // 2, box.w - 1 - thick // 2
    _stroke(pen, (near, near), (far, far), thick)
    _stroke(pen, (near, far), (far, near), thick)


def _stroke(pen: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int], thick: int) -> None:
    """A line with square ends along the diagonal: a row of small squares."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
    half = thick // 2
    for step in range(steps + 1):
        x = start[0] + (end[0] - start[0]) * step // steps
        y = start[1] + (end[1] - start[1]) * step // steps
        pen.rectangle((x - half, y - half // 2, x + half, y + half // 2), fill=_LIT)


def _attention(pen: ImageDraw.ImageDraw, box: Box) -> None:
    """An exclamation mark cut out of a lit disc."""
    pen.ellipse((0, 0, box.w - 1, box.h - 1), fill=_LIT)
    middle, half = (box.w - 1) / 2, max(box.w // 12, 1)
    left, right = int(middle - half + 0.5), int(middle + half)
    pen.rectangle((left, box.h * 2 // 10, right, box.h * 6 // 10), fill=_DARK)
    pen.rectangle((left, box.h * 7 // 10, right, box.h * 7 // 10 + right - left), fill=_DARK)


def _nothing(pen: ImageDraw.ImageDraw, box: Box) -> None:
    """No sign."""


_SIGNS = {"check": _check, "cross": _cross, "attention": _attention, "none": _nothing}
