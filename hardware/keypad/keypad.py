"""A USB keypad or keyboard for codes that cannot be scanned, read straight from its event device.

No thread: the kernel keeps the keys until the door's loop asks. The gate takes the device for itself
(EVIOCGRAB), so that codes do not appear on a console. While it is unplugged, it is looked for about once a
second. What is typed is forgotten as `hardware.keypad.key_entry` says, and never logged.
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from gate.common.errors import HardwareError, Step
from gate.ports.devices import Keypad, NoKeypad, Typed
from hardware.keypad import evdev
from hardware.keypad.device_file import READ_BYTES, DeviceFile
from hardware.keypad.key_entry import TypedLine

BY_ID = Path("/dev/input/by-id")

KeypadDriver = Literal["none", "evdev", "terminal"]


def make_keypad(
    driver: KeypadDriver, *, device: str = "", clock: Callable[[], float] = time.monotonic
) -> Keypad:
    """The keypad of a gate. If it is missing, `trouble` says so, and it is found once it is there.

    :param driver: ``evdev``: a USB keypad. ``terminal``: lines on standard input, for the desk.
    :param device: path of the event device, such as ``/dev/input/by-id/usb-…-event-kbd``;
        a name alone is looked up in ``/dev/input``; empty: the first keyboard found.
    :param clock: gives monotonic seconds.
    """
    if driver == "evdev":
        return EventKeypad(device, clock)
    return TerminalKeypad(sys.stdin.fileno(), clock) if driver == "terminal" else NoKeypad()


class EventKeypad:
    """An event device of the kernel. Used from one thread.

    :param device: see `make_keypad`.
    :param clock: gives monotonic seconds.
    :param open_device: opens it for reading without blocking; raises `OSError`.
    """

    def __init__(
        self,
        device: str,
        clock: Callable[[], float] = time.monotonic,
        open_device: Callable[[str], int] | None = None,
    ) -> None:
        opens = open_device or _opened
        self._clock = clock
        self._line = TypedLine()
        self._events = evdev.EventParser()
        self._source = DeviceFile(
            "keypad", lambda: opens(device), lambda error: _translated(device, error), clock
        )

    def read(self) -> Typed | None:
        """What is new since the last reading; see `hardware.keypad.key_entry.TypedLine.read`."""
        now = self._clock()
        some = self._source.read(now)
        if some is None:
            self._forget()
        else:
            for kind, code, value in self._events.cut(some):
                self._event(kind, code, value, now)
        return self._line.read(now)

    def trouble(self) -> HardwareError | None:
        """Why nothing can be typed, None while it can."""
        return self._source.trouble

    def close(self) -> None:
        """Forget what was typed, and give the device back."""
        self._forget()
        self._source.close()

    def _forget(self) -> None:
        self._line.forget()
        self._events.forget()

    def _event(self, kind: int, code: int, value: int, now: float) -> None:
        if kind == evdev.SYN and code == evdev.DROPPED:
            self._line.clear(now)  # half of a code is no code
        elif kind == evdev.KEY and (value == evdev.DOWN or (value == evdev.REPEAT and _can_repeat(code))):
            self._key(code, now)

    def _key(self, code: int, now: float) -> None:
        if code in evdev.CHARACTERS:
            self._line.put(evdev.CHARACTERS[code], now)
        elif code in (evdev.ENTER, evdev.KEYPAD_ENTER):
            self._line.enter(now)
        elif code in (evdev.BACKSPACE, evdev.DELETE):
            self._line.back(now)
        elif code == evdev.ESC:
            self._line.clear(now)


class TerminalKeypad:
    """Lines of a terminal or a pipe, for a gate on the desk. Used from one thread.

    :param fd: what to read; its end ends the typing and is not trouble.
    :param clock: gives monotonic seconds.
    """

    def __init__(self, fd: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._fd: int | None = fd
        self._clock = clock
        self._line = TypedLine()

    def read(self) -> Typed | None:
        """What is new since the last reading; see `hardware.keypad.key_entry.TypedLine.read`."""
        now = self._clock()
        if self._fd is not None and select.select([self._fd], [], [], 0)[0]:
            self._take(self._fd, now)
        return self._line.read(now)

    def _take(self, fd: int, now: float) -> None:
        try:
            some = os.read(fd, READ_BYTES)
        except OSError:  # a terminal that was closed
            some = b""
        if not some:
            self._fd = None
        for character in some.decode("ascii", "replace"):
            if character == "\n":
                self._line.enter(now)
            elif character.isalnum() or character == "-":
                self._line.put(character, now)

    def trouble(self) -> HardwareError | None:
        """None: a terminal on which nobody types works."""
        return None

    def close(self) -> None:
        """Forget what was typed; standard input is not ours to close."""
        self._fd = None
        self._line.forget()


def _can_repeat(code: int) -> bool:
    """Whether a held key may repeat: only deleting is meant to."""
    return code in (evdev.BACKSPACE, evdev.DELETE)


def _opened(name: str) -> int:
    return evdev.opened_device(_path(name))


def _path(name: str) -> Path:
    if name:
        return Path("/dev/input") / name  # an absolute path stays as it is
    keyboards = sorted(BY_ID.glob("*-event-kbd"))
    if not keyboards:
        raise FileNotFoundError(2, "no keyboard is plugged in")
    return keyboards[0]


def _translated(name: str, error: Exception) -> HardwareError:
    why = getattr(error, "strerror", None) or error
    what = f"The keypad{f' {name}' if name else ''} does not answer ({why})."
    if isinstance(error, PermissionError):
        return HardwareError("keypad", what, "Add this account to the group `input`.", Step.RIGHTS)
    advice = "Plug it in again; `ls /dev/input/by-id` shows what keypad.device may be."
    return HardwareError("keypad", what, advice, Step.KEYPAD_CABLE)
