"""What a panel is tried with: every pixel, then one page of each kind.

`show_test` needs nothing but a device, so that `maguey-gate test-screen` and a test can watch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import tzinfo
from typing import Literal

from PIL import Image, ImageDraw

from display.panel.devices import Device, trouble_of
from display.panel.oled import BRIGHT
from display.picture.draw import Size, draw, turns
from display.samples import samples
from display.text.catalogue import Lang
from display.text.words import compose
from gate.common.value import Value

PATTERNS = ("all_on", "all_off", "chessboard", "border")
"""Dead pixels, pixels that stay lit, lines that cross over, and a picture that is out of place."""

PAGES = (
    "idle",
    "idle-offline",
    "welcome",
    "vip-host",
    "reentry",
    "deny-already-used",
    "ambiguous",
    "out-of-order-camera",
    "free-passage",
    "typing",
    "focus",
)
"""Samples, one of each kind of page (domain 2.4)."""


class SelfTestStep(Value, frozen=True):
    """One step of the test: its name, whether it is a pattern or a page, and for how many seconds."""

    name: str
    what: Literal["pattern", "page"]
    seconds: float


def show_test(  # noqa: PLR0913 - the panel, its words, and what whoever watches needs
    device: Device,
    lang: Lang,
    tz: tzinfo,
    *,
    seconds: float = 2.0,
    wait: Callable[[float], object] = time.sleep,
    tell: Callable[[SelfTestStep], object] = lambda _shown: None,
) -> int:
    """Show every pattern and page on a device, one after the other, and leave it dark.

    :param seconds: how long each is shown; the leaves of a page share its time.
    :param wait: called with seconds between two pictures.
    :param tell: called before each is shown.
    :returns: how many were shown.
    :raises HardwareError: the device took a picture no longer.
    """
    size = (device.width, device.height)
    steps = [*_patterns(size), *_pages(size, lang, tz)]
    try:
        device.contrast(BRIGHT)
        for name, what, pictures in steps:
            tell(SelfTestStep(name=name, what=what, seconds=seconds))
            for picture in pictures:
                device.display(picture)
                wait(seconds / len(pictures))
        device.display(Image.new("1", size))
    except Exception as error:  # whatever a driver raises
        raise trouble_of(error) from error
    return len(steps)


_Step = tuple[str, Literal["pattern", "page"], list[Image.Image]]


def _patterns(size: Size) -> Iterator[_Step]:
    for name in PATTERNS:
        yield name, "pattern", [pattern(name, size)]


def pattern(name: str, size: Size) -> Image.Image:
    """One of `PATTERNS` at a panel's size, of mode "1"."""
    picture = Image.new("1", size, 1 if name == "all_on" else 0)
    match name:
        case "chessboard":
            picture.putdata([(x + y) % 2 for y in range(size[1]) for x in range(size[0])])
        case "border":
            ImageDraw.Draw(picture).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=1)
    return picture


def _pages(size: Size, lang: Lang, tz: tzinfo) -> Iterator[_Step]:
    found = samples(lang)
    for name in PAGES:
        page = compose(found[name], lang, tz)
        yield name, "page", [draw(page, size, start) for start in turns(page, size)]
