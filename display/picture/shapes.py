"""Where things are on a screen, as values: `display.picture.layout` makes them, `display.picture.draw` paints
them.

All lengths are pixels; the origin is the upper left corner.
"""

from __future__ import annotations

from display import fonts
from display.text.words import Icon
from gate.common.value import Value


class Box(Value, frozen=True):
    """A rectangle of `w` × `h` pixels, with its upper left pixel at `x`, `y`."""

    x: int
    y: int
    w: int
    h: int

    @property
    def right(self) -> int:
        """First column to the right of it."""
        return self.x + self.w

    @property
    def bottom(self) -> int:
        """First row below it."""
        return self.y + self.h

    def below(self, rows: int) -> Box:
        """What is left if `rows` are taken off the top."""
        return Box(x=self.x, y=self.y + rows, w=self.w, h=max(self.h - rows, 0))

    def after(self, columns: int) -> Box:
        """What is left if `columns` are taken off the left."""
        return Box(x=self.x + columns, y=self.y, w=max(self.w - columns, 0), h=self.h)

    def top(self, rows: int) -> Box:
        """Its uppermost `rows`."""
        return Box(x=self.x, y=self.y, w=self.w, h=min(rows, self.h))


class PlacedText(Value, frozen=True):
    """One line in its box, which is exactly as high as the line's ink.

    A line that is wider than its box moves through it. `black`: on a lit bar.
    """

    text: str
    size: int
    box: Box
    align: float = 0.5
    black: bool = False

    @property
    def width(self) -> int:
        """Pixels that the whole line takes."""
        return fonts.width(self.text, self.size)

    @property
    def moves(self) -> bool:
        """Whether it is too wide to stand still."""
        return self.width > self.box.w


class Leaf(Value, frozen=True):
    """One of several pictures that a page turns through: what is not the same on all of them."""

    texts: tuple[PlacedText, ...] = ()
    icon_box: Box | None = None


class ScreenLayout(Value, frozen=True):
    """One screen, ready to paint.

    `bar`: lit area behind black text; `mark`: corner of the online mark; `frame`: an outline in which
    `filled` columns from the left are lit. `leaves` are shown one after the other within `seconds`, the first
    one longest, then again from the first. Without `seconds` the page has no end.
    """

    texts: tuple[PlacedText, ...] = ()
    icon: Icon = "none"
    icon_box: Box | None = None
    bar: Box | None = None
    mark: tuple[int, int] | None = None
    frame: Box | None = None
    filled: int = 0
    leaves: tuple[Leaf, ...] = ()
    seconds: float | None = None

    @property
    def moves(self) -> bool:
        """Whether the picture changes with time."""
        texts = (*self.texts, *(text for leaf in self.leaves for text in leaf.texts))
        return len(self.leaves) > 1 or any(text.moves for text in texts)
