"""Screen, lights and buzzer: the answer to a guest for its time, then the state of the gate."""

from __future__ import annotations

from collections import deque

from msgspec.structs import replace

from gate.common.outage import Outage
from gate.common.value import Value
from gate.door.idle import IdleScreen
from gate.door.parts import Parts
from gate.door.turnstile import DoorTurnstile
from gate.ports import screen as stage
from gate.ports.screen import Announcement, Notice, NoticeWord, Screen
from gate.ports.signals import Signal
from gate.rules.passage import Way

REFRESH_MS = 1_000
PATIENCE_MS = 120_000
"""What could not be shown between guests for this long is no longer news."""
MOST_LATER = 8
RESTING = {
    Way.NORMAL: Signal.REST,
    Way.HELD_OPEN: Signal.FREE_PASSAGE,
    Way.CLOSED: Signal.CLOSED,
    Way.FREE_PASSAGE: Signal.FREE_PASSAGE,
}
"""What the lights say while nobody is being answered."""


class _Later(Value, frozen=True):
    """Something to show between guests, up to a time."""

    screen: Announcement
    until_ms: int


class Signs:
    """What is to be seen and heard at the gate. Used from the door's thread."""

    def __init__(self, parts: Parts, idle: IdleScreen, turnstile: DoorTurnstile) -> None:
        self._parts = parts
        self._idle = idle
        self._turnstile = turnstile
        self._stage = stage.Stage()
        self._refresh_at = 0
        self._later: deque[_Later] = deque(maxlen=MOST_LATER)
        self._current: _Later | None = None
        self._outage = Outage("idle screen")

    def answer(self, screen: Screen, signal: Signal | None, now_ms: int) -> None:
        """Replace at once whatever is on. `signal` None: lights and buzzer stay as they are."""
        if self._current is not None and not self.is_free(now_ms):
            self._later.appendleft(self._current)  # it did not have its time
        self._current = None
        self._put(screen, signal, now_ms)

    def _put(self, screen: Screen, signal: Signal | None, now_ms: int) -> None:
        self._stage = stage.show_answer(screen, now_ms)
        self._parts.display.show(screen)
        if signal is not None:
            self._play(signal, now_ms)

    def notice(self, word: NoticeWord, now_ms: int) -> None:
        """Ask for attention in a word."""
        self.with_link(Notice(word=word), Signal.ATTENTION, now_ms)

    def with_link(self, screen: Notice, signal: Signal | None, now_ms: int) -> None:
        """Like `answer`, with the present state of the link."""
        self.answer(replace(screen, link=self._idle.link(now_ms)), signal, now_ms)

    def later(self, screen: Announcement, now_ms: int) -> None:
        """Show something as soon as nobody is being answered. If too many wait, the oldest are dropped."""
        self._later.append(_Later(screen=screen, until_ms=now_ms + PATIENCE_MS))

    def is_free(self, now_ms: int) -> bool:
        """Whether nobody is being answered."""
        return stage.is_free(self._stage, now_ms)

    def way_changed(self, now_ms: int) -> None:
        """Show at once that the turnstile is open or closed to everybody, whoever is being answered."""
        self._stage, self._refresh_at = stage.Stage(), 0
        self._play(RESTING[self._turnstile.state.way], now_ms)

    def free(self) -> None:
        """End the time of whatever is on."""
        if self._stage.until_ms is not None:
            self._stage = stage.Stage(until_ms=0, shown=self._stage.shown)

    def rest(self, now_ms: int) -> None:
        """Draw the idle screen between scans, once a second. A failure is logged once."""
        try:
            if self._rest(now_ms):
                self._outage.over()
        except Exception as error:
            self._outage.began(error)
            self._parts.display.show(Notice(word="see_staff"))

    def _rest(self, now_ms: int) -> bool:
        """Whether it was time to."""
        ended = self._stage.shown is not None and self.is_free(now_ms)
        if now_ms < self._refresh_at and not ended:
            return False
        self._refresh_at = now_ms + REFRESH_MS
        self._idle.look_at_link()
        if self.is_free(now_ms) and not self._show_waiting(now_ms):
            if ended:
                self._play(RESTING[self._turnstile.state.way], now_ms)
            self._stage = stage.Stage()
            self._parts.display.show(self._idle.screen(self._turnstile.state, now_ms))
        return True

    def _show_waiting(self, now_ms: int) -> bool:
        """Show what has waited for this moment, if anything. It never covers free passage."""
        if self._turnstile.state.way is Way.FREE_PASSAGE:
            return False
        while self._later:
            self._current = self._later.popleft()
            if now_ms < self._current.until_ms:
                screen = replace(self._current.screen, link=self._idle.link(now_ms))
                self._put(screen, Signal.ATTENTION, now_ms)
                return True
        self._current = None
        return False

    def _play(self, signal: Signal, now_ms: int) -> None:
        voice = self._parts.voice.get(now_ms)
        if voice is not None:
            voice.play(signal)
