"""One scan from presentation to durable record: look up, decide, commit. No hardware.

The order is the promise: when `Desk.answer` returns, the record is on disk, so whoever
calls it may move the turnstile. The claim at the hub (domain 2.3, situation 1) belongs
between `_case` and the journal's turn: asked before the commit, so that a committed
verdict is final. Until it exists, first entries are decided from what the gate knows.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.cache import CacheReader, Feed, Known, LinkState, screen_link
from gate.clock import Clock
from gate.decide import Policy, Question, Several, decide
from gate.effects import Effects, effects, with_arrivals
from gate.errors import CacheError
from gate.guessing import covered, strict
from gate.history import combine, without
from gate.ids import uuid7
from gate.journal import Journal, Past, Turn
from gate.model import Admission, Event, Flag, Kind, Now, Reason, ScanRecord, Value, Verdict
from gate.payload import Code, Proof, prove
from gate.presence import Presented
from gate.tonight import margin, tonight

Method = Literal["camera", "manual", "staff"]


class Answered(Value, frozen=True):
    """A decided scan. `record` is None when nothing was decided (two codes at once).

    `decision_ms`: from the presented code to the durable commit.
    """

    verdict: Verdict
    effects: Effects
    record: ScanRecord | None
    decision_ms: float


class _Case(Value, frozen=True):
    """What is read once for a scan, before its transaction.

    `companions`: guests of the same table whom the hub has not counted, and whether another gate let them in.
    """

    now: Now
    question: Question
    known: Known
    feed: Feed
    link: LinkState
    companions: dict[str, bool]


class Desk:
    """Decides for one gate.

    :param random: gives that many random bytes, for scan ids.
    :param isolated_after: seconds without a broker after which admissions are flagged (domain 2.3).
    """

    def __init__(  # noqa: PLR0913 – everything a decision depends on, by name
        self,
        *,
        gate_id: str,
        journal: Journal,
        cache: CacheReader,
        clock: Clock,
        random: Callable[[int], bytes],
        policy: Policy,
        keys: Mapping[str, Ed25519PublicKey],
        isolated_after: float,
    ) -> None:
        self._gate_id = gate_id
        self._journal = journal
        self._cache = cache
        self._clock = clock
        self._random = random
        self._policy = policy
        self._keys = keys
        self._isolated_ms = isolated_after * 1000

    def answer(
        self, presented: Presented, method: Method = "camera", *, release: bool = True, locked: bool = False
    ) -> Answered:
        """Decide and record one presentation.

        :param release: whether an admission will move a turnstile; recorded as `released`.
        :param locked: the gate is locked against guessing (`gate.guessing`).
        :raises CacheError: the cache cannot be read; nothing was decided or recorded.
        :raises StoreError: the journal cannot be written; nothing was recorded, nobody is admitted.
        """
        started = time.perf_counter()
        case = self._case(presented, locked=locked)
        if isinstance(presented.what, Several):
            return self._answered(case, decide(case.question), None, started)
        with self._journal.turn() as turn:
            verdict = covered(self._decide(case, turn), locked=locked)
            record = turn.append(self._record(case, presented, verdict, method, release))
        return self._answered(case, verdict, record, started)

    def _answered(self, case: _Case, verdict: Verdict, record: ScanRecord | None, started: float) -> Answered:
        acked = case.link.acked_seq if case.link.epoch == self._journal.epoch else 0
        last = record.seq if record else self._journal.last_seq()
        link = screen_link(case.link, last - acked, case.feed)
        names = self._cache.gate_names() if verdict.entry else {}
        return Answered(
            verdict=verdict,
            effects=effects(verdict, link, names),
            record=record,
            decision_ms=(time.perf_counter() - started) * 1000,
        )

    def _case(self, presented: Presented, *, locked: bool) -> _Case:
        code = presented.what if isinstance(presented.what, Code) else None
        with self._cache.view():
            link = self._cache.link(self._clock.now())
            self._clock.learn(link.measure)
            now = self._clock.now()
            events = self._cache.events()
            event = tonight(events, now.wall)
            known = self._cache.find(code.code_hash) if code else Known()
            feed = self._cache.feed(event.event_id, now.wall) if event else Feed()
            companions = self._cache.companions(known.table.reservation_id) if known.table else {}
        proof = self._proof(code, known.admission)
        if code is not None and known.admission is None and proof is not Proof.VALID:
            _check_list(events, event, feed)
        return _Case(
            now=now,
            known=known,
            link=link,
            feed=feed,
            companions=companions,
            question=Question(
                presented=presented.what,
                now=now.wall,
                margin=margin(now.clock, now.uncertainty_ms),
                event=event,
                admission=known.admission,
                table=known.table,
                ticket_event=_ticket_event(events, known, code),
                proof=proof,
                isolated=self._is_isolated(link),
                policy=strict(self._policy, locked=locked),
            ),
        )

    def _proof(self, code: Code | None, admission: Admission | None) -> Proof:
        if code is None:
            return Proof.NONE
        issued = (admission.signature_hash or "") if admission else None
        return prove(code, issued, self._keys)

    def _is_isolated(self, link: LinkState) -> bool:
        return link.cut_ms is None or link.cut_ms > self._isolated_ms

    def _decide(self, case: _Case, turn: Turn) -> Verdict:
        code = case.question.presented
        past = turn.past(code.code_hash) if isinstance(code, Code) else Past()
        admission = without(case.known.admission, past.annulled)
        history = combine(admission, [*past.entries, *case.known.peers])
        verdict = decide(msgspec.structs.replace(case.question, admission=admission, history=history))
        verdict = with_arrivals(verdict, _entered_unseen(case, turn))
        return _without_history(verdict) if past.lost else verdict

    def _record(
        self, case: _Case, presented: Presented, verdict: Verdict, method: Method, release: bool
    ) -> ScanRecord:
        now = case.now
        event: Event | None = case.question.event
        code = presented.what if isinstance(presented.what, Code) else None
        return ScanRecord(
            scan_id=uuid7(int(now.wall.timestamp() * 1000), self._random(10)),
            gate_id=self._gate_id,
            epoch="",
            seq=0,
            boot_id=now.boot_id,
            occurred_at=now.wall,
            monotonic_ms=now.monotonic_ms,
            clock=now.clock,
            clock_offset_ms=now.offset_ms,
            clock_uncertainty_ms=now.uncertainty_ms,
            event_id=event.event_id if event else None,
            kind=verdict.kind,
            subject_id=verdict.subject_id,
            code_hash=code.code_hash if code else None,
            raw_hash=hashlib.sha256(presented.raw).hexdigest(),
            verdict=verdict.ruling,
            reason=verdict.reason,
            rule=verdict.rule,
            flags=verdict.flags,
            scan_method=method,
            cache_version=case.feed.version,
            cache_age_s=case.feed.age_s,
            released=release and verdict.admits,
        )


def _entered_unseen(case: _Case, turn: Turn) -> int:
    """Guests of the same table whom a peer or this gate let in, and the hub has not counted."""
    unseen = [code_hash for code_hash, there in case.companions.items() if not there]
    seen = len(case.companions) - len(unseen)
    return seen + turn.admitted(unseen) if unseen else seen


def _without_history(verdict: Verdict) -> Verdict:
    """A first entry may be a second one while this gate's own history is lost (docs/adr/0012).

    It is admitted from what is known, as at a gate that is alone (domain 2.3), and never silently.
    """
    if verdict.admits and verdict.reason is Reason.FIRST_ENTRY and verdict.kind in (Kind.GA, Kind.UNKNOWN):
        return msgspec.structs.replace(verdict, flags=(*verdict.flags, Flag.HISTORY_LOST))
    return verdict


def _check_list(events: tuple[Event, ...], event: Event | None, feed: Feed) -> None:
    """A gate that has never had tonight's list cannot say that a ticket is not on it.

    :raises CacheError: it has none.
    """
    if not events or (event is not None and event.served and feed.version is None):
        raise CacheError(
            "No guest list of tonight has been fetched yet. Start maguey-sync and look at its log."
        )


def _ticket_event(events: tuple[Event, ...], known: Known, code: Code | None) -> Event | None:
    """The night a ticket is for: by the cache, or by the event code and date it carries."""
    if known.admission is not None:
        wanted = known.admission.event_id
        return next((event for event in events if event.event_id == wanted), None)
    if code is None or code.event_code is None:
        return None
    return next((event for event in events if event.code == code.event_code), None)
