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

    Each turn of the loop is one frame, with the code that was read or with none: so a scanner that reads
    the same code again and again is answered once, and again when it has not for `rescan_after`. More
    than one code waits for its turn.
    """

    def __init__(self, settings: DoorSettings, parts: Parts, answers: GuestAnswers) -> None:
        self._parts = parts
        self._answers = answers
        self._in_view = CodesInView(settings, parts)

    def turn(self, now: Now, *, answers: bool) -> None:
        """Take in what was scanned.

        :param answers: whether scans are answered; what is scanned while they are not is thrown away.
        """
        scanner = self._parts.scanner.get(now.monotonic_ms)
        raw = scanner.read() if scanner else None
        if not answers:
            self._in_view.forget()
            return
        look = Look(sightings=() if raw is None else (Sighting.of(raw),), source="scanner")
        presented = self._in_view.looked(look, now)
        if presented is not None:
            self._answers.answer(presented, now, "scanner")
