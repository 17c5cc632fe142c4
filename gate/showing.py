"""Screen, lights and buzzer: the answer to a guest for its time, then what the gate is. Used by the door."""

from __future__ import annotations

from gate import stage
from gate.front import Front
from gate.outage import Outage
from gate.parts import Parts
from gate.passage import Way
from gate.passing import Passing
from gate.screen import Notice, NoticeWord, Screen
from gate.signals import Signal

REFRESH_MS = 1_000
RESTING = {
    Way.NORMAL: Signal.REST,
    Way.HELD_OPEN: Signal.FREE_PASSAGE,
    Way.CLOSED: Signal.CLOSED,
    Way.FREE_PASSAGE: Signal.FREE_PASSAGE,
}
"""What the lights say while nobody is answered."""


class Showing:
    """What is to be seen and heard at the gate. Used from the door's thread."""

    def __init__(self, parts: Parts, front: Front, passing: Passing) -> None:
        self._parts = parts
        self._front = front
        self._passing = passing
        self._stage = stage.Stage()
        self._refresh_at = 0
        self._outage = Outage("idle screen")

    def answer(self, screen: Screen, signal: Signal | None, now_ms: int) -> None:
        """Replace whatever is on at once. `signal` None: lights and buzzer go on as they are."""
        self._stage = stage.answer(screen, now_ms)
        self._parts.display.show(screen)
        if signal is not None:
            self._play(signal, now_ms)

    def notice(self, word: NoticeWord, now_ms: int) -> None:
        """Ask for attention in a word."""
        self.answer(Notice(word=word, link=self._front.link(now_ms)), Signal.ATTENTION, now_ms)

    def is_free(self, now_ms: int) -> bool:
        """Whether nobody is being answered."""
        return stage.is_free(self._stage, now_ms)

    def way_changed(self, now_ms: int) -> None:
        """The turnstile is something else for everybody: said at once, whoever is being answered."""
        self._stage, self._refresh_at = stage.Stage(), 0
        self._play(RESTING[self._passing.state.way], now_ms)

    def free(self) -> None:
        """Whatever is on has had its time."""
        if self._stage.until_ms is not None:
            self._stage = stage.Stage(until_ms=0, shown=self._stage.shown)

    def rest(self, now_ms: int) -> None:
        """Between scans: the idle screen, once a second. What goes wrong here is told once."""
        try:
            if self._rest(now_ms):
                self._outage.over()
        except Exception as error:
            self._outage.began(error)
            self._parts.display.show(Notice(word="see_staff"))

    def _rest(self, now_ms: int) -> bool:
        """Whether the screen was looked after this time."""
        ended = self._stage.shown is not None and self.is_free(now_ms)
        if now_ms < self._refresh_at and not ended:
            return False
        self._refresh_at = now_ms + REFRESH_MS
        self._front.tidy(now_ms)
        if self.is_free(now_ms):
            if ended:
                self._play(RESTING[self._passing.state.way], now_ms)
            self._stage = stage.Stage()
            self._parts.display.show(self._front.screen(self._passing.state, now_ms))
        return True

    def _play(self, signal: Signal, now_ms: int) -> None:
        voice = self._parts.voice.get(now_ms)
        if voice is not None:
            voice.play(signal)
