"""Typed codes: shown while they are typed, answered at Enter, at most 5 a minute (domain 2.3)."""

from __future__ import annotations

from datetime import tzinfo

from gate.door.answer import GuestAnswers
from gate.door.idle import IdleScreen
from gate.door.parts import Parts
from gate.door.signs import Signs
from gate.ports.devices import Typed
from gate.ports.screen import Typing
from gate.rules.code_starts import starts_of
from gate.rules.model import Now
from gate.rules.typed_code import Typist, may_type, read_typed
from gate.rules.typo import find_typo


class DoorKeypad:
    """The keypad of a gate. Used from the door's thread.

    :param zone: the club's time zone.
    """

    def __init__(
        self, parts: Parts, idle: IdleScreen, signs: Signs, answers: GuestAnswers, zone: tzinfo
    ) -> None:
        self._parts = parts
        self._idle = idle
        self._signs = signs
        self._answers = answers
        self._zone = zone
        self._typist = Typist()

    def turn(self, now: Now, *, answers: bool) -> None:
        """Show or answer what was typed.

        :param answers: whether scans are answered; if not, what was typed is thrown away.
        """
        keypad = self._parts.keypad.get(now.monotonic_ms)
        typed = keypad.read() if keypad else None
        if typed is None or not answers:
            return
        if typed.done or not typed.text:
            self._signs.free()
        if typed.text:
            self._take(typed, now)

    def _take(self, typed: Typed, now: Now) -> None:
        if typed.done:
            self._entered(typed.text, now)
        else:
            screen = Typing(text=typed.text, link=self._idle.link(now.monotonic_ms))
            self._signs.answer(screen, None, now.monotonic_ms)

    def _entered(self, text: str, now: Now) -> None:
        self._typist, may = may_type(self._typist, now.monotonic_ms)
        if not may:
            self._signs.notice("slower", now.monotonic_ms)
            return
        starts = starts_of(self._parts.cache.events(), now.wall, self._zone)
        presented = read_typed(text, starts, self._knows)
        if presented is not None:
            self._answers.answer(presented, now, "manual", lambda: find_typo(text, starts, self._knows))

    def _knows(self, code_hash: str) -> bool:
        return self._parts.cache.find(code_hash).admission is not None
