"""A page as a picture, one bit per pixel, the same on every machine. Pure."""

from __future__ import annotations

from itertools import accumulate

from PIL import Image, ImageDraw

from display import fonts
from display.picture.layout import MARK, SHIFT, layout
from display.picture.shapes import Box, Leaf, PlacedText, ScreenLayout
from display.picture.turned_pages import spans
from display.text.words import Icon, Page

Size = tuple[int, int]

NORM: Size = (128, 64)
"""The usual panel, in pixels (SSD1306, SH1106)."""

WIDE: Size = (256, 64)
"""The wide panel, in pixels (SSD1322)."""

HOLD = 1.2
"""Seconds that a word which is too wide stands still before it moves, on a screen without an end."""

SIDEWAYS = 40.0
"""Columns a second that it then moves."""

_LIT, _DARK = 1, 0
_THIN = 18  # from this size on, the strokes look thin from afar and are drawn a pixel wider
_STILL = 0.2  # share of its time that a moving line stands still at its beginning, and at its end
_PAUSE = 24  # empty columns between the end of a moving line and its next beginning


def draw(page: Page, size: Size = NORM, t: float = 0.0, minute: int = 0) -> Image.Image:
    """Paint a page.

    :param size: width and height of the panel in pixels, at least 128 × 64.
    :param t: seconds since the page appeared; matters only if something moves.
    :param minute: any count of minutes, by which a page that stands for long is shifted (against burn-in).
    :returns: a picture of mode "1"; lit pixels are 1.
    """
    plan = layout(page, size)
    picture = Image.new("1", size, _DARK)
    _paint(picture, plan, t)
    return _shifted(picture, plan.bar, *walk(minute)) if page.standing else picture


def walk(minute: int) -> tuple[int, int]:
    """Pixels right and down at this minute: one of fifteen places, another every minute."""
    return (minute + 2) % 5 - 2, minute // 5 % (SHIFT + 1)


def _shifted(picture: Image.Image, bar: Box | None, dx: int, dy: int) -> Image.Image:
    """The picture shifted sideways and down; the bar still reaches the edges."""
    shifted = Image.new("1", picture.size, _DARK)
    if bar is not None:
        shifted.paste(_LIT, (0, 0, bar.right, bar.bottom + dy))
    shifted.paste(picture, (dx, dy))
    return shifted


def moves(page: Page, size: Size = NORM) -> bool:
    """Whether the picture of this page changes with time."""
    return layout(page, size).moves


def turns(page: Page, size: Size = NORM) -> list[float]:
    """The seconds at which the page turns to each of its leaves; ``[0.0]`` if it has only one."""
    plan = layout(page, size)
    lengths = spans(len(plan.leaves), plan.seconds) if plan.leaves else []
    return [0.0, *accumulate(lengths[:-1])]


def _paint(picture: Image.Image, plan: ScreenLayout, t: float) -> None:
    pen = ImageDraw.Draw(picture)
    if plan.bar is not None:
        pen.rectangle((plan.bar.x, plan.bar.y, plan.bar.right - 1, plan.bar.bottom - 1), fill=_LIT)
    if plan.mark is not None:
        _online_mark(pen, *plan.mark)
    if plan.frame is not None:
        _gauge(pen, plan.frame, plan.filled)
    _parts(picture, plan.icon, plan.icon_box, plan.texts, t, plan.seconds)
    if plan.leaves:
        leaf, since, seconds = _turned(plan, t)
        _parts(picture, plan.icon, leaf.icon_box, leaf.texts, since, seconds)


def _parts(  # noqa: PLR0913, PLR0917 - where, what, and when
    picture: Image.Image,
    sign: Icon,
    box: Box | None,
    texts: tuple[PlacedText, ...],
    t: float,
    seconds: float | None,
) -> None:
    if box is not None:
        picture.paste(_LIT, (box.x, box.y), icon(sign, box.w))
    for text in texts:
        _text(picture, text, _gone(text, t, seconds))


def _turned(plan: ScreenLayout, t: float) -> tuple[Leaf, float, float | None]:
    """The leaf shown at `t`, for how long it has been shown, and for how long it is shown in all."""
    lengths = spans(len(plan.leaves), plan.seconds)
    since = t % sum(lengths)
    for leaf, length in zip(plan.leaves, lengths, strict=True):
        if since < length:
            return leaf, since, length if len(plan.leaves) > 1 else plan.seconds
        since -= length
    return plan.leaves[-1], lengths[-1], lengths[-1]


def _gone(text: PlacedText, t: float, seconds: float | None) -> int:
    """Columns by which a line too wide for its box has moved to the left.

    On a screen with an end it moves to its own end and stays there; otherwise it goes round and round.
    """
    if not text.moves:
        return 0
    if seconds is None:
        return int(max(t - HOLD, 0.0) * SIDEWAYS) % (text.width + _PAUSE)
    part = (t / seconds - _STILL) / (1 - 2 * _STILL)
    return round((text.width - text.box.w) * min(max(part, 0.0), 1.0))


def _gauge(pen: ImageDraw.ImageDraw, frame: Box, filled: int) -> None:
    pen.rectangle((frame.x, frame.y, frame.right - 1, frame.bottom - 1), outline=_LIT)
    if filled > 0:
        pen.rectangle((frame.x + 2, frame.y + 2, frame.x + 1 + filled, frame.bottom - 3), fill=_LIT)


def _online_mark(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """Four rising bars, as telephones show reception."""
    for column in range(0, MARK, 2):
        pen.line((x + column, y + MARK - 1, x + column, y + MARK - 1 - column), fill=_LIT)


def _text(picture: Image.Image, text: PlacedText, gone: int) -> None:
    """Write a line into its box; one that is too wide comes round again after a gap."""
    box = text.box
    if box.w <= 0 or box.h <= 0:
        return
    strip = Image.new("1", (box.w, box.h), _LIT if text.black else _DARK)
    pen, colour = ImageDraw.Draw(strip), _DARK if text.black else _LIT
    y, font = -fonts.ink(text.text, text.size).top, fonts.font(text.size)
    xs = [-gone, text.width + _PAUSE - gone] if text.moves else [round((box.w - text.width) * text.align)]
    for x in xs:
        pen.text((x, y), text.text, fill=colour, font=font)
        if text.size >= _THIN:
            pen.text((x + 1, y), _airy(text.text, text.size), fill=colour, font=font)
    picture.paste(strip, (box.x, box.y))


def _airy(text: str, size: int) -> str:
    """The characters that stay open when drawn a pixel wider."""
    return text if size >= 22 else "".join(" " if c in "mwMW@%&#" else c for c in text)


def icon(kind: Icon, side: int) -> Image.Image:
    """A sign in a square of `side` pixels, which guests understand without reading."""
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
