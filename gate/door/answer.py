"""From one presentation to its answer: decide, record, release, show.

The relay moves only after `Desk.answer` has committed, and waits neither for the screen nor for the log.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from msgspec.structs import replace

from gate.common.errors import CacheError, StoreError
from gate.door.desk import Answered, Desk
from gate.door.parts import Parts
from gate.door.report import Tally
from gate.door.scan import Method
from gate.door.signs import Signs
from gate.door.turnstile import DoorTurnstile
from gate.ports.devices import Turnstile
from gate.ports.signals import signal_of
from gate.rules.guesses import Guessing, is_guess
from gate.rules.guesses import count_verdict as note_guess
from gate.rules.model import EventKind, Flag, Now, Reason
from gate.rules.payload import Malformed
from gate.rules.presence import Presented
from gate.rules.spared_refusals import Sparing
from gate.rules.typo import Typo
from gate.store.journal import Journal

FindTypo = Callable[[], Typo | None]


class GuestAnswers:
    """The answers of one gate. Used from the door's thread.

    :param make_desk: builds the desk around a working journal.
    """

    def __init__(
        self,
        parts: Parts,
        turnstile: DoorTurnstile,
        signs: Signs,
        tally: Tally,
        make_desk: Callable[[Journal], Desk],
    ) -> None:
        self._parts = parts
        self._turnstile = turnstile
        self._signs = signs
        self._tally = tally
        self._make_desk = make_desk
        self._desk: Desk | None = None
        self._guessing = Guessing()
        self._sparing = Sparing()
        self._log = structlog.get_logger()

    def answer(
        self, presented: Presented, now: Now, method: Method, find_typo: FindTypo | None = None
    ) -> None:
        """Answer one presentation. A code that runs into a bug costs its own answer and no other.

        :param find_typo: looks for the mistake in a typed code whose check character is wrong.
        """
        code = presented.code
        if code is not None and self._turnstile.state.awaits(code.code_hash):
            return  # the turnstile is released for this very code (domain 2.3, Presence)
        try:
            self._answer(presented, now.monotonic_ms, method, find_typo)
        except Exception:
            self._log.exception("scan failed", code=_short(presented))
            self._signs.notice("see_staff", now.monotonic_ms)

    def _answer(self, presented: Presented, now_ms: int, method: Method, find_typo: FindTypo | None) -> None:
        journal, relay = self._parts.journal.get(now_ms), self._parts.turnstile.get(now_ms)
        if journal is None or relay is None or relay.trouble() is not None:
            # what cannot be recorded or let through is not decided: the ticket stays good
            self._see_staff(presented, "out of order", now_ms)
            return
        try:
            answered = self._desk_at(journal).answer(
                presented,
                method,
                release=not self._turnstile.state.is_open,
                locked=self._guessing.is_locked(now_ms),
                spares=not self._sparing.has_room(method, now_ms),
            )
        except CacheError:
            self._see_staff(presented, "cache out of order", now_ms)
            return
        except StoreError as error:
            self._parts.journal.broke(error, now_ms)
            self._see_staff(presented, "not recorded", now_ms)
            return
        self._perform(_with_typo(answered, find_typo), journal, relay, now_ms)
        self._note_record(answered, presented, method, now_ms)
        self._tally.scan(answered)
        self._note_guess(answered, now_ms)

    def _desk_at(self, journal: Journal) -> Desk:
        """The desk, made anew once the journal has been opened again."""
        if self._desk is None or self._desk.journal is not journal:
            self._desk = self._make_desk(journal)
        return self._desk

    def _perform(self, answered: Answered, journal: Journal, relay: Turnstile, now_ms: int) -> None:
        record, opened = answered.record, True
        if record is not None and record.released:
            opened = self._turnstile.release(relay, journal, record)
        if opened:
            self._signs.answer(answered.screen, signal_of(answered.verdict), now_ms)
        else:
            # this record let nobody in: a person has to put the turnstile right
            self._tally.counts["annulled"] += 1
            self._signs.notice("see_staff", now_ms)
            self._turnstile.write(journal)  # at once: until then the ticket counts as used

    def _note_record(self, answered: Answered, presented: Presented, method: Method, now_ms: int) -> None:
        """Log the scan. One without a record has no line in the log either, except the first of many."""
        if answered.record is not None or not is_guess(answered.verdict):
            self._log.info("scan answered", **_log_fields(answered, presented))
        if not is_guess(answered.verdict):
            return
        if answered.record is not None:
            self._sparing = self._sparing.recorded(method, now_ms)
            return
        if not self._sparing.left_out:
            self._log.warning("refusals no longer recorded one by one", source=method)
        self._sparing = self._sparing.one_left_out(now_ms)

    def turn(self, now_ms: int) -> None:
        """Record from time to time how many refusals had no record of their own."""
        if self._sparing.is_due(now_ms):
            self.record_left_out()

    def record_left_out(self) -> None:
        """Record it now, if there were any."""
        count = self._sparing.left_out
        if count:
            self._log.warning("unrecorded refusals counted", count=count)
            self._turnstile.event(EventKind.GUESSING, f"{count} more refused, not recorded one by one")
            self._sparing = self._sparing.reported()

    def _note_guess(self, answered: Answered, now_ms: int) -> None:
        self._guessing, locked = note_guess(self._guessing, answered.verdict, now_ms)
        if locked:
            self._log.warning("gate locked", why="somebody is guessing codes")
            self._turnstile.event(EventKind.GUESSING)

    def _see_staff(self, presented: Presented, why: str, now_ms: int) -> None:
        self._signs.notice("see_staff", now_ms)
        self._log.warning("scan not decided", code=_short(presented), why=why)


def _with_typo(answered: Answered, find_typo: FindTypo | None) -> Answered:
    """Point at the typo, unless the gate is locked: that would help a guesser (`gate.rules.typo`)."""
    verdict = answered.verdict
    if find_typo is None or verdict.reason is not Reason.BAD_CHECKSUM or Flag.LOCKED in verdict.flags:
        return answered
    return replace(answered, screen=replace(answered.screen, typo=find_typo()))


def _log_fields(answered: Answered, presented: Presented) -> dict[str, object]:
    """What a scan leaves in the log: of the code only the start of its hash."""
    verdict, record = answered.verdict, answered.record
    return {
        "verdict": verdict.ruling.value,
        "reason": verdict.reason.value,
        "rule": verdict.line,
        "kind": verdict.kind.value,
        "subject_id": verdict.subject_id,
        "code": _short(presented),
        "seq": record.seq if record else None,
        "flags": [flag.value for flag in verdict.flags],
        "online": answered.screen.link.online,
        "decision_ms": round(answered.decision_ms, 3),
        **({"why": presented.what.why} if isinstance(presented.what, Malformed) else {}),
    }


def _short(presented: Presented) -> str | None:
    code = presented.code
    return code.code_hash[:12] if code else None
