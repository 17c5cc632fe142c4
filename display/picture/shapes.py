"""Where things stand on a screen, as values: what `display.picture.layout` makes and `display.picture.draw`
paints.

All lengths are pixels, the origin is the upper left corner.
"""

from __future__ import annotations

from display import fonts
from display.text.words import Icon
from gate.common.value import Value


class Box(Value, frozen=True):
    """A rectangle: `x`, `y` of its upper left pixel, `w` × `h` pixels."""

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
        """What is left of it when `rows` are taken off the top."""
        return Box(x=self.x, y=self.y + rows, w=self.w, h=max(self.h - rows, 0))

    def after(self, columns: int) -> Box:
        """What is left of it when `columns` are taken off the left."""
        return Box(x=self.x + columns, y=self.y, w=max(self.w - columns, 0), h=self.h)

    def top(self, rows: int) -> Box:
        """Its uppermost `rows`."""
        return Box(x=self.x, y=self.y, w=self.w, h=min(rows, self.h))


class PlacedText(Value, frozen=True):
    """One line in its box. The box is exactly as high as the line's ink.

    A line wider than its box moves through it; others stand still. `black`: on a lit bar.
    """

    text: str
    size: int
    box: Box
    align: float = 0.5
    black: bool = False

    @property
    def width(self) -> int:
        """Pixels the line would like to have."""
        return fonts.width(self.text, self.size)

    @property
    def moves(self) -> bool:
        """Whether it is too wide to stand still."""
        return self.width > self.box.w


class Leaf(Value, frozen=True):
    """One of several pictures that a page turns through: what of it is not on all of them."""

    texts: tuple[PlacedText, ...] = ()
    icon_box: Box | None = None


class ScreenLayout(Value, frozen=True):
    """One screen, ready to paint.

    `bar`: lit area behind black text; `mark`: the online mark's corner; `frame`: an outline, of
    which `filled` columns from the left are lit. `leaves` are shown one after the other, the first one
    longest, all within `seconds`; then again from the first. Without `seconds` there is no hurry.
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
