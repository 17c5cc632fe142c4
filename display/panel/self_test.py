"""A test of a panel: every pixel, then one page of each kind.

`show_test` needs only a device, so that both `maguey-gate test-screen` and a unit test can run it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import tzinfo

from PIL import Image, ImageDraw

from display.panel.devices import Device, trouble_of
from display.panel.oled import BRIGHT
from display.picture.draw import Size, draw, turns
from display.samples import samples
from display.text.catalogue import Lang
from display.text.words import compose

PATTERNS = ("all_on", "all_off", "chessboard", "border")
"""These show dead pixels, pixels that stay lit, lines that cross over, and a picture out of place."""

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


def show_test(  # noqa: PLR0913 - the panel, its words, and what the watcher needs
    device: Device,
    lang: Lang,
    tz: tzinfo,
    *,
    seconds: float = 2.0,
    wait: Callable[[float], object] = time.sleep,
    tell: Callable[[str], object] = lambda _name: None,
) -> int:
    """Show every pattern and page on a device, one after the other, and leave it dark.

    :param seconds: how long each is shown; the leaves of a page share its time.
    :param wait: called with seconds between two pictures.
    :param tell: called with the name of each before it is shown.
    :returns: how many were shown.
    :raises HardwareError: the device no longer takes pictures.
    """
    size = (device.width, device.height)
    steps = [*((name, [pattern(name, size)]) for name in PATTERNS), *_pages(size, lang, tz)]
    try:
        device.contrast(BRIGHT)
        for name, pictures in steps:
            tell(name)
            for picture in pictures:
                device.display(picture)
                wait(seconds / len(pictures))
        device.display(Image.new("1", size))
    except Exception as error:  # whatever a driver raises
        raise trouble_of(error) from error
    return len(steps)


def pattern(name: str, size: Size) -> Image.Image:
    """One of `PATTERNS` at a panel's size, of mode "1"."""
    picture = Image.new("1", size, 1 if name == "all_on" else 0)
    match name:
        case "chessboard":
            picture.putdata([(x + y) % 2 for y in range(size[1]) for x in range(size[0])])
        case "border":
            ImageDraw.Draw(picture).rectangle((0, 0, size[0] - 1, size[1] - 1), outline=1)
    return picture


def _pages(size: Size, lang: Lang, tz: tzinfo) -> Iterator[tuple[str, list[Image.Image]]]:
    found = samples(lang)
    for name in PAGES:
        page = compose(found[name], lang, tz)
        yield name, [draw(page, size, start) for start in turns(page, size)]
