"""One scan from presentation to durable record: look up, decide, commit. No hardware.

The order is the promise: when `Desk.answer` returns, the record is on disk, so whoever
calls it may move the turnstile. A first entry of a one-time ticket is claimed at the hub before
that (domain 2.3, situation 1), and so is every entry by a list that is known to be behind, so that a
committed verdict is final: the journal's turn is left without a word, the hub is asked, and the turn
decides again with its answer.
See docs/adr/0020-claims-at-the-door.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gate.clock import Clock
from gate.common.errors import CacheError
from gate.common.uuids import uuid7
from gate.common.value import Value
from gate.door.effects import Effects, effects, screen_link, with_arrivals
from gate.hotline.client import HubLine
from gate.rules.decide import Policy, Question, decide
from gate.rules.first_entry import Claim, Grant, Standing, is_first_of_one_time, lacks_leave
from gate.rules.guesses import covered, is_guess, strict
from gate.rules.history import combine, is_same, without
from gate.rules.home_gate import division_of, home_of
from gate.rules.model import Admission, Event, Now, ScanRecord, Verdict
from gate.rules.night import margin, names, night_of, serving
from gate.rules.payload import Code, Proof, Several, prove
from gate.rules.presence import Presented
from gate.store.cache import CacheReader, Feed, Known, LinkState, is_isolated, is_stale
from gate.store.journal import Journal, Past, Turn
from gate.store.locks import LOCK_FILE, LendingBusy, lending_lock

Method = Literal["camera", "scanner", "manual", "staff"]
RELIABLE_MS = 1_000
"""A grant this old is not used. The hub takes one back no sooner than 30 s after it, and only one that a gate
seems to have made nothing of: this process may have been stopped in between."""
NO_LIST = "A guest list of tonight has not been fetched yet. Start maguey-sync and look at its log."
LENDING_S = 0.05
"""The longest a guest waits for sync to be done with a ticket it lends; it takes one commit."""


class Answered(Value, frozen=True):
    """A decided scan. `record` is None of two codes at once (nothing was decided) and of what is spared.

    `decision_ms`: from the presented code to the durable commit.
    """

    verdict: Verdict
    effects: Effects
    record: ScanRecord | None
    decision_ms: float


class _Scan(Value, frozen=True, kw_only=False):
    """One presentation, and how it came."""

    presented: Presented
    scan_id: str
    method: Method
    release: bool
    locked: bool
    spares: bool

    @property
    def code(self) -> Code | None:
        """What is looked up, None if it is no code of ours."""
        return self.presented.what if isinstance(self.presented.what, Code) else None


class _Leave(Value, frozen=True):
    """What was found out before the turn that decides. `asked_ms`: when, 0 if the hub was not asked.

    `is_sure`: if the ticket is one of this gate's own, it is not being lent to another meanwhile.
    """

    answer: Grant | None = None
    asked_ms: int = 0
    is_sure: bool = False


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

    :param claims: the line to the hub.
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
        claims: HubLine,
        random: Callable[[int], bytes],
        policy: Policy,
        keys: Mapping[str, Ed25519PublicKey],
        isolated_after: float,
    ) -> None:
        self._gate_id = gate_id
        self._journal = journal
        self._cache = cache
        self._clock = clock
        self._claims = claims
        self._random = random
        self._policy = policy
        self._keys = keys
        self._isolated_ms = isolated_after * 1000
        self._log = structlog.get_logger()

    def answer(
        self,
        presented: Presented,
        method: Method = "camera",
        *,
        release: bool = True,
        locked: bool = False,
        spares: bool = False,
    ) -> Answered:
        """Decide and record one presentation.

        :param release: whether an admission will move a turnstile; recorded as `released`.
        :param locked: the gate is locked against guessing (`gate.rules.guesses`).
        :param spares: a refusal of a code nobody knows gets no record of its own
        (`gate.rules.spared_refusals`).
        :raises CacheError: the cache cannot be read; nothing was decided or recorded.
        :raises StoreError: the journal cannot be written; nothing was recorded, nobody is admitted.
        """
        started = time.perf_counter()
        case = self._case(presented, locked=locked)
        if isinstance(presented.what, Several):
            return self._answered(case, decide(case.question), None, started)
        scan_id = uuid7(int(case.now.wall.timestamp() * 1000), self._random(10))
        scan = _Scan(presented, scan_id, method, release, locked, spares)
        verdict, record = self._turn(case, scan, None)
        if record is None and not _is_spared(case, scan, verdict):
            case, verdict, record = self._with_leave(case, scan)
        return self._answered(case, verdict, record, started)

    def _turn(self, case: _Case, scan: _Scan, leave: _Leave | None) -> tuple[Verdict, ScanRecord | None]:
        """Decide and record. No record: it is spared, or leave has to be found first; nothing was written."""
        with self._journal.turn() as turn:
            verdict = covered(self._decide(case, turn, leave or _Leave()), locked=scan.locked)
            if _is_spared(case, scan, verdict):
                return verdict, None
            if leave is None and lacks_leave(verdict) and self._may_find_leave(case):
                return verdict, None
            record = turn.append(self._record(case, scan, verdict))
            if case.link.hub_seq >= record.seq:
                self._journal.check_numbering(case.link.epoch, case.link.hub_seq, record.seq - 1)
        return verdict, record

    def _may_find_leave(self, case: _Case) -> bool:
        return self._claims.is_up(case.link) or self._is_home(case)

    def _is_home(self, case: _Case) -> bool:
        """Whether the ticket is at home here, under the policy that lets a gate admit those alone."""
        event, code = case.question.event, case.question.presented
        if event is None or event.isolation != "home_gate" or not isinstance(code, Code):
            return False
        return home_of(code.code_hash, event.homes, event.retired) == self._gate_id

    def _with_leave(self, case: _Case, scan: _Scan) -> tuple[_Case, Verdict, ScanRecord | None]:
        """Ask the hub, and decide again. A claim nobody was admitted with is told of, whatever went wrong."""
        is_asked, asked_ms = self._claims.is_up(case.link), self._clock.now().monotonic_ms
        answer = self._claims.ask(self._claim(case, scan)) if is_asked else None
        admitted = False
        try:
            if is_asked and answer is None:
                # others may have told of this very ticket while we waited
                case = self._case(scan.presented, locked=scan.locked)
            with self._lending(case) as is_sure:
                leave = _Leave(answer=answer, asked_ms=asked_ms, is_sure=is_sure)
                verdict, record = self._turn(case, scan, leave)
            admitted = verdict.admits
        finally:
            if is_asked and not admitted and (answer is None or answer.answer == "granted"):
                self._claims.unused(scan.scan_id)
        return case, verdict, record

    def _claim(self, case: _Case, scan: _Scan) -> Claim:
        event, code = case.question.event, scan.code
        assert event is not None and code is not None  # no other verdict lacks leave
        return Claim(
            scan_id=scan.scan_id,
            code_hash=code.code_hash,
            event_id=event.event_id,
            epoch=self._journal.epoch,
        )

    @contextlib.contextmanager
    def _lending(self, case: _Case) -> Iterator[bool]:
        """Around a turn in which a ticket of our own may be admitted: whether it cannot be lent meanwhile.

        Also where the hub has granted it: once it takes that back, it may ask sync for the ticket.
        """
        if not self._is_home(case):
            yield True
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(lending_lock(self._journal.path.with_name(LOCK_FILE), LENDING_S))
            except LendingBusy as error:
                self._log.warning("a ticket of this gate's own is not admitted now", why=str(error))
                yield False
            else:
                yield True

    def _answered(self, case: _Case, verdict: Verdict, record: ScanRecord | None, started: float) -> Answered:
        acked = case.link.acked_seq if case.link.epoch == self._journal.epoch else 0
        last = record.seq if record else self._journal.last_seq()
        stale = _is_stale(case.link, case.question.event, case.now)
        link = screen_link(case.link, last - acked, case.feed, self._isolated_ms, stale=stale)
        names = self._cache.gate_names() if verdict.entry or verdict.other_gate else {}
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
            known = self._cache.find(code.code_hash) if code else Known()
            wanted = _ticket_event(events, known, code)
            event = night_of(wanted, events, now.wall)
            feed = self._cache.feed(event.event_id, now.wall) if event else Feed()
            companions = self._cache.companions(known.table.reservation_id) if known.table else {}
            is_told = known.admission is not None or self._has_lists(event, wanted, events, now)
        proof = self._proof(code, known.admission)
        if code is not None and proof is not Proof.VALID and not is_told:
            raise CacheError(NO_LIST)
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
                ticket_event=wanted,
                proof=proof,
                policy=strict(self._policy, locked=locked),
            ),
        )

    def _has_lists(
        self, event: Event | None, wanted: Event | None, events: Sequence[Event], now: Now
    ) -> bool:
        """A gate that never had a night's list cannot say that a ticket is not on it."""
        named = event is not None and event is wanted
        nights = (event,) if named else serving(events, now.wall)
        feeds = (self._cache.feed(night.event_id, now.wall) for night in nights if night is not None)
        return bool(events) and all(feed.version is not None for feed in feeds)

    def _proof(self, code: Code | None, admission: Admission | None) -> Proof:
        if code is None:
            return Proof.NONE
        issued = (admission.signature_hash or "") if admission else None
        return prove(code, issued, self._keys)

    def _decide(self, case: _Case, turn: Turn, leave: _Leave) -> Verdict:
        code = case.question.presented
        past = turn.past(code.code_hash) if isinstance(code, Code) else Past()
        standing = self._standing(case, past, leave)
        told = standing.answer.entry if standing.answer else None
        admission = without(case.known.admission, past.annulled)
        history = combine(admission, [*past.entries, *case.known.peers, *([told] if told else [])])
        question = msgspec.structs.replace(
            case.question, admission=admission, history=history, standing=standing
        )
        return with_arrivals(decide(question), _entered_unseen(case, turn))

    def _standing(self, case: _Case, past: Past, leave: _Leave) -> Standing:
        answer = _believed(leave.answer, past)
        is_granted = answer is not None and answer.answer == "granted"
        return Standing(
            gate=self._gate_id,
            answer=answer,
            is_late=is_granted and (not leave.is_sure or self._is_late(leave)),
            isolated=answer is None and is_isolated(case.link, self._isolated_ms),
            history_lost=past.lost,
            keeps=leave.is_sure and answer is None and self._is_home(case) and self._keeps(case),
            stale=_is_stale(case.link, case.question.event, case.now),
        )

    def _is_late(self, leave: _Leave) -> bool:
        return self._clock.now().monotonic_ms - leave.asked_ms > RELIABLE_MS

    def _keeps(self, case: _Case) -> bool:
        """Read anew, under the lending lock: what was read before may have been lent since.

        :raises CacheError: it cannot be read; nothing is recorded.
        """
        event, code = case.question.event, case.question.presented
        assert event is not None and isinstance(code, Code)
        with self._cache.view():
            told_of = self._cache.link(case.now).lent_as_of.get(event.event_id)
            is_lent = self._cache.is_lent(code.code_hash)
        # the feed tells of another division at once, what is lent comes with the next configuration
        return told_of == division_of(event) and not is_lent

    def _record(self, case: _Case, scan: _Scan, verdict: Verdict) -> ScanRecord:
        now, code = case.now, scan.code
        event: Event | None = case.question.event
        return ScanRecord(
            scan_id=scan.scan_id,
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
            raw_hash=hashlib.sha256(scan.presented.raw).hexdigest(),
            verdict=verdict.ruling,
            reason=verdict.reason,
            line=verdict.line,
            flags=verdict.flags,
            scan_method=scan.method,
            cache_version=case.feed.version,
            cache_age_s=case.feed.age_s,
            released=scan.release and verdict.admits,
            heard=case.link.heard if is_first_of_one_time(verdict) else (),
        )


def _is_spared(case: _Case, scan: _Scan, verdict: Verdict) -> bool:
    return scan.spares and is_guess(verdict) and case.known.admission is None


def _is_stale(link: LinkState, event: Event | None, now: Now) -> bool:
    return event is not None and is_stale(link, event.event_id, now.monotonic_ms)


def _entered_unseen(case: _Case, turn: Turn) -> int:
    """Guests of the same table whom a peer or this gate let in, and the hub has not counted."""
    unseen = [code_hash for code_hash, there in case.companions.items() if not there]
    seen = len(case.companions) - len(unseen)
    return seen + turn.admitted(unseen) if unseen else seen


def _believed(answer: Grant | None, past: Past) -> Grant | None:
    """What the hub says, unless it has not heard yet that this gate annulled what it goes by."""
    if answer is None or answer.answer != "taken" or answer.entry is None:
        return answer
    return None if any(is_same(answer.entry, gone) for gone in past.annulled) else answer


def _ticket_event(events: Sequence[Event], known: Known, code: Code | None) -> Event | None:
    """The night a ticket is for: by the cache, or by the event code and date it carries."""
    if known.admission is not None:
        wanted = known.admission.event_id
        return next((event for event in events if event.event_id == wanted), None)
    if code is None or code.event_code is None:
        return None
    of_code = [event for event in events if event.code == code.event_code]
    named = [event for event in of_code if names(code.event_code, code.event_date, event)]
    return next(iter(named or of_code), None)
