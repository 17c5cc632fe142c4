"""More than fits at once: the page turns through leaves, and what belongs together stays on one leaf.

Domain 2.4 gives the host's page 4 s for the table's details and its guest list. Scrolling lines are harder to
read than standing ones, so the list is turned like pages, and every name is shown whole within the screen's
time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from display import fonts
from display.picture.rows import GAP, MARK_ROOM, below_each_other, row, wrapped
from display.picture.shapes import Box, Leaf, PlacedText, ScreenLayout
from display.text.words import Page

UNHURRIED = 2.0
"""Seconds that a leaf is shown on a screen without an end."""

_FIRST = 0.25  # least share of the time for the first leaf, which says whose table this is
_LEGIBLE = 0.7  # seconds that a leaf needs; a screen with fewer drops its headline, then gets smaller
_HEADS = (15, 24)  # heights of a headline in one line, and in two
_SIGN = 16
"""Side of the icon beside a leaf without a headline: whoever looks up then still sees whether to go in."""
_SIZES = (14, 12)
_SIGN_GAP = 3


def turned_page(page: Page, area: Box) -> ScreenLayout:
    """Headline and icon above as many lines as fit; the other lines on further leaves.

    The text is as large as possible with enough time for each leaf; the headline stays on all leaves if there
    is room.
    """
    tries = [_try(page, area, size, whole) for size in _SIZES for whole in (False, True)]
    unbroken = [leaves for leaves, broken in tries if not broken] or [leaves for leaves, _ in tries]
    unhurried = [leaves for leaves in unbroken if _seconds(page, leaves) >= _LEGIBLE]
    leaves = unhurried[0] if unhurried else min(unbroken, key=len)
    return ScreenLayout(leaves=leaves, mark=(area.x, area.y), seconds=page.seconds)


def spans(count: int, seconds: float | None) -> list[float]:
    """How many seconds each of `count` leaves is shown."""
    if seconds is None:
        return [UNHURRIED] * count
    first = max(seconds * _FIRST, seconds / count)
    return [first] + [(seconds - first) / (count - 1)] * (count - 1) if count > 1 else [seconds]


def _seconds(page: Page, leaves: tuple[Leaf, ...]) -> float:
    return min(spans(len(leaves), page.seconds))


def _try(page: Page, area: Box, size: int, whole: bool) -> tuple[tuple[Leaf, ...], bool]:
    """The leaves at this size, and whether a line is split between two leaves, or too wide to stand still.

    `whole`: leaves after the first one have no headline.
    """
    head, icon, below = _head(page, area)
    sign = _sign(page, area)
    after = area.after(sign.w + _SIGN_GAP if sign else MARK_ROOM * page.online) if whole else below
    width = min(below.w, after.w)
    items = [wrapped(line, width, size) for line in (*page.lines, *page.roll)]
    leaves = [Leaf(texts=head, icon_box=icon)]
    for number, rows in enumerate(_packed(items, size, below.h, after.h)):
        if number == 0:
            leaves = [Leaf(texts=head + _rows(rows, size, below), icon_box=icon)]
        elif whole:
            leaves.append(Leaf(texts=_rows(rows, size, after, 0), icon_box=sign))
        else:
            leaves.append(Leaf(texts=head + _rows(rows, size, after), icon_box=icon))
    broken = any(_height(item, size) > after.h or not fonts.fits(item, width, size) for item in items)
    return tuple(leaves), broken


def _sign(page: Page, area: Box) -> Box | None:
    """Place of the icon on a leaf without a headline: left, below the online mark."""
    if page.icon == "none":
        return None
    return Box(x=area.x, y=area.y + (area.h - _SIGN) // 2, w=_SIGN, h=_SIGN)


def _advance(above: str, below: str, size: int) -> int:
    """Rows from one line to the next: evenly spaced, unless a descender meets an accent."""
    return max(size - 1, fonts.ink(above, size).bottom - fonts.ink(below, size).top)


def _height(rows: list[str], size: int) -> int:
    if not rows:
        return 0
    advances = sum(_advance(*pair, size) for pair in pairwise(rows))
    return advances + fonts.ink(rows[-1], size).bottom - fonts.ink(rows[0], size).top


def _packed(items: list[list[str]], size: int, first: int, others: int) -> Iterator[list[str]]:
    """The rows of each leaf; the first leaf is `first` pixels high, the others `others`.

    An item whose rows do not fit into the rest of a leaf starts a new one.
    """
    leaf: list[str] = []
    room = first
    for item in items:
        if leaf and _height(leaf + item, size) > room:
            yield leaf
            leaf, room = [], others
        for line in item:  # an item that is higher than a leaf is split
            if leaf and _height([*leaf, line], size) > room:
                yield leaf
                leaf, room = [], others
            leaf.append(line)
    if leaf:
        yield leaf


def _head(page: Page, area: Box) -> tuple[tuple[PlacedText, ...], Box | None, Box]:
    """Headline and icon in one row, and the area left below."""
    room, side = MARK_ROOM * page.online, _HEADS[0]
    icon = Box(x=area.x + room, y=area.y, w=side, h=side) if page.icon != "none" else None
    strip = area.after(room + (side + GAP if icon else 0))
    text = fonts.plain(page.headline)
    found = ((height, fonts.largest(text, strip.w, height)) for height in _HEADS)
    height, fit = next(((h, fit) for h, fit in found if fit), (side, None))
    size, lines = fit or (fonts.SMALLEST, [text])
    top = (height - fonts.block(lines, size)) // 2
    return below_each_other(lines, size, strip.below(top)), icon, area.below(height + GAP)


def _rows(rows: list[str], size: int, area: Box, align: float = 0.5) -> tuple[PlacedText, ...]:
    """Rows in the middle of the area."""
    area = area.below(max(area.h - _height(rows, size), 0) // 2)
    texts = [row(rows[0], size, area, align)]
    for above, text in pairwise(rows):
        ink, below = fonts.ink(above, size), fonts.ink(text, size)
        area = area.below(_advance(above, text, size) + below.top - ink.top)
        texts.append(row(text, size, area, align))
    return tuple(texts)
