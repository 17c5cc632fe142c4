"""Pages on which everything has its place: idle, a code being typed, the camera's focus."""

from __future__ import annotations

from display import fonts
from display.picture.rows import GAP, MARK_ROOM, at_both_ends, below_each_other, row
from display.picture.shapes import Box, PlacedText, ScreenLayout
from display.text.words import Header, Page

# Sizes of gate and clock, of the count, and free rows between; the last ones always fit.
_IDLE_ONLINE = ((14, 24, 3), (14, 16, 2), (12, 12, 0))
_IDLE_OFFLINE = ((14, 16, 2), (14, 14, 1), (12, 12, 0))


def idle_page(page: Page, header: Header, area: Box) -> ScreenLayout:
    """Gate and clock above, the night's name large, the count of guests below."""
    sizes = _IDLE_ONLINE if page.online else _IDLE_OFFLINE
    tries = (_idle_texts(page, header, area, chosen) for chosen in sizes)
    texts = next((texts for texts in tries if texts is not None), ())
    return ScreenLayout(texts=texts, mark=(area.x, area.y + 1))


def _idle_texts(
    page: Page, header: Header, area: Box, sizes: tuple[int, int, int]
) -> tuple[PlacedText, ...] | None:
    """The texts at these sizes, None if there is no room for the night's name."""
    small, most, gap = sizes
    above = at_both_ends(fonts.plain(header.gate), header.clock, small, area.after(MARK_ROOM * page.online))
    count = _largest_line(fonts.plain(header.count), area, most)
    middle = _between(area, max(text.box.h for text in above), count.box.h, gap)
    event = _event(fonts.plain(page.headline), middle)
    foot = Box(x=area.x, y=area.bottom - count.box.h, w=area.w, h=count.box.h)
    return (*above, *event, row(count.text, count.size, foot)) if event is not None else None


def _between(area: Box, above: int, below: int, gap: int) -> Box:
    room = area.h - above - below - 2 * gap
    return Box(x=area.x, y=area.y + above + gap, w=area.w, h=max(room, 0))


def _largest_line(text: str, area: Box, most: int) -> PlacedText:
    sizes = [size for size in fonts.SIZES if size <= most]
    fitting = [size for size in sizes if fonts.width(text, size) <= area.w]
    return row(text, fitting[0] if fitting else fonts.SMALLEST, area)


def _event(text: str, area: Box) -> tuple[PlacedText, ...] | None:
    size, lines = fonts.largest(text, area.w, area.h) or (fonts.SMALLEST, [text])
    spare = area.h - fonts.block(lines, size)
    return below_each_other(lines, size, area.below(spare // 2)) if spare >= 0 else None


# --- a code being typed --------------------------------------------------------------------

_TYPED = (24, 20, 16, 14, 12)
_MOST_ROWS = 4


def typing_page(page: Page, area: Box) -> ScreenLayout:
    """The hint above, the code below it as large as it fits; its end is always in view."""
    hint = row(page.lines[0], fonts.SMALLEST, area.after(MARK_ROOM * page.online), 0)
    room = area.below(max(hint.box.h, MARK_ROOM) + 2)
    text = fonts.plain(page.headline)
    for size in _TYPED:
        rows = _broken(text, room.w // fonts.width("M", size))
        if len(rows) <= _MOST_ROWS and fonts.block(rows, size) <= room.h:
            break
    while fonts.block(rows, size) > room.h:
        rows = rows[1:]
    return ScreenLayout(
        texts=(hint, *below_each_other(rows, size, room, align=0)),
        mark=(area.x, area.y),
    )


def _broken(text: str, cells: int) -> list[str]:
    """Rows broken between groups, and filled one by one so that nothing jumps while somebody types."""
    rows = [""]
    for group in text.split():
        joint = "" if not rows[-1] or rows[-1].endswith("-") else " "
        if rows[-1] and len(rows[-1] + joint + group) > cells:
            rows.append(group)
        else:
            rows[-1] += joint + group
    return rows


# --- the camera's focus --------------------------------------------------------------------

_BAR = 12


def focus_page(page: Page, area: Box, share: float) -> ScreenLayout:
    """A large number; beside it the best so far, and whether a code is read; below it a bar."""
    bar = Box(x=area.x, y=area.bottom - _BAR, w=area.w, h=_BAR)
    upper = Box(x=area.x, y=area.y, w=area.w, h=area.h - _BAR - GAP)
    size = fonts.SIZES[0]
    left = Box(x=area.x, y=area.y, w=fonts.width("999", size), h=upper.h)
    number = row(page.headline, size, left.below((upper.h - fonts.ink("0", size).height) // 2), 0)
    side = upper.after(left.w + GAP)
    lines = list(page.lines)
    small = 14 if fonts.fits(lines, side.w, 14) else fonts.SMALLEST
    middle = side.below((side.h - fonts.block(lines, small)) // 2)
    texts = below_each_other(lines, small, middle, align=1)
    filled = round((bar.w - 4) * min(max(share, 0.0), 1.0))
    return ScreenLayout(texts=(number, *texts), frame=bar, filled=filled)
