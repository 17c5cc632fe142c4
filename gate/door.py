"""The loop of the door: look, notice a presentation, decide, release, show.

No network and no hardware library here: eyes, turnstile and screen are protocols
(`gate.ports`). The relay moves only after `Desk.answer` has committed, and never waits for
the screen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from gate import stage
from gate.desk import Answered, Desk, Method
from gate.errors import CacheError, StoreError
from gate.front import DoorSettings, Front
from gate.guessing import Guessing
from gate.guessing import note as note_guess
from gate.journal import Journal
from gate.model import Now, Reason
from gate.outage import Outage
from gate.parts import Parts
from gate.passage import Order, Outcome, Way
from gate.passing import Passing
from gate.payload import Code, Malformed, parse
from gate.ports import Turnstile
from gate.presence import Presence, Presented, Sighting, observe
from gate.screen import Notice, Screen
from gate.signals import Signal

Seen = list[tuple[Sighting, Code | Malformed]]

LOOK_S = 0.2
"""Longest wait for a frame: how late a stop or a change of the idle screen may be noticed."""
REFRESH_MS = 1_000
WAY_CHANGES = frozenset(
    {Reason.FREE_PASSAGE, Reason.FREE_PASSAGE_OVER, Reason.HELD_OPEN, Reason.CLOSED, Reason.RESUMED}
)
RESTING = {
    Way.NORMAL: Signal.REST,
    Way.HELD_OPEN: Signal.FREE_PASSAGE,
    Way.CLOSED: Signal.CLOSED,
    Way.FREE_PASSAGE: Signal.FREE_PASSAGE,
}


class Door:
    """One gate.

    :param make_desk: builds the desk around a working journal.
    """

    def __init__(
        self, settings: DoorSettings, parts: Parts, passing: Passing, make_desk: Callable[[Journal], Desk]
    ) -> None:
        self._parts = parts
        self._passing = passing
        self._make_desk = make_desk
        self._front = Front(settings, parts)
        self._presence = Presence(rescan_after_ms=settings.rescan_after_ms)
        self._guessing = Guessing()
        self._stage = stage.Stage()
        self._refresh_at = 0
        self._loop_outage = Outage("idle screen")
        self._log = structlog.get_logger()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then everything is put to rest."""
        self._parts.display.show(Notice(word="starting"))
        try:
            while not stop.is_set():
                self.step()
        finally:
            self._parts.close()

    def step(self) -> None:
        """One look, and what follows from it."""
        look = self._parts.eye.look(LOOK_S)
        now = self._parts.clock.now()
        self._pass_safely(now)
        if look is not None and self._passing.state.answers:
            seen = self._sift([(sighting, parse(sighting.raw)) for sighting in look.sightings])
            self._presence, presented = observe(self._presence, seen, now.monotonic_ms)
            if presented is not None:
                self._answer_safely(presented, now.monotonic_ms)
        self._rest_safely(self._now_ms())

    def _sift(self, seen: Seen) -> Seen:
        """Beside a ticket the cache knows, made-up codes are foreign: a sticker blocks no gate."""
        codes = {what.code_hash for _, what in seen if isinstance(what, Code)}
        if len(codes) < 2:
            return seen
        known = {code for code in codes if self._parts.cache.find(code).admission is not None}
        if not known:
            return seen
        foreign = Malformed("unknown, beside a ticket that is known")
        return [
            (sighting, foreign if isinstance(what, Code) and what.code_hash not in known else what)
            for sighting, what in seen
        ]

    def _pass_safely(self, now: Now) -> None:
        """Inputs and passage. Whatever goes wrong there, the camera goes on being looked at."""
        try:
            outcomes = self._passing.turn(now)
            journal = self._parts.journal.get(now.monotonic_ms)
            if journal is not None:
                self._passing.write(journal)
        except StoreError as error:
            self._parts.journal.broke(error, now.monotonic_ms)
        else:
            self._tell(outcomes, now.monotonic_ms)

    def order(self, wanted: Order) -> None:
        """What staff orders for the turnstile.

        :raises gate.passage.NotAllowed: it changes nothing.
        """
        self._tell(self._passing.order(wanted), self._now_ms())

    def _tell(self, outcomes: Sequence[Outcome], now_ms: int) -> None:
        """The way changes: said at once. Nobody walked: said unless somebody else is being answered."""
        reasons = {outcome.reason for outcome in outcomes}
        if reasons & WAY_CHANGES:
            self._stage, self._refresh_at = stage.Stage(), 0
            self._play(self._resting(), now_ms)
        elif Reason.EXPIRED in reasons and self._is_free(now_ms):
            self._show(Notice(word="annulled", link=self._front.link(now_ms)), Signal.ATTENTION, now_ms)

    def _resting(self) -> Signal:
        """What the lights say while nobody is answered."""
        return RESTING[self._passing.state.way]

    def _answer_safely(self, presented: Presented, now_ms: int, method: Method = "camera") -> None:
        """A code that trips over a mistake of ours costs its own answer, never the door."""
        if isinstance(presented.what, Code) and self._passing.state.awaits(presented.what.code_hash):
            return  # released for this very code: it asks nothing new (domain 2.3, Presence)
        try:
            self._answer(presented, now_ms, method)
        except Exception:
            self._log.exception("scan failed", code=_short(presented))
            self._show(Notice(word="see_staff"), Signal.ATTENTION, now_ms)

    def _answer(self, presented: Presented, now_ms: int, method: Method) -> None:
        journal, turnstile = self._parts.journal.get(now_ms), self._parts.turnstile.get(now_ms)
        if journal is None or turnstile is None or turnstile.trouble() is not None:
            # nothing that cannot be recorded or let through is decided: the ticket stays good
            self._see_staff(presented, "out of order", now_ms)
            return
        try:
            answered = self._make_desk(journal).answer(
                presented,
                method,
                release=not self._passing.state.is_open,
                locked=self._guessing.is_locked(now_ms),
            )
        except CacheError:
            self._see_staff(presented, "cache out of order", now_ms)
            return
        except StoreError as error:
            self._parts.journal.broke(error, now_ms)
            self._see_staff(presented, "not recorded", now_ms)
            return
        self._log.info("scan", **log_fields(answered, presented))
        self._perform(answered, journal, turnstile, now_ms)
        self._note_guess(answered, now_ms)

    def _perform(self, answered: Answered, journal: Journal, turnstile: Turnstile, now_ms: int) -> None:
        record, effects = answered.record, answered.effects
        opened = True
        if record is not None and record.released:
            opened = self._passing.release(turnstile, journal, record)
        if opened:
            self._show(effects.screen, effects.signal, now_ms)
        else:
            # nobody came in by this record: a person has to put the turnstile right
            self._show(Notice(word="see_staff", link=effects.screen.link), Signal.ATTENTION, now_ms)

    def _note_guess(self, answered: Answered, now_ms: int) -> None:
        self._guessing, locked = note_guess(self._guessing, answered.verdict, now_ms)
        if locked:
            self._log.warning("locked for unknown codes: somebody is guessing")
            self._passing.event(Reason.GUESSING)

    def _see_staff(self, presented: Presented, why: str, now_ms: int) -> None:
        self._show(Notice(word="see_staff", link=self._front.link(now_ms)), Signal.ATTENTION, now_ms)
        self._log.warning("scan not decided", code=_short(presented), why=why)

    def _show(self, screen: Screen, signal: Signal, now_ms: int) -> None:
        self._stage = stage.answer(screen, now_ms)
        self._parts.display.show(screen)
        self._play(signal, now_ms)

    def _play(self, signal: Signal, now_ms: int) -> None:
        voice = self._parts.voice.get(now_ms)
        if voice is not None:
            voice.play(signal)

    def _rest_safely(self, now_ms: int) -> None:
        """What goes wrong between scans is told once, and costs no scan."""
        try:
            if self._rest(now_ms):
                self._loop_outage.over()
        except Exception as error:
            self._loop_outage.began(error)
            self._parts.display.show(Notice(word="see_staff"))

    def _rest(self, now_ms: int) -> bool:
        """Between scans: the idle screen, once a second, and the housekeeping of the journal.

        :returns: whether the screen was looked after this time.
        """
        if now_ms < self._refresh_at and not self._ended(now_ms):
            return False
        self._refresh_at = now_ms + REFRESH_MS
        if self._is_free(now_ms):
            if self._stage.shown is not None:
                self._play(self._resting(), now_ms)
            self._stage = stage.Stage()
            self._parts.display.show(self._front.screen(self._passing.state, now_ms))
            self._front.tidy(now_ms)
        return True

    def _is_free(self, now_ms: int) -> bool:
        return stage.is_free(self._stage, now_ms)

    def _ended(self, now_ms: int) -> bool:
        return self._stage.shown is not None and self._is_free(now_ms)

    def _now_ms(self) -> int:
        return self._parts.clock.now().monotonic_ms


def log_fields(answered: Answered, presented: Presented) -> dict[str, object]:
    """The one line a scan leaves in the log. Never the code itself, only the start of its hash."""
    verdict, record = answered.verdict, answered.record
    return {
        "verdict": verdict.ruling.value,
        "reason": verdict.reason.value,
        "rule": verdict.rule,
        "kind": verdict.kind.value,
        "subject_id": verdict.subject_id,
        "code": _short(presented),
        "seq": record.seq if record else None,
        "flags": [flag.value for flag in verdict.flags],
        "online": answered.effects.screen.link.online,
        "decision_ms": round(answered.decision_ms, 3),
        **({"why": presented.what.why} if isinstance(presented.what, Malformed) else {}),
    }


def _short(presented: Presented) -> str | None:
    return presented.what.code_hash[:12] if isinstance(presented.what, Code) else None
