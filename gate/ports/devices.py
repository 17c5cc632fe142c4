"""What the door needs from the hardware, as protocols.

Each has a real adapter in `hardware/` or `display/`, and a working fake in `tests/fakes.py`; the door knows
neither. Adapters raise `gate.common.errors.HardwareError` when they are made and a device is
missing, and keep going, reporting through `trouble`, when one fails later.
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
    """One frame, looked at. `decode_ms`: time the decoder took; `source`: where from, for the log.

    `sharpness`: 0 to 999, where the eye was made to measure it.
    """

    sightings: tuple[Sighting, ...] = ()
    decode_ms: float = 0.0
    source: str = ""
    sharpness: int | None = None


class Restarts(msgspec.Struct, frozen=True):
    """How often each child process was replaced since the eye opened."""

    camera: int = 0
    decoder: int = 0


class Eye(Protocol):
    """Camera and decoder together."""

    def restarts(self) -> Restarts:
        """How often each child process was replaced."""

    def look(self, timeout: float) -> Look | None:
        """The newest frame's codes, or None if no frame was decoded within `timeout` seconds."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""

    def beats(self) -> int:
        """Grows while the eye's own loop turns, camera or not; for the watchdog."""

    def close(self) -> None:
        """Release the camera and stop the child processes."""


class Turnstile(Protocol):
    """The relay that lets one person through."""

    def release(self) -> None:
        """Give one pulse, in the background; returns at once. Raises `HardwareError`."""

    def hold_open(self) -> None:
        """Stay open until `rest`. From any thread; asked again it changes nothing. Raises `HardwareError`."""

    def rest(self) -> None:
        """Lock again after `hold_open`. From any thread. Raises `HardwareError`."""

    def lost(self) -> int:
        """How many releases, the newest, were promised and can no longer be given, since last asked.

        Those that raised are not among them, nor those that being held open took over. After
        `close` too: what was not begun by then is lost.
        """

    def beats(self) -> int:
        """Grows while the relay's own loop turns; for the watchdog."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well; a relay goes on trying to get well."""

    def close(self) -> None:
        """Switch the relay to rest, then let go of the pin."""


class Inputs(Protocol):
    """Passage sensor, exit button, fire alarm, tamper contact."""

    def read(self) -> Sensed:
        """What happened since the last reading. Never blocks, never raises."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""

    def close(self) -> None:
        """Let go of the pins."""


class Voice(Protocol):
    """Lights and buzzer."""

    def play(self, signal: Signal) -> None:
        """Say this instead of whatever is being said; never blocks, never raises."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""

    def close(self) -> None:
        """Dark and silent, then let go of the pins."""


class Typed(Secret, frozen=True):
    """What came from the keypad: `text` in capitals; `done`: Enter was pressed."""

    text: str
    done: bool


class Keypad(Protocol):
    """A USB keypad or keyboard."""

    def read(self) -> Typed | None:
        """What is typed now, None if no key was pressed since the last reading. Never blocks."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""

    def close(self) -> None:
        """Let go of the device."""


class Scanner(Protocol):
    """A USB hand scanner. Each pull of its trigger reads one code."""

    def read(self) -> bytes | None:
        """The oldest code read and not taken yet, None if there is none. Never blocks. It is a secret."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""

    def close(self) -> None:
        """Let go of the device."""


class NoInputs:
    """A gate without inputs: a working `Inputs` that never senses anything."""

    def read(self) -> Sensed:
        """Nothing to sense."""
        return Sensed()

    def trouble(self) -> HardwareError | None:
        """Inputs that nobody wired are no trouble."""
        return None

    def close(self) -> None:
        """Nothing to close."""


class Silent:
    """A gate without lights and buzzer: a working `Voice` that says nothing."""

    def play(self, signal: Signal) -> None:
        """Nothing to say it with."""

    def trouble(self) -> HardwareError | None:
        """Lights that nobody wired are no trouble."""
        return None

    def close(self) -> None:
        """Nothing to close."""


class NoKeypad:
    """A gate without a keypad: a working `Keypad` on which nobody types."""

    def read(self) -> Typed | None:
        """Nothing to type on."""
        return None

    def trouble(self) -> HardwareError | None:
        """A keypad that nobody plugged in is no trouble."""
        return None

    def close(self) -> None:
        """Nothing to close."""


class NoScanner:
    """A gate without a hand scanner: a working `Scanner` that reads nothing."""

    def read(self) -> bytes | None:
        """Nothing to read with."""
        return None

    def trouble(self) -> HardwareError | None:
        """A scanner that nobody plugged in is no trouble."""
        return None

    def close(self) -> None:
        """Nothing to close."""


class Display(Protocol):
    """The guest's and staff's screen."""

    def show(self, screen: Screen) -> None:
        """Show this screen as soon as possible; never blocks and never raises."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""

    def close(self) -> None:
        """Blank the screen and stop its thread."""


class Dark:
    """A gate without a screen: a working `Display` that shows nothing."""

    def show(self, screen: Screen) -> None:
        """Nothing to show it on."""

    def trouble(self) -> HardwareError | None:
        """A missing screen that nobody configured is no trouble."""
        return None

    def close(self) -> None:
        """Nothing to close."""
