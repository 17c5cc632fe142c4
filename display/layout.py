"""Where everything goes: pure geometry, tried out from large to small.

A page of a headline, a few lines and an icon is laid out in every combination of sizes and
the most readable one is taken (`_score`). What fits at no size scrolls: lines upwards, a
single over-long word sideways. Nothing is ever cut in mid-word.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec.structs import replace

from display import fonts
from display.shapes import Box, Layout, Roll, Text
from display.words import Header, Page
from gate.model import Value

MARGIN = 3
"""Free columns left and right, so that nothing touches the panel's edge."""

MARK = 7
"""Width and height of the online mark."""

_BANNER_SIZE = 14
_ICONS = (40, 36, 32, 28, 24, 20, 16, 14, 12)
_LINES = (20, 18, 16, 14, 12)
_GAP = 5
_TIGHT = 3
_MARK_ROOM = MARK + 3


@lru_cache(maxsize=64)
def layout(page: Page, size: tuple[int, int]) -> Layout:
    """Lay a page out for a panel of `size` = (width, height) pixels, at least 128 × 64."""
    width, height = size
    bar, banner = _banner(page, width)
    top = bar.bottom + 2 if bar else 2
    area = Box(x=MARGIN, y=top, w=width - 2 * MARGIN, h=height - top - 1)
    if page.header is not None:
        body = _idle(page, page.header, area)
    elif page.roll:
        body = _rolling(page, area, head=_head_height(area))
    else:
        body = _best(page, area)
    return Layout(
        texts=banner + body.texts,
        roll=body.roll,
        icon=page.icon,
        icon_box=body.icon_box,
        bar=bar,
        mark=body.mark if page.online else None,
    )


def _banner(page: Page, width: int) -> tuple[Box | None, tuple[Text, ...]]:
    """The lit bar across the top: first line large, the word left and the age right."""
    if page.online:
        return None, ()
    margin = 2 if len(page.banner) == 1 else 1  # two lines leave little for the rest
    area = Box(x=MARGIN + 1, y=margin, w=width - 2 * MARGIN - 2, h=40)
    word, _, age = page.banner[0].partition(" · ")
    large = fonts.width(word + age, _BANNER_SIZE) + _GAP <= area.w
    texts = [*_ends(word, age, _BANNER_SIZE if large else fonts.SMALLEST, area, black=True)]
    for line in page.banner[1:]:
        area = area.below(texts[-1].box.bottom - area.y + 2)
        texts.append(_line(line, fonts.SMALLEST, area, black=True))
    return Box(x=0, y=0, w=width, h=texts[-1].box.bottom + margin), tuple(texts)


def _ends(left: str, right: str, size: int, area: Box, *, black: bool = False) -> tuple[Text, Text]:
    """Two texts of one row, at its two ends; the left one gives way."""
    across = min(fonts.width(right, size), area.w)
    last = Box(x=area.right - across, y=area.y, w=across, h=area.h)
    first = Box(x=area.x, y=area.y, w=max(area.w - across - _GAP, 0), h=area.h)
    return _line(left, size, first, 0, black=black), _line(right, size, last, 1, black=black)


def _line(text: str, size: int, area: Box, align: float = 0.5, *, black: bool = False) -> Text:
    """One line at the top of an area."""
    return Text(text=text, size=size, box=area.top(fonts.ink(text, size).height), align=align, black=black)


def _lines(lines: list[str], size: int, area: Box) -> tuple[Text, ...]:
    """Lines below each other from the top of an area."""
    texts = []
    for line in lines:
        texts.append(_line(line, size, area))
        area = area.below(texts[-1].box.h + fonts.gap(size))
    return tuple(texts)


# --- headline, icon, lines -----------------------------------------------------------------


class _Try(Value, frozen=True):
    """One combination: sizes of headline and lines, their lines, the icon and its place.

    `drop`, `indent`: rows above, columns left of the icon that the online mark takes;
    `gap`: rows kept free above the lines.
    """

    size: int
    head: tuple[str, ...]
    icon: int = 0
    stacked: bool = True
    drop: int = 0
    indent: int = 0
    line_size: int = 0
    body: tuple[str, ...] = ()
    gap: int = _GAP

    @property
    def head_height(self) -> int:
        """Rows of the headline."""
        return fonts.block(list(self.head), self.size)

    @property
    def upper(self) -> int:
        """Rows of headline, icon and mark together."""
        if self.stacked:
            return self.drop + self.head_height + (self.icon + _GAP if self.icon else 0)
        return max(self.head_height, self.drop + self.icon)

    @property
    def lower(self) -> int:
        """Rows of the lines below."""
        return fonts.block(list(self.body), self.line_size) if self.body else 0


def _best(page: Page, area: Box) -> Layout:
    tries = [attempt for size in _LINES for attempt in _tries(page, area, size)]
    if not tries:
        return _rolling(page, area, head=area.h // 2)
    return _place(max(tries, key=_score), area)


def _score(attempt: _Try) -> float:
    """How well it reads from afar: the headline counts most, then the sign, then the small print."""
    small_print = 1.2 * attempt.line_size - 3 * len(attempt.body) if attempt.body else 0
    weak = 3 * max(20 - attempt.icon, 0) if attempt.icon else 0
    weak += 10 * (attempt.stacked and 0 < attempt.icon < 28) + 15 * (attempt.size < 14)
    lonely = 8 * any(len(line) <= 2 for line in attempt.head)
    cramped = 2 * (_GAP - attempt.gap)
    headline = 2 * attempt.size - 6 * len(attempt.head) - lonely
    return headline + min(attempt.icon, 32) + small_print - weak - cramped


def _tries(page: Page, area: Box, line_size: int) -> Iterator[_Try]:
    body = _rows(page.lines, area.w, line_size)
    if not fonts.fits(body, area.w, line_size):
        return
    for gap in (_GAP, _TIGHT) if body else (_GAP,):
        below = fonts.block(body, line_size) + gap if body else 0
        for attempt in _heads(page, area.top(area.h - below)):
            if attempt.size >= line_size:
                yield replace(attempt, line_size=line_size, body=tuple(body), gap=gap)


def _rows(lines: tuple[str, ...], limit: int, size: int) -> list[str]:
    """The lines, wrapped; a line made of two parts breaks between them first."""
    rows = []
    for line in map(fonts.plain, lines):
        whole = fonts.fits([line], limit, size)
        rows += [line] if whole else [r for part in line.split(" · ") for r in fonts.wrap(part, limit, size)]
    return rows


def _heads(page: Page, area: Box) -> Iterator[_Try]:
    text, mark = fonts.plain(page.headline), _MARK_ROOM * page.online
    if page.icon == "none":
        if found := fonts.largest(text, area.w, area.h - mark):
            yield _Try(size=found[0], head=tuple(found[1]), drop=mark)
        return
    for icon in _ICONS:
        if found := fonts.largest(text, area.w, area.h - icon - _GAP, most_lines=2):
            yield _Try(size=found[0], head=tuple(found[1]), icon=icon)
        for drop, indent in {(mark, 0), (0, mark)}:
            found = fonts.largest(text, area.w - indent - icon - _GAP, area.h)
            if found and icon + drop <= area.h:
                size, head = found
                yield _Try(size=size, head=tuple(head), icon=icon, stacked=False, drop=drop, indent=indent)


def _place(attempt: _Try, area: Box) -> Layout:
    """Spread what is left of the height evenly between and around the parts."""
    gap = attempt.gap if attempt.body else 0
    spare = (area.h - attempt.upper - gap - attempt.lower) // (3 if attempt.body else 2)
    start = area.below(spare)
    icon, head_area = (_stack if attempt.stacked else _side_by_side)(attempt, start)
    texts = _lines(list(attempt.head), attempt.size, head_area)
    small = _lines(list(attempt.body), attempt.line_size, start.below(attempt.upper + gap + spare))
    return Layout(texts=texts + small, icon_box=icon, mark=(area.x, area.y))


def _stack(attempt: _Try, area: Box) -> tuple[Box | None, Box]:
    if attempt.icon == 0:
        return None, area.below(attempt.drop)
    left = area.x + (area.w - attempt.icon) // 2
    icon = Box(x=left, y=area.y, w=attempt.icon, h=attempt.icon)
    return icon, area.below(attempt.icon + _GAP)


def _side_by_side(attempt: _Try, area: Box) -> tuple[Box | None, Box]:
    slack = attempt.upper - attempt.drop - attempt.icon
    top = area.y + attempt.drop + slack // 2
    icon = Box(x=area.x + attempt.indent, y=top, w=attempt.icon, h=attempt.icon)
    beside = area.after(attempt.indent + attempt.icon + _GAP)
    level = icon.y - area.y + (attempt.icon - attempt.head_height) // 2
    return icon, beside.below(min(max(level, 0), attempt.upper - attempt.head_height))


# --- what scrolls --------------------------------------------------------------------------


def _head_height(area: Box) -> int:
    """Above a guest list the table's number stays, as large as leaves whole rows of names."""
    pitch, least = 13, 15
    return area.h - _GAP - (area.h - least - _GAP) // pitch * pitch


def _rolling(page: Page, area: Box, head: int) -> Layout:
    """Icon and headline on top, everything else scrolls below."""
    mark = _MARK_ROOM * page.online
    icon = 0 if page.icon == "none" else head
    icon_box = Box(x=area.x + mark, y=area.y, w=icon, h=icon) if icon else None
    strip = area.after(mark + icon + (_GAP if icon else 0))
    text = fonts.plain(page.headline)
    size, lines = fonts.largest(text, strip.w, head) or (fonts.SMALLEST, [text])
    block = fonts.block(lines, size)
    texts = _lines(lines, size, strip.below((head - block) // 2))
    roll = _roll((*page.lines, *page.roll), area.below(head + _GAP))
    return Layout(texts=texts, roll=roll, icon_box=icon_box, mark=(area.x, area.y))


def _roll(lines: tuple[str, ...], area: Box) -> Roll | None:
    for size in (14, 12):
        rows = _rows(lines, area.w, size)
        if fonts.fits(rows, area.w, size) or size == fonts.SMALLEST:
            pitch = size - 1
            whole = area.top(max(area.h // pitch, 1) * pitch)  # no half rows while it stands
            return Roll(rows=tuple(rows), size=size, pitch=pitch, box=whole) if rows else None
    return None


# --- idle ----------------------------------------------------------------------------------


def _idle(page: Page, header: Header, area: Box) -> Layout:
    """Gate and clock above, the night's name large, how many are in below."""
    dx, dy = header.shift
    if page.online:
        area = Box(x=area.x, y=area.y + 1, w=area.w, h=area.h - 2)  # room to move
    else:
        dy = 0  # the bar leaves no room
    sizes = _IDLE_ONLINE if page.online else _IDLE_OFFLINE
    tries = (_idle_texts(page, header, area, chosen) for chosen in sizes)
    texts = next((texts for texts in tries if texts is not None), ())
    return Layout(texts=tuple(_moved(text, dx, dy) for text in texts), mark=(area.x + dx, area.y + 2 + dy))


# Sizes of gate and clock, of the count, and free rows between; the last always fit.
_IDLE_ONLINE = ((14, 24, 3), (14, 16, 2), (12, 12, 0))
_IDLE_OFFLINE = ((14, 16, 2), (14, 14, 1), (12, 12, 0))


def _idle_texts(
    page: Page, header: Header, area: Box, sizes: tuple[int, int, int]
) -> tuple[Text, ...] | None:
    """The texts at these sizes, None if the night's name has no room."""
    small, most, gap = sizes
    row = _ends(fonts.plain(header.gate), header.clock, small, area.after(_MARK_ROOM * page.online))
    count = _largest_line(fonts.plain(header.count), area, most)
    middle = _between(area, max(text.box.h for text in row), count.box.h, gap)
    event = _event(fonts.plain(page.headline), middle)
    foot = Box(x=area.x, y=area.bottom - count.box.h, w=area.w, h=count.box.h)
    return (*row, *event, _line(count.text, count.size, foot)) if event is not None else None


def _between(area: Box, above: int, below: int, gap: int) -> Box:
    room = area.h - above - below - 2 * gap
    return Box(x=area.x, y=area.y + above + gap, w=area.w, h=max(room, 0))


def _largest_line(text: str, area: Box, most: int) -> Text:
    sizes = [size for size in fonts.SIZES if size <= most]
    fitting = [size for size in sizes if fonts.width(text, size) <= area.w]
    return _line(text, fitting[0] if fitting else fonts.SMALLEST, area)


def _event(text: str, area: Box) -> tuple[Text, ...] | None:
    size, lines = fonts.largest(text, area.w, area.h) or (fonts.SMALLEST, [text])
    spare = area.h - fonts.block(lines, size)
    return _lines(lines, size, area.below(spare // 2)) if spare >= 0 else None


def _moved(text: Text, dx: int, dy: int) -> Text:
    return replace(text, box=replace(text.box, x=text.box.x + dx, y=text.box.y + dy))
