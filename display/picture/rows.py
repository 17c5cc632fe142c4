"""Lines of text, below each other or at the ends of a row. Pure geometry, in pixels."""

from __future__ import annotations

from display import fonts
from display.picture.shapes import Box, PlacedText

GAP = 5
"""Rows or columns between two parts of a screen."""

MARK = 7
"""Width and height of the online mark."""

MARK_ROOM = MARK + 3
"""Columns or rows that the mark takes from what is beside or below it."""


def row(text: str, size: int, area: Box, align: float = 0.5, *, black: bool = False) -> PlacedText:
    """One line at the top of an area."""
    return PlacedText(
        text=text, size=size, box=area.top(fonts.ink(text, size).height), align=align, black=black
    )


def at_both_ends(
    left: str, right: str, size: int, area: Box, *, black: bool = False
) -> tuple[PlacedText, PlacedText]:
    """Two texts at the ends of one row; the left one gives way."""
    across = min(fonts.width(right, size), area.w)
    last = Box(x=area.right - across, y=area.y, w=across, h=area.h)
    first = Box(x=area.x, y=area.y, w=max(area.w - across - GAP, 0), h=area.h)
    return row(left, size, first, 0, black=black), row(right, size, last, 1, black=black)


def below_each_other(lines: list[str], size: int, area: Box, align: float = 0.5) -> tuple[PlacedText, ...]:
    """Lines from the top of an area."""
    texts = []
    for text in lines:
        texts.append(row(text, size, area, align))
        area = area.below(texts[-1].box.h + fonts.gap(size))
    return tuple(texts)


def wrapped(line: str, limit: int, size: int) -> list[str]:
    """A line in rows of at most `limit` pixels; one that has two parts breaks between them first."""
    text = fonts.plain(line)
    if fonts.fits([text], limit, size):
        return [text]
    return [broken for part in text.split(" · ") for broken in fonts.wrap(part, limit, size)]
