"""What the door needs from the hardware, as protocols.

Each has a real adapter and a working fake in `hardware/` or `display/`; the door knows
neither. Adapters raise `gate.errors.HardwareError` when they are made and a device is
missing, and keep going, reporting through `trouble`, when one fails later.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from gate.errors import HardwareError
from gate.presence import Sighting
from gate.screen import Screen


class Look(msgspec.Struct, frozen=True):
    """One frame, looked at. `decode_ms`: time the decoder took; `source`: where from, for the log."""

    sightings: tuple[Sighting, ...] = ()
    decode_ms: float = 0.0
    source: str = ""


class Eye(Protocol):
    """Camera and decoder together."""

    def look(self, timeout: float) -> Look | None:
        """The newest frame's codes, or None if no frame was decoded within `timeout` seconds."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""

    def close(self) -> None:
        """Release the camera and stop the child processes."""


class Turnstile(Protocol):
    """The relay that lets one person through."""

    def release(self) -> None:
        """Give one pulse, in the background; returns at once. Raises `HardwareError`."""

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well; a relay goes on trying to get well."""

    def close(self) -> None:
        """Switch the relay to rest, then let go of the pin."""


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
