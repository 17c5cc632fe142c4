"""Asks the kernel who uses a GPIO line, without opening the line (linux/gpio.h, v2): a relay stays as it is.

Not lgpio's `gpio_get_line_info`: importing lgpio 0.2.2 writes a pipe into the current folder and fails where
this account may not, its errors do not tell a missing right from a missing chip, and only a Pi has it.
"""

from __future__ import annotations

import errno
import fcntl
import struct
from pathlib import Path

GET_CHIPINFO = 0x8044B401  # _IOR(0xB4, 0x01, struct gpiochip_info)
GET_LINEINFO = 0xC100B405  # _IOWR(0xB4, 0x05, struct gpio_v2_line_info)
_CHIP = struct.Struct("=32s32sI")
_LINE = struct.Struct("=32s32sIIQ176x")
_USED = 1  # GPIO_V2_LINE_FLAG_USED
HEADER = ("pinctrl-rp1", "pinctrl-bcm")
"""Labels of the chip behind a Pi's header: Pi 5, and all before it."""


def header(folder: Path = Path("/dev")) -> Path | None:
    """The chip behind the header, None where there is none. Raises `OSError`: it cannot be opened."""
    chips = sorted(folder.glob("gpiochip*"))
    labels = {chip: _label(chip) for chip in chips}
    return next((chip for chip in chips if labels[chip].startswith(HEADER)), next(iter(chips), None))


def user(chip: Path, line: int) -> str | None:
    """Who has opened a line, empty if nobody has; None if there is no such line. Raises `OSError`."""
    try:
        return user_of(_ask(chip, GET_LINEINFO, _LINE.pack(b"", b"", line, 0, 0)))
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def user_of(answer: bytes) -> str:
    """Who has opened the line of a `struct gpio_v2_line_info` (256 bytes), empty if nobody has."""
    _name, consumer, _offset, _attributes, flags = _LINE.unpack(answer)
    return (_text(consumer) or "the kernel") if flags & _USED else ""


def _label(chip: Path) -> str:
    _name, label, _lines = _CHIP.unpack(_ask(chip, GET_CHIPINFO, bytes(_CHIP.size)))
    return _text(label)


def _ask(chip: Path, request: int, asked: bytes) -> bytes:
    with chip.open("rb", buffering=0) as device:
        return fcntl.ioctl(device.fileno(), request, asked)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
