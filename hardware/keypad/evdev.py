"""The part of Linux' ``linux/input.h`` and ``linux/input-event-codes.h`` that keypads and scanners need.

A key code names a place on the keyboard, not a letter. The letters below are those of QWERTY keyboards,
Spanish ones included. The hyphen is in two places: where US keyboards have it, and where Spanish ones do; no
code contains the apostrophe or slash that the other layout has there.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

EVENT = struct.Struct("llHHi")
"""``struct input_event``: seconds, microseconds, type, code, value; longs as wide as the platform's."""

GRAB = 1 << 30 | ctypes.sizeof(ctypes.c_int) << 16 | ord("E") << 8 | 0x90
"""``EVIOCGRAB``: keys go nowhere else, least of all to the console."""

SYN, KEY = 0x00, 0x01
DROPPED = 3
"""``SYN_DROPPED``: events were lost because nobody read them in time."""
UP, DOWN, REPEAT = 0, 1, 2

ESC, BACKSPACE, ENTER, KEYPAD_ENTER, DELETE = 1, 14, 28, 96, 111
TAB, SPACE, CAPS_LOCK = 15, 57, 58
SHIFTS = frozenset({42, 54})
CTRLS = frozenset({29, 97})
ALT_GR = 100
ALTS = frozenset({56, ALT_GR, 125, 126})
"""Left Alt, AltGr, left and right Meta."""


def _row(first: int, characters: str) -> dict[int, str]:
    """Neighbouring keys have consecutive codes."""
    return {first + place: character for place, character in enumerate(characters)}


CHARACTERS: dict[int, str] = {
    **_row(2, "1234567890-"),
    **_row(16, "QWERTYUIOP"),
    **_row(30, "ASDFGHJKL"),
    **_row(44, "ZXCVBNM"),
    53: "-",  # KEY_SLASH: the hyphen of Spanish keyboards
    **_row(71, "789-456"),  # KEY_KP7 … KEY_KP6 with KEY_KPMINUS
    **_row(79, "1230"),  # KEY_KP1 …
}


class EventParser:
    """Splits the bytes of an event device into events."""

    def __init__(self) -> None:
        self._rest = b""  # the beginning of an event whose end was not read yet

    def cut(self, some: bytes) -> Iterator[tuple[int, int, int]]:
        """Type, code and value of each event."""
        data = self._rest + some
        whole = len(data) // EVENT.size * EVENT.size
        self._rest = data[whole:]
        for _sec, _usec, kind, code, value in EVENT.iter_unpack(data[:whole]):
            yield kind, code, value

    def forget(self) -> None:
        """The device is gone."""
        self._rest = b""


def opened_device(path: Path) -> int:
    """Open an event device for this process alone. Raises `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, GRAB, 1)
    except OSError:
        os.close(fd)
        raise
    return fd
