"""From what a camera or scanner sees to one presentation: which of the codes in view is answered."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gate.door.answer import GuestAnswers
from gate.door.parts import DoorSettings, Parts
from gate.door.scan import Method
from gate.ports.devices import Look
from gate.rules.model import Event, Now, Status
from gate.rules.night import nights_served
from gate.rules.payload import Code, Malformed, Proof, prove
from gate.rules.presence import Presence, Sighting, observe


class CodesInView:
    """Remembers what one source of codes has had in view. Used from the door's thread."""

    def __init__(self, settings: DoorSettings, parts: Parts, answers: GuestAnswers, method: Method) -> None:
        self._keys = settings.keys
        self._parts = parts
        self._answers = answers
        self._method = method
        self._nothing_yet = Presence(rescan_after_ms=settings.rescan_after_ms)
        self._presence = self._nothing_yet

    def turn(self, look: Look | None, now: Now, *, answers: bool) -> None:
        """Answer what is to be answered now, if anything.

        :param look: one frame; None if there was none.
        :param answers: whether scans are answered. If not, the view is forgotten: a phone that is held up
            all the while gets its answer afterwards.
        """
        if not answers:
            self._presence = self._nothing_yet
        elif look is not None:
            seen = self._sift(look.sightings, now)
            self._presence, presented = observe(self._presence, seen, now.monotonic_ms)
            if presented is not None:
                self._answers.answer(presented, now, self._method)

    def _sift(self, seen: Sequence[Sighting], now: Now) -> Sequence[Sighting]:
        """Beside a valid ticket all other codes are foreign: no sticker blocks a gate (domain 2.3, line
        4)."""
        codes = {one.what.code_hash: one.what for one in seen if isinstance(one.what, Code)}
        if len(codes) < 2:
            return seen
        nights = nights_served(self._parts.cache.events(), now.wall)
        valid = {one for one, code in codes.items() if self._is_valid(code, nights)}
        if not valid:
            return seen
        foreign = Malformed("not valid tonight, beside a ticket that is")
        return [
            replace(one, what=foreign)
            if isinstance(one.what, Code) and one.what.code_hash not in valid
            else one
            for one in seen
        ]

    def _is_valid(self, code: Code, nights: Sequence[Event]) -> bool:
        """Whether it may let somebody in tonight, used or not."""
        admission = self._parts.cache.find(code.code_hash).admission
        if admission is None:
            return prove(code, None, self._keys) is Proof.VALID
        is_served = not nights or any(admission.event_id == night.event_id for night in nights)
        return is_served and admission.status not in (Status.CANCELLED, Status.REFUNDED)
