"""The loop of the door: look, notice a presentation, decide, release, show.

No network and no hardware library here: eyes, turnstile and screen are protocols
(`gate.ports`). The relay moves only after `Desk.answer` has committed, and never waits for
the screen.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import structlog

from gate import stage
from gate.cache import CacheReader, Feed, screen_link
from gate.clock import Clock
from gate.desk import Answered, Desk
from gate.errors import CacheError, HardwareError, MagueyError, Step, StoreError
from gate.journal import Journal
from gate.mending import Mending
from gate.model import Value
from gate.outage import Outage
from gate.payload import Code, Malformed, parse
from gate.ports import Display, Eye, Turnstile
from gate.presence import Presence, Presented, Sighting, observe
from gate.screen import Idle, Link, Notice, OutOfOrder, Part, Screen
from gate.tonight import tonight

Seen = list[tuple[Sighting, Code | Malformed]]

LOOK_S = 0.2
"""Longest wait for a frame: how late a stop or a change of the idle screen may be noticed."""
REFRESH_MS = 1_000
TIDY_MS = 5_000


class DoorSettings(Value, frozen=True):
    """Numbers of the loop: see `gate.config.DoorSection`."""

    gate_name: str
    rescan_after_ms: int = 1500
    retain_days: int = 30


class Door:
    """One gate.

    :param make_desk: builds the desk around a working journal.
    :param journal, turnstile: parts that may break and come back.
    """

    def __init__(  # noqa: PLR0913 – the parts of a gate, by name
        self,
        *,
        settings: DoorSettings,
        eye: Eye,
        display: Display,
        turnstile: Mending[Turnstile],
        journal: Mending[Journal],
        make_desk: Callable[[Journal], Desk],
        cache: CacheReader,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._eye = eye
        self._display = display
        self._turnstile = turnstile
        self._journal = journal
        self._make_desk = make_desk
        self._cache = cache
        self._clock = clock
        self._presence = Presence(rescan_after_ms=settings.rescan_after_ms)
        self._stage = stage.Stage()
        self._refresh_at = 0
        self._tidy_at = 0
        self._cache_outage = Outage("cache")
        self._loop_outage = Outage("idle screen")
        self._log = structlog.get_logger()

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then everything is put to rest."""
        self._display.show(Notice(word="starting"))
        try:
            while not stop.is_set():
                self.step()
        finally:
            self.close()

    def close(self) -> None:
        """Turnstile first: it must be at rest whatever else goes wrong."""
        for part in (self._turnstile, self._eye, self._display, self._journal, self._cache):
            part.close()

    def step(self) -> None:
        """One look, and what follows from it."""
        look = self._eye.look(LOOK_S)
        now_ms = self._now_ms()
        if look is not None:
            seen = self._sift([(sighting, parse(sighting.raw)) for sighting in look.sightings])
            self._presence, presented = observe(self._presence, seen, now_ms)
            if presented is not None:
                self._answer_safely(presented, now_ms)
        self._rest_safely(self._now_ms())

    def _sift(self, seen: Seen) -> Seen:
        """Beside a ticket the cache knows, made-up codes are foreign: a sticker blocks no gate."""
        codes = {what.code_hash for _, what in seen if isinstance(what, Code)}
        if len(codes) < 2:
            return seen
        known = {code_hash for code_hash in codes if self._cache.find(code_hash).admission is not None}
        if not known:
            return seen
        foreign = Malformed("unknown, beside a ticket that is known")
        return [
            (sighting, foreign if isinstance(what, Code) and what.code_hash not in known else what)
            for sighting, what in seen
        ]

    def _answer_safely(self, presented: Presented, now_ms: int) -> None:
        """A code that trips over a mistake of ours costs its own answer, never the door."""
        try:
            self._answer(presented, now_ms)
        except Exception:
            self._log.exception("scan failed", code=_short(presented))
            self._show(Notice(word="see_staff"), now_ms)

    def _answer(self, presented: Presented, now_ms: int) -> None:
        journal, turnstile = self._journal.get(now_ms), self._turnstile.get(now_ms)
        if journal is None or turnstile is None or turnstile.trouble() is not None:
            # nothing that cannot be recorded or let through is decided: the ticket stays good
            self._see_staff(presented, "out of order", now_ms)
            return
        try:
            answered = self._make_desk(journal).answer(presented)
        except CacheError:
            self._see_staff(presented, "cache out of order", now_ms)
            return
        except StoreError as error:
            self._journal.broke(error, now_ms)
            self._see_staff(presented, "not recorded", now_ms)
            return
        self._log.info("scan", **log_fields(answered, presented))
        if answered.effects.release and not self._release(turnstile):
            # the record stands, the door did not open: that is for a person to put right
            self._show(Notice(word="see_staff", link=answered.effects.screen.link), now_ms)
            return
        self._show(answered.effects.screen, now_ms)

    def _see_staff(self, presented: Presented, why: str, now_ms: int) -> None:
        self._show(Notice(word="see_staff", link=self._link(now_ms)), now_ms)
        self._log.warning("scan not decided", code=_short(presented), why=why)

    def _release(self, turnstile: Turnstile) -> bool:
        """Open; False if the relay did not move."""
        try:
            turnstile.release()
        except HardwareError as error:
            self._log.error("admitted, but the turnstile did not open", error=str(error))
            return False
        return True

    def _show(self, screen: Screen, now_ms: int) -> None:
        self._stage = stage.answer(screen, now_ms)
        self._display.show(screen)

    def _rest_safely(self, now_ms: int) -> None:
        """What goes wrong between scans is told once, and costs no scan."""
        try:
            if self._rest(now_ms):
                self._loop_outage.over()
        except Exception as error:
            self._loop_outage.began(error)
            self._display.show(Notice(word="see_staff"))

    def _rest(self, now_ms: int) -> bool:
        """Between scans: the idle screen, once a second, and the housekeeping of the journal.

        :returns: whether the screen was looked after this time.
        """
        if now_ms < self._refresh_at and not self._ended(now_ms):
            return False
        self._refresh_at = now_ms + REFRESH_MS
        if stage.is_free(self._stage, now_ms):
            self._stage = stage.Stage()
            self._display.show(self._idle(now_ms))
            self._tidy(now_ms)
        return True

    def _ended(self, now_ms: int) -> bool:
        return self._stage.shown is not None and stage.is_free(self._stage, now_ms)

    def _tidy(self, now_ms: int) -> None:
        if now_ms < self._tidy_at:
            return
        self._tidy_at = now_ms + TIDY_MS
        now = self._clock.now()
        oldest = now.wall - timedelta(days=self._settings.retain_days)
        self._from_journal(lambda journal: journal.tidy(self._acked(journal), oldest, now), now_ms)

    def _from_journal(self, ask: Callable[[Journal], int], now_ms: int) -> int:
        """Ask the journal for a number; 0 while it is out of order."""
        journal = self._journal.get(now_ms)
        if journal is None:
            return 0
        try:
            return ask(journal)
        except StoreError as error:
            self._journal.broke(error, now_ms)
            return 0

    def _acked(self, journal: Journal) -> int:
        """Up to where the hub has this journal's records; another journal's numbers do not count."""
        link = self._cache.link(self._clock.now())
        is_ours = link.epoch == journal.epoch and link.acked_seq <= journal.last_seq()
        return link.acked_seq if is_ours else 0

    def _idle(self, now_ms: int) -> Screen:
        link = self._link(now_ms)
        trouble = self._trouble(now_ms)
        if trouble is not None:
            part, error = trouble
            step = error.step if isinstance(error, HardwareError | StoreError) else Step.RESTART
            return OutOfOrder(part=part, step=step, link=link)
        now = self._clock.now()
        event = tonight(self._cache.events(), now.wall)
        return Idle(
            event=event.name if event else None,
            gate_name=self._settings.gate_name,
            inside=self._inside(event.event_id, now_ms) if event else 0,
            capacity=event.capacity if event else 0,
            now=now.wall,
            link=link,
        )

    def _trouble(self, now_ms: int) -> tuple[Part, MagueyError] | None:
        """What to tell of, the camera first; but every part is tried, so that each can come back."""
        turnstile = self._turnstile.get(now_ms)
        self._journal.get(now_ms)
        relay = turnstile.trouble() if turnstile else self._turnstile.trouble
        eye = self._eye.trouble()
        if eye is not None:
            return Part(eye.part), eye
        for part, trouble in ((Part.TURNSTILE, relay), (Part.JOURNAL, self._journal.trouble)):
            if trouble is not None:
                return part, trouble
        return self._cache_out_of_order()

    def _cache_out_of_order(self) -> tuple[Part, MagueyError] | None:
        """Read as a scan reads it: the whole of it has to be readable."""
        try:
            with self._cache.view():
                self._cache.events()
                self._cache.find("")
                self._cache.link(self._clock.now())
        except CacheError as error:
            self._cache_outage.began(error)
            return Part.CACHE, error
        self._cache_outage.over()
        return None

    def _inside(self, event_id: str, now_ms: int) -> int:
        own = self._from_journal(lambda j: j.waiting_entries(self._acked(j), event_id), now_ms)
        return self._cache.entered(event_id) + own

    def _link(self, now_ms: int) -> Link:
        now = self._clock.now()
        waiting = self._from_journal(lambda journal: journal.last_seq() - self._acked(journal), now_ms)
        event = tonight(self._cache.events(), now.wall)
        feed = self._cache.feed(event.event_id, now.wall) if event else Feed()
        return screen_link(self._cache.link(now), max(0, waiting), feed)

    def _now_ms(self) -> int:
        return self._clock.now().monotonic_ms


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
