"""Where everything goes, tried from large to small. Pure geometry.

What fits at no size continues on further leaves (`display.picture.turned_pages`); a single word that is too
long moves through its line. No word is ever cut.
"""

from __future__ import annotations

from functools import lru_cache

from display import fonts
from display.picture.fixed_pages import focus_page, idle_page, typing_page
from display.picture.headline_pages import headline_page
from display.picture.rows import GAP, MARK, at_both_ends, row
from display.picture.shapes import Box, PlacedText, ScreenLayout
from display.picture.turned_pages import turned_page
from display.text.words import Page

__all__ = ["MARGIN", "MARK", "SHIFT", "layout"]

MARGIN = 3
"""Free columns left and right, so that nothing touches the panel's edge, even when shifted."""

SHIFT = 2
"""Free rows below a page that stands for long, which is shifted by up to this many pixels."""

_BANNER_SIZE = 14


@lru_cache(maxsize=64)
def layout(page: Page, size: tuple[int, int]) -> ScreenLayout:
    """Lay a page out for a panel of `size` = (width, height) pixels, at least 128 × 64."""
    width, height = size
    bar, banner = _banner(page, width)
    top = bar.bottom + 2 if bar else 2
    bottom = height - (SHIFT if page.standing else 1)
    area = Box(x=MARGIN, y=top, w=width - 2 * MARGIN, h=bottom - top)
    body = _body(page, area)
    return ScreenLayout(
        texts=banner + body.texts,
        icon=page.icon,
        icon_box=body.icon_box,
        bar=bar,
        mark=body.mark if page.online else None,
        frame=body.frame,
        filled=body.filled,
        leaves=body.leaves,
        seconds=page.seconds,
    )


def _body(page: Page, area: Box) -> ScreenLayout:
    if page.header is not None:
        return idle_page(page, page.header, area)
    if page.typed:
        return typing_page(page, area)
    if page.share is not None:
        return focus_page(page, area, page.share)
    return (None if page.roll else headline_page(page, area)) or turned_page(page, area)


def _banner(page: Page, width: int) -> tuple[Box | None, tuple[PlacedText, ...]]:
    """The lit bar across the top: the first line large, its word on the left and its age on the right."""
    if not page.banner:
        return None, ()
    word, _, age = page.banner[0].partition(" · ")
    texts = _in_one_row((word, *page.banner[1:], age), width) or _in_rows(word, age, page.banner[1:], width)
    margin = texts[0].box.y
    return Box(x=0, y=0, w=width, h=texts[-1].box.bottom + margin), texts


def _in_one_row(parts: tuple[str, ...], width: int) -> tuple[PlacedText, ...]:
    """All of it side by side, as on a wide panel; empty if it does not fit."""
    widths = [fonts.width(part, _BANNER_SIZE) for part in parts]
    free = width - 2 * (MARGIN + 1) - sum(widths)
    if free < GAP * (len(parts) - 1):
        return ()
    x, texts = MARGIN + 1, []
    for part, across in zip(parts, widths, strict=True):
        texts.append(row(part, _BANNER_SIZE, Box(x=x, y=2, w=across, h=40), black=True))
        x += across + free // max(len(parts) - 1, 1)
    return tuple(texts)


def _in_rows(word: str, age: str, further: tuple[str, ...], width: int) -> tuple[PlacedText, ...]:
    """The word on the left and the age on the right, small if necessary, and the other lines below."""
    margin = 1 if further else 2  # two lines leave little for the rest
    area = Box(x=MARGIN + 1, y=margin, w=width - 2 * MARGIN - 2, h=40)
    large = fonts.width(word + age, _BANNER_SIZE) + GAP <= area.w
    texts = [*at_both_ends(word, age, _BANNER_SIZE if large else fonts.SMALLEST, area, black=True)]
    for line in further:
        area = area.below(texts[-1].box.bottom - area.y + 2)
        texts.append(row(line, fonts.SMALLEST, area, black=True))
    return tuple(texts)
