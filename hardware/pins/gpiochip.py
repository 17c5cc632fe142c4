"""Looks at GPIO lines without touching them: what linux/gpio.h (v2) tells of a line nobody asks for.

Asking the kernel who uses a line changes nothing on it, unlike opening it: a relay stays as it is.
"""

from __future__ import annotations

import errno
import fcntl
import struct
from pathlib import Path

import msgspec

GET_CHIPINFO = 0x8044B401  # _IOR(0xB4, 0x01, struct gpiochip_info)
GET_LINEINFO = 0xC100B405  # _IOWR(0xB4, 0x05, struct gpio_v2_line_info)
_CHIP = struct.Struct("=32s32sI")
_LINE = struct.Struct("=32s32sIIQ176x")
_USED = 1  # GPIO_V2_LINE_FLAG_USED
HEADER = ("pinctrl-rp1", "pinctrl-bcm")
"""How the chip behind a Pi's header is labelled: Pi 5, and all before it."""


class Chip(msgspec.Struct, frozen=True):
    """A GPIO chip. `lines`: how many it has."""

    path: Path
    label: str
    lines: int


class GpioLine(msgspec.Struct, frozen=True):
    """One line. `user`: who has opened it, empty if nobody has."""

    name: str
    user: str


def header(folder: Path = Path("/dev")) -> Chip | None:
    """The chip behind the header, None where there is none. Raises `OSError`: it cannot be opened."""
    chips = [_chip(path) for path in sorted(folder.glob("gpiochip*"))]
    known = [chip for chip in chips if chip.label.startswith(HEADER)]
    return next(iter([*known, *chips]), None)


def line(chip: Chip, offset: int) -> GpioLine | None:
    """A line as it is now, None if the chip has no such line. Raises `OSError`."""
    asked = _LINE.pack(b"", b"", offset, 0, 0)
    try:
        return gpio_line(_ask(chip.path, GET_LINEINFO, asked))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def gpio_line(answer: bytes) -> GpioLine:
    """What the kernel says of a line: `struct gpio_v2_line_info`, 256 bytes."""
    name, consumer, _offset, _attributes, flags = _LINE.unpack(answer)
    user = _text(consumer) or "the kernel"
    return GpioLine(name=_text(name), user=user if flags & _USED else "")


def _chip(path: Path) -> Chip:
    _name, label, lines = _CHIP.unpack(_ask(path, GET_CHIPINFO, bytes(_CHIP.size)))
    return Chip(path=path, label=_text(label), lines=lines)


def _ask(path: Path, request: int, asked: bytes) -> bytes:
    with path.open("rb", buffering=0) as device:
        return fcntl.ioctl(device.fileno(), request, asked)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
