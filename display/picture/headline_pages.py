"""A headline, a few lines and an icon, in the most readable of all combinations of sizes."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from display import fonts
from display.picture.rows import GAP, MARK_ROOM, below_each_other, wrapped
from display.picture.shapes import Box, ScreenLayout
from display.text.words import Page
from gate.common.value import Value

_ICONS = (40, 36, 32, 28, 24, 20, 16, 14, 12)
_LINES = (20, 18, 16, 14, 12)
_TIGHT = 3
BOLD = 16
"""From this height on, the font's strokes are two pixels wide; thinner ones cannot be read at two metres."""


class _Try(Value, frozen=True):
    """One combination: sizes of headline and lines, their lines, the icon and its place.

    `drop`, `indent`: rows above and columns left of the icon that the online mark takes; `gap`: free rows
    above the lines.
    """

    size: int
    head: tuple[str, ...]
    icon: int = 0
    stacked: bool = True
    drop: int = 0
    indent: int = 0
    line_size: int = 0
    body: tuple[str, ...] = ()
    gap: int = GAP

    @property
    def head_height(self) -> int:
        """Rows of the headline."""
        return fonts.block(list(self.head), self.size)

    @property
    def upper(self) -> int:
        """Rows of headline, icon and mark together."""
        if self.stacked:
            return self.drop + self.head_height + (self.icon + GAP if self.icon else 0)
        return max(self.head_height, self.drop + self.icon)

    @property
    def lower(self) -> int:
        """Rows of the lines below."""
        return fonts.block(list(self.body), self.line_size) if self.body else 0


def headline_page(page: Page, area: Box) -> ScreenLayout | None:
    """The page, as large as it fits; None if it fits at no size."""
    tries = [attempt for size in _LINES for attempt in _tries(page, area, size)]
    return _place(max(tries, key=_score), area) if tries else None


def _score(attempt: _Try) -> float:
    """How well it can be read from afar: the headline counts most, then the icon, then the small print."""
    small_print = 1.2 * attempt.line_size - 3 * len(attempt.body) if attempt.body else 0
    small_print -= 40 * (0 < attempt.line_size < BOLD)
    weak = 3 * max(20 - attempt.icon, 0) if attempt.icon else 0
    weak += 10 * (attempt.stacked and 0 < attempt.icon < 28) + 80 * (attempt.size < 14)
    lonely = 8 * any(len(line) <= 2 for line in attempt.head)
    cramped = 2 * (GAP - attempt.gap)
    headline = 2 * attempt.size - 6 * len(attempt.head) - lonely
    return headline + min(attempt.icon, 32) + small_print - weak - cramped


def _tries(page: Page, area: Box, line_size: int) -> Iterator[_Try]:
    body = [row for line in page.lines for row in wrapped(line, area.w, line_size)]
    if not fonts.fits(body, area.w, line_size):
        return
    for gap in (GAP, _TIGHT) if body else (GAP,):
        below = fonts.block(body, line_size) + gap if body else 0
        for attempt in _heads(page, area.top(area.h - below)):
            if attempt.size >= line_size:
                yield replace(attempt, line_size=line_size, body=tuple(body), gap=gap)


def _heads(page: Page, area: Box) -> Iterator[_Try]:
    text, mark = fonts.plain(page.headline), MARK_ROOM * page.online
    if page.icon == "none":
        if found := fonts.largest(text, area.w, area.h - mark):
            yield _Try(size=found[0], head=tuple(found[1]), drop=mark)
        return
    for icon in _ICONS:
        if found := fonts.largest(text, area.w, area.h - icon - GAP, most_lines=2):
            yield _Try(size=found[0], head=tuple(found[1]), icon=icon)
        for drop, indent in {(mark, 0), (0, mark)}:
            found = fonts.largest(text, area.w - indent - icon - GAP, area.h)
            if found and icon + drop <= area.h:
                size, head = found
                yield _Try(size=size, head=tuple(head), icon=icon, stacked=False, drop=drop, indent=indent)


def _place(attempt: _Try, area: Box) -> ScreenLayout:
    """Spread the spare height evenly between and around the parts."""
    gap = attempt.gap if attempt.body else 0
    spare = (area.h - attempt.upper - gap - attempt.lower) // (3 if attempt.body else 2)
    start = area.below(spare)
    icon, head_area = (_stack if attempt.stacked else _side_by_side)(attempt, start)
    texts = below_each_other(list(attempt.head), attempt.size, head_area)
    small = below_each_other(list(attempt.body), attempt.line_size, start.below(attempt.upper + gap + spare))
    return ScreenLayout(texts=texts + small, icon_box=icon, mark=(area.x, area.y))


def _stack(attempt: _Try, area: Box) -> tuple[Box | None, Box]:
    if attempt.icon == 0:
        return None, area.below(attempt.drop)
    left = area.x + (area.w - attempt.icon) // 2
    icon = Box(x=left, y=area.y, w=attempt.icon, h=attempt.icon)
    return icon, area.below(attempt.icon + GAP)


def _side_by_side(attempt: _Try, area: Box) -> tuple[Box | None, Box]:
    slack = attempt.upper - attempt.drop - attempt.icon
    top = area.y + attempt.drop + slack // 2
    icon = Box(x=area.x + attempt.indent, y=top, w=attempt.icon, h=attempt.icon)
    beside = area.after(attempt.indent + attempt.icon + GAP)
    level = icon.y - area.y + (attempt.icon - attempt.head_height) // 2
    return icon, beside.below(min(max(level, 0), attempt.upper - attempt.head_height))
