"""The loop of the door: look, notice a presentation, have it answered, look after the rest.

No network and no hardware library here: eyes, turnstile and screen are protocols
(`gate.ports`). What a turn does, in its order: inputs and passage (`gate.passing`), the
camera and the keypad (`gate.answering`), the screen between guests (`gate.showing`), and
telling others how the door is (`gate.report`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import tzinfo

from gate.answering import Answering
from gate.desk import Desk
from gate.errors import StoreError
from gate.front import DoorSettings, Front
from gate.heart import Heart
from gate.journal import Journal
from gate.live import LiveWriter
from gate.model import Now, Reason
from gate.outage import Outage
from gate.parts import Parts
from gate.passage import Order, Outcome
from gate.passing import Passing
from gate.payload import Code, Malformed, Proof, parse, prove
from gate.ports import Look
from gate.presence import Presence, Sighting, observe
from gate.report import Report
from gate.screen import Notice, Typing
from gate.showing import Showing
from gate.tally import Tally
from gate.tonight import tonight
from gate.typed import Typist, may_type, prefix_of, read
from gate.typo import likely

Seen = list[tuple[Sighting, Code | Malformed]]

LOOK_S = 0.2
"""Longest wait for a frame: how late a stop or a change of the idle screen may be noticed."""
WAY_CHANGES = frozenset(
    {Reason.FREE_PASSAGE, Reason.FREE_PASSAGE_OVER, Reason.HELD_OPEN, Reason.CLOSED, Reason.RESUMED}
)


class Door:
    """One gate.

    :param make_desk: builds the desk around a working journal.
    :param zone: the club's time zone.
    `parts`: what it is made of; the door's own thread uses them.
    """

    def __init__(  # noqa: PLR0913, PLR0917 – what a door is made of
        self,
        settings: DoorSettings,
        parts: Parts,
        passing: Passing,
        make_desk: Callable[[Journal], Desk],
        heart: Heart,
        live: LiveWriter,
        zone: tzinfo,
    ) -> None:
        self.parts = parts
        self._passing = passing
        self._zone = zone
        self._keys = settings.keys
        self._tally = Tally()
        self._front = Front(settings, parts)
        self._showing = Showing(parts, self._front, passing)
        self._answering = Answering(parts, passing, self._showing, self._tally, make_desk)
        self._report = Report(parts, passing, self._tally, heart, live)
        self._presence = Presence(rescan_after_ms=settings.rescan_after_ms)
        self._typist = Typist()
        self._passing_outage = Outage("passage")

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then everything is put to rest."""
        self.parts.display.show(Notice(word="starting"))
        try:
            while not stop.is_set():
                self.step()
        finally:
            self.close()

    def close(self) -> None:
        """Put everything to rest."""
        self._report.stopping()
        self.parts.close()

    def step(self) -> None:
        """One look, and what follows from it."""
        look = self.parts.eye.look(LOOK_S)
        now = self.parts.clock.now()
        self._pass_safely(now)
        if self._passing.state.answers:
            if look is not None:
                self._looked(look, now)
            self._typed(now)
        now = self.parts.clock.now()
        self._showing.rest(now.monotonic_ms)
        self._report.turn(now, looked=look is not None)

    def order(self, wanted: Order) -> None:
        """What staff orders for the turnstile.

        :raises gate.passage.NotAllowed: it changes nothing.
        """
        self._tell(self._passing.order(wanted), self.parts.clock.now().monotonic_ms)

    def _looked(self, look: Look, now: Now) -> None:
        seen = self._sift([(sighting, parse(sighting.raw)) for sighting in look.sightings])
        self._presence, presented = observe(self._presence, seen, now.monotonic_ms)
        if presented is not None:
            self._answering.answer(presented, now)

    def _sift(self, seen: Seen) -> Seen:
        """Beside a valid ticket, made-up codes are foreign: a sticker blocks no gate (domain 2.3, line 4)."""
        codes = {what.code_hash: what for _, what in seen if isinstance(what, Code)}
        if len(codes) < 2:
            return seen
        valid = {one for one, code in codes.items() if self._knows(one) or self._is_signed(code)}
        if not valid:
            return seen
        foreign = Malformed("made up, beside a valid ticket")
        return [
            (sighting, foreign if isinstance(what, Code) and what.code_hash not in valid else what)
            for sighting, what in seen
        ]

    def _is_signed(self, code: Code) -> bool:
        return prove(code, None, self._keys) is Proof.VALID

    def _knows(self, code_hash: str) -> bool:
        return self.parts.cache.find(code_hash).admission is not None

    def _typed(self, now: Now) -> None:
        """Codes typed in: shown while they are typed, answered at Enter, at most 5 a minute (domain 2.3)."""
        keypad = self.parts.keypad.get(now.monotonic_ms)
        typed = keypad.read() if keypad else None
        if typed is None:
            return
        if not typed.text:
            self._showing.free()
        elif not typed.done:
            self._showing.answer(
                Typing(text=typed.text, link=self._front.link(now.monotonic_ms)), None, now.monotonic_ms
            )
        else:
            self._entered(typed.text, now)

    def _entered(self, text: str, now: Now) -> None:
        self._typist, may = may_type(self._typist, now.monotonic_ms)
        if not may:
            self._showing.notice("slower", now.monotonic_ms)
            return
        prefix = prefix_of(tonight(self.parts.cache.events(), now.wall), self._zone)
        presented = read(text, prefix, self._knows)
        if presented is not None:
            self._answering.answer(presented, now, "manual", lambda: likely(text, prefix, self._knows))

    def _pass_safely(self, now: Now) -> None:
        """Inputs and passage. Whatever goes wrong there, the camera goes on being looked at."""
        try:
            outcomes = self._passing.turn(now)
            self._tell(outcomes, now.monotonic_ms)
            journal = self.parts.journal.get(now.monotonic_ms)
            if journal is not None:
                self._passing.write(journal)
            self._passing_outage.over()
        except StoreError as error:
            self.parts.journal.broke(error, now.monotonic_ms)
        except Exception as error:
            self._passing_outage.began(error)

    def _tell(self, outcomes: Sequence[Outcome], now_ms: int) -> None:
        """The way changes: said at once. Nobody walked: said unless somebody else is being answered."""
        self._tally.outcomes(outcomes)
        reasons = {outcome.reason for outcome in outcomes}
        if reasons & WAY_CHANGES:
            self._showing.way_changed(now_ms)
        elif Reason.EXPIRED in reasons and self._showing.is_free(now_ms):
            self._showing.notice("annulled", now_ms)
