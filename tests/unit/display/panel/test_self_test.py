"""The self-test of a panel."""

from __future__ import annotations

import pytest
from PIL import Image

from display.panel.oled import BRIGHT
from display.panel.self_test import PAGES, PATTERNS, pattern, show_test
from display.picture.draw import NORM, WIDE, Size, draw
from display.samples import ZONE, samples
from display.text.words import compose
from gate.common.errors import HardwareError

SIZES = [NORM, WIDE]


class Glass:
    """A working panel that remembers what it showed; it can break after a number of pictures."""

    def __init__(self, size: Size, breaks_after: int | None = None) -> None:
        self.persist = False
        self.width, self.height = size
        self.pictures: list[Image.Image] = []
        self.contrasts: list[int] = []
        self._breaks_after = breaks_after

    def display(self, image: Image.Image) -> None:
        if len(self.pictures) == self._breaks_after:
            raise OSError(110, "Connection timed out")
        self.pictures.append(image)

    def contrast(self, level: int) -> None:
        self.contrasts.append(level)

    def cleanup(self) -> None:
        """Nothing to release."""


def lit(picture: Image.Image) -> int:
    return sum(picture.histogram()[1:])


@pytest.mark.parametrize("size", SIZES)
def test_every_pattern_and_every_kind_of_page_is_shown_and_the_panel_left_dark(size: Size) -> None:
    glass, told, waited = Glass(size), list[str](), list[float]()
    count = show_test(glass, "es", ZONE, seconds=3.0, wait=waited.append, tell=told.append)
    assert told == [*PATTERNS, *PAGES]
    assert count == len(told)
    assert {picture.size for picture in glass.pictures} == {size}
    assert sum(waited) == pytest.approx(3.0 * count)
    assert glass.contrasts == [BRIGHT]
    assert lit(glass.pictures[-1]) == 0


@pytest.mark.parametrize("size", SIZES)
def test_the_pages_are_the_doors_own(size: Size) -> None:
    glass = Glass(size)
    show_test(glass, "en", ZONE, wait=lambda _seconds: None)
    shown = [picture.tobytes() for picture in glass.pictures]
    for name in ("welcome", "deny-already-used", "vip-host"):
        assert draw(compose(samples("en")[name], "en", ZONE), size).tobytes() in shown


@pytest.mark.parametrize("size", SIZES)
def test_the_patterns_show_what_they_are_for(size: Size) -> None:
    width, height = size
    assert lit(pattern("all_on", size)) == width * height
    assert lit(pattern("all_off", size)) == 0
    assert lit(pattern("border", size)) == 2 * (width + height) - 4
    board = pattern("chessboard", size)
    assert lit(board) == width * height // 2
    assert [bool(board.getpixel(xy)) for xy in ((0, 0), (1, 0), (0, 1), (1, 1))] == [False, True, True, False]


def test_every_page_of_the_test_is_a_sample() -> None:
    assert set(PAGES) <= set(samples())


def test_a_panel_that_breaks_during_the_test_is_reported_in_words() -> None:
    with pytest.raises(HardwareError, match=r"no longer takes pictures.*timed out"):
        show_test(Glass(NORM, breaks_after=3), "en", ZONE, wait=lambda _seconds: None)
