"""Codes from a hand scanner: a source of its own, with the camera's rules of presence (domain 2.3)."""

from __future__ import annotations

from gate.door.answer import GuestAnswers
from gate.door.camera import CodesInView
from gate.door.parts import DoorSettings, Parts
from gate.ports.devices import Look
from gate.rules.model import Now
from gate.rules.presence import Sighting


class DoorScanner:
    """The hand scanner of a gate. Used from the door's thread.

    Each turn of the loop counts as one frame, with the code that was read or with none. So a code that is
    read again and again is answered once, and again only after a pause of `rescan_after`. Further codes wait
    for their turn.
    """

    def __init__(self, settings: DoorSettings, parts: Parts, answers: GuestAnswers) -> None:
        self._parts = parts
        self._in_view = CodesInView(settings, parts, answers, "scanner")

    def turn(self, now: Now, *, answers: bool) -> None:
        """Answer what was scanned.

        :param answers: whether scans are answered; if not, what was scanned is thrown away.
        """
        scanner = self._parts.scanner.get(now.monotonic_ms)
        raw = scanner.read() if scanner else None
        look = Look(sightings=() if raw is None else (Sighting.of(raw),), source="scanner")
        self._in_view.turn(look, now, answers=answers)
