"""What the door needs from the hardware, as protocols.

Each has a real adapter in `hardware/` or `display/`, and a working fake in `tests/fakes.py`; the door knows
neither. An adapter raises `gate.common.errors.HardwareError` if its device is missing when it is made. If the
device fails later, it keeps going and reports through `trouble`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from gate.common.errors import HardwareError
from gate.ports.screen import Screen
from gate.ports.signals import Signal
from gate.rules.passage import Sensed
from gate.rules.payload import Secret
from gate.rules.presence import Sighting


class Look(msgspec.Struct, frozen=True):
    """One decoded frame. `decode_ms`: how long the decoder took; `source`: where it came from, for the log.

    `sharpness`: 0 to 999, if the eye was made to measure it.
    """

    sightings: tuple[Sighting, ...] = ()
    decode_ms: float = 0.0
    source: str = ""
    sharpness: int | None = None


class Restarts(msgspec.Struct, frozen=True):
    """How often each child process was replaced since the eye opened."""

    camera: int = 0
    decoder: int = 0


class DoorDevice(Protocol):
    """What all of them have in common."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""

    def close(self) -> None:
        """Switch the device to rest and release it."""


class Eye(DoorDevice, Protocol):
    """Camera and decoder together."""

    def restarts(self) -> Restarts:
        """How often each child process was replaced."""

    def look(self, timeout: float) -> Look | None:
        """The newest frame's codes, or None if no frame was decoded within `timeout` seconds."""

    def beats(self) -> int:
        """Grows while the eye's own loop turns, with or without a camera; for the watchdog."""


class Turnstile(DoorDevice, Protocol):
    """The relay that lets one person through. After trouble it keeps trying to recover."""

    def release(self) -> None:
        """Give one pulse, in the background; returns at once. Raises `HardwareError`."""

    def hold_open(self) -> None:
        """Stay open until `rest`. Any thread may call it, repeatedly. Raises `HardwareError`."""

    def rest(self) -> None:
        """Lock again after `hold_open`. Any thread may call it. Raises `HardwareError`."""

    def lost(self) -> int:
        """How many of the newest releases were promised and can no longer be given, since the last call.

        Releases that raised do not count, nor those during which the turnstile was held open. After `close`,
        those that had not begun by then count too.
        """

    def beats(self) -> int:
        """Grows while the relay's own loop turns; for the watchdog."""


class Inputs(DoorDevice, Protocol):
    """Passage sensor, exit button, fire alarm, tamper contact."""

    def read(self) -> Sensed:
        """What happened since the last reading. Never blocks, never raises."""


class Voice(DoorDevice, Protocol):
    """Lights and buzzer."""

    def play(self, signal: Signal) -> None:
        """Play this instead of whatever is playing; never blocks, never raises."""


class Typed(Secret, frozen=True):
    """What was typed on the keypad. `text`: in capitals; `done`: Enter was pressed."""

    text: str
    done: bool


class Keypad(DoorDevice, Protocol):
    """A USB keypad or keyboard."""

    def read(self) -> Typed | None:
        """The text typed so far, None if no key was pressed since the last reading. Never blocks."""


class Scanner(DoorDevice, Protocol):
    """A USB hand scanner. Each pull of its trigger reads one code."""

    def read(self) -> bytes | None:
        """The oldest code not fetched yet, None if there is none. Never blocks. The code is a secret."""


class Display(DoorDevice, Protocol):
    """The screen for guests and staff."""

    def show(self, screen: Screen) -> None:
        """Show this screen as soon as possible; never blocks and never raises."""


class _NotThere:
    """A device that nobody configured: nothing is wrong with it, and there is nothing to close."""

    def trouble(self) -> HardwareError | None:
        """None."""
        return None

    def close(self) -> None:
        """Nothing to close."""


class NoInputs(_NotThere):
    """Working `Inputs` that never sense anything."""

    def read(self) -> Sensed:
        """Nothing to sense."""
        return Sensed()


class Silent(_NotThere):
    """A working `Voice` without lights and buzzer."""

    def play(self, signal: Signal) -> None:
        """Nothing to play it on."""


class NoKeypad(_NotThere):
    """A working `Keypad` on which nobody types."""

    def read(self) -> Typed | None:
        """Nothing to type on."""
        return None


class NoScanner(_NotThere):
    """A working `Scanner` that reads nothing."""

    def read(self) -> bytes | None:
        """Nothing to read with."""
        return None


class Dark(_NotThere):
    """A working `Display` that shows nothing."""

    def show(self, screen: Screen) -> None:
        """Nothing to show it on."""
