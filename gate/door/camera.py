"""From a frame to one presentation: which of the codes in view is to be answered. Used by the door."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gate.door.parts import DoorSettings, Parts
from gate.ports.devices import Look
from gate.rules.model import Event, Now, Status
from gate.rules.night import serving
from gate.rules.payload import Code, Malformed, Proof, prove
from gate.rules.presence import Presence, Presented, Sighting, observe


class CodesInView:
    """Remembers what has been in view. Used from the door's thread."""

    def __init__(self, settings: DoorSettings, parts: Parts) -> None:
        self._parts = parts
        self._keys = settings.keys
        self._rescan_after_ms = settings.rescan_after_ms
        self.forget()

    def forget(self) -> None:
        """Begin anew: whoever holds up a phone now has not been answered."""
        self._presence = Presence(rescan_after_ms=self._rescan_after_ms)

    def looked(self, look: Look, now: Now) -> Presented | None:
        """What to answer now, if anything."""
        seen = self._sift(look.sightings, now)
        self._presence, presented = observe(self._presence, seen, now.monotonic_ms)
        return presented

    def _sift(self, seen: Sequence[Sighting], now: Now) -> Sequence[Sighting]:
        """Beside a valid ticket all others are foreign: no sticker blocks a gate (domain 2.3, line 4)."""
        codes = {one.what.code_hash: one.what for one in seen if isinstance(one.what, Code)}
        if len(codes) < 2:
            return seen
        nights = serving(self._parts.cache.events(), now.wall)
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
