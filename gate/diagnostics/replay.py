"""Decides a recorded night again, with the cache as it is now. Pure.

Each scan is put to `gate.rules.decide` with the past it had: this gate's own admissions from the journal up
to that scan, and what the cache said before it. Whatever differs was changed since: by the hub (a refund, a
link to a table), by the configuration, or by another version of this software.

A journal holds hashes and no codes, so two things are taken from the record: whether the check character was
right, and whether a signature verified.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from gate.common.value import Value
from gate.rules.decide import Policy, Question, decide
from gate.rules.first_entry import REFUSED_ALONE, Grant, Standing
from gate.rules.history import combine, without_annulled
from gate.rules.model import (
    Admission,
    Entry,
    Event,
    Flag,
    Kind,
    Moment,
    Reason,
    RecordReason,
    Ruling,
    ScanRecord,
    Status,
    Verdict,
)
from gate.rules.night import clock_margin, night_of
from gate.rules.payload import Code, Malformed, Proof
from gate.store.cache import Known

GRANTED = Grant(scan_id="", answer="granted")
EARLIEST = datetime.min.replace(tzinfo=UTC)


class Compared(Value, frozen=True):
    """The part of a verdict that is compared."""

    ruling: Ruling
    reason: RecordReason
    kind: Kind

    def __str__(self) -> str:
        return f"{self.ruling.value} {self.reason.value} ({self.kind.value})"


class Difference(Value, frozen=True):
    """One scan that would get another answer. `code`: the start of its hash."""

    seq: int
    at: Moment
    code: str
    was: Compared
    would_be: Compared
    why: str


class Replayed(Value, frozen=True):
    """`skipped`: scans that cannot be decided again, because the gate was locked against guessing or lacked
    the hub's leave."""

    scans: int
    skipped: int
    differences: tuple[Difference, ...]


class _Recalled(Code, frozen=True, kw_only=True):
    """A code of which only the hash is known."""

    is_well_made: bool = True

    @property
    def check_ok(self) -> bool:
        return self.is_well_made


class _Past:
    """This gate's own admissions, up to the present record."""

    def __init__(self) -> None:
        self._admitted: dict[str, tuple[str, Entry]] = {}
        self._entries: dict[str, list[Entry]] = {}
        self._annulled: dict[str, list[Entry]] = {}

    def add(self, record: ScanRecord) -> None:
        if record.record == "annulled":
            self._annul(record.refers_to or "")
        elif record.record == "scan" and record.verdict is Ruling.ADMIT and record.code_hash:
            entry = Entry(at=record.occurred_at, gate=record.gate_id, scan=record.scan_id)
            self._admitted[record.scan_id] = (record.code_hash, entry)
            self._entries.setdefault(record.code_hash, []).append(entry)

    def _annul(self, scan_id: str) -> None:
        code_hash, entry = self._admitted.pop(scan_id, ("", None))
        if entry is not None:
            self._entries[code_hash].remove(entry)
            self._annulled.setdefault(code_hash, []).append(entry)

    def entries(self, code_hash: str) -> list[Entry]:
        return self._entries.get(code_hash, [])

    def annulled(self, code_hash: str) -> list[Entry]:
        return self._annulled.get(code_hash, [])


def replay(
    records: Iterable[ScanRecord],
    known: Callable[[str], Known],
    events: Sequence[Event],
    policy: Policy,
    event_id: str | None = None,
) -> Replayed:
    """Decide every scan again.

    :param records: the whole journal by number, because each scan is the past of later ones. Iterated twice.
    :param known: what the cache says about a code.
    :param event_id: compare only scans decided for this event.
    """
    past, scans, skipped, differences = _Past(), 0, 0, list[Difference]()
    begun, begin_here = _beginnings(records)
    for record in records:
        is_judged = record.record == "scan" and event_id in (None, record.event_id)
        if is_judged and (Flag.LOCKED in record.flags or record.reason in REFUSED_ALONE):
            skipped += 1
        elif is_judged:
            scans += 1
            found = known(record.code_hash) if record.code_hash else Known()
            since = EARLIEST if record.code_hash in begin_here else begun
            question = _question(record, _as_it_was(found, record, since), past, events, policy)
            difference = _difference(record, decide(question), question)
            differences += [difference] if difference else []
        past.add(record)
    return Replayed(scans=scans, skipped=skipped, differences=tuple(differences))


def _beginnings(records: Iterable[ScanRecord]) -> tuple[datetime, frozenset[str | None]]:
    """When the journal begins, and the codes whose first entry is in it: so are their later ones at this
    gate.

    If the gate's clock was fast, the hub's time of such an entry may lie before the beginning of the journal.
    """
    begun, begin_here = None, set()
    for record in records:
        begun = begun or record.occurred_at
        if record.record == "scan" and record.reason is Reason.FIRST_ENTRY:
            begin_here.add(record.code_hash)
    return begun or EARLIEST, frozenset(begin_here)


def _as_it_was(known: Known, record: ScanRecord, since: datetime) -> Known:
    """The cache without what came after the scan.

    :param since: from then on this gate's own entries are taken from the journal; the hub has them with a
        corrected time.
    """

    def was_so(entry: Entry) -> bool:
        is_in_journal = entry.gate == record.gate_id and entry.at >= since
        return entry.at < record.occurred_at and not is_in_journal

    peers = tuple(filter(was_so, known.peers))
    return msgspec.structs.replace(known, admission=_admission(known.admission, was_so), peers=peers)


def _admission(admission: Admission | None, was_so: Callable[[Entry], bool]) -> Admission | None:
    if admission is None:
        return None
    entries = [entry for entry in (admission.first_entry, admission.last_entry) if entry is not None]
    kept = [entry for entry in entries if was_so(entry)]
    status = admission.status
    if entries and not kept and status is Status.CHECKED_IN:
        status = Status.ISSUED
    first, last = (kept[0], kept[-1]) if kept else (None, None)
    return msgspec.structs.replace(admission, status=status, first_entry=first, last_entry=last)


def _question(
    record: ScanRecord, known: Known, past: _Past, events: Sequence[Event], policy: Policy
) -> Question:
    code_hash = record.code_hash or ""
    admission = without_annulled(known.admission, past.annulled(code_hash))
    # a code that the cache does not know is assumed to name the night it was judged by
    wanted = _night(events, admission.event_id if admission else record.event_id)
    event = night_of(wanted, events, record.occurred_at)
    return Question(
        presented=_presented(record, event) if record.code_hash else Malformed("as recorded"),
        now=record.occurred_at,
        margin=clock_margin(record.clock, record.clock_uncertainty_ms),
        event=event,
        admission=admission,
        table=known.table,
        ticket_event=wanted if admission else None,
        history=combine(admission, [*past.entries(code_hash), *known.peers]),
        proof=_proof(record),
        # whatever it rested on then: a scan refused for lack of leave is not decided again
        standing=Standing(answer=GRANTED, isolated=Flag.ISOLATED in record.flags),
        policy=policy,
    )


def _night(events: Sequence[Event], event_id: str | None) -> Event | None:
    return next((event for event in events if event.event_id == event_id), None)


def _presented(record: ScanRecord, event: Event | None) -> Code:
    named = None if record.reason is Reason.WRONG_EVENT else event
    return _Recalled(
        id="",
        code_hash=record.code_hash or "",
        event_code=named.code if named else "",
        event_date=f"{named.doors_open_at:%Y%m%d}" if named else "",
        is_well_made=record.reason is not Reason.BAD_CHECKSUM,
    )


def _proof(record: ScanRecord) -> Proof:
    """Concluded from the line of the table: a code without a ticket that got past line 5 was signed."""
    if record.reason is Reason.FORGED:
        return Proof.INVALID
    return Proof.VALID if record.subject_id is None and record.line > 5 else Proof.NONE


def _difference(record: ScanRecord, verdict: Verdict, question: Question) -> Difference | None:
    was = Compared(ruling=record.verdict, reason=record.reason, kind=record.kind)
    would_be = Compared(ruling=verdict.ruling, reason=verdict.reason, kind=verdict.kind)
    if was == would_be:
        return None
    return Difference(
        seq=record.seq,
        at=record.occurred_at,
        code=(record.code_hash or "")[:12],
        was=was,
        would_be=would_be,
        why=_why(was, would_be, verdict, question),
    )


_NOW: dict[RecordReason, str] = {
    Reason.REFUNDED: "It has been refunded since.",
    Reason.CANCELLED: "It has been cancelled since.",
    Reason.EVENT_CANCELLED: "The night has been cancelled since.",
    Reason.TABLE_NOT_CONFIRMED: "Its table is no longer confirmed.",
    Reason.UNKNOWN: "The cache no longer knows it.",
    Reason.WRONG_EVENT: "It is for another night now, or this gate serves another.",
    Reason.TOO_EARLY: "The night's hours were changed.",
    Reason.EVENT_OVER: "The night's hours were changed.",
}
_THEN: dict[RecordReason, str] = {
    Reason.UNKNOWN: "It came into the cache after the scan.",
    Reason.BAD_CHECKSUM: "It came into the cache after the scan.",
    Reason.REFUNDED: "It is good again.",
    Reason.CANCELLED: "It is good again.",
    Reason.EVENT_CANCELLED: "The night takes place after all.",
    Reason.TABLE_NOT_CONFIRMED: "Its table has been confirmed since.",
    Reason.WRONG_EVENT: "It was moved to this night, or this gate serves another.",
    Reason.TOO_EARLY: "The night's hours were changed.",
    Reason.EVENT_OVER: "The night's hours were changed.",
    Reason.ALREADY_USED: "The entry it was refused for is no longer known.",
}


def _why(was: Compared, would_be: Compared, verdict: Verdict, question: Question) -> str:
    """The likely cause: by what the decision table says now, or else by what it said then."""
    if would_be.reason is Reason.ALREADY_USED and verdict.entry is not None:
        return f"An entry at {verdict.entry.gate} at {verdict.entry.at:%H:%M:%S} UTC became known since."
    if was.kind is Kind.UNKNOWN and question.admission is not None:
        return _THEN[Reason.UNKNOWN]
    if was.reason is would_be.reason:
        return "It has been linked to a table since, or removed from it, or the table was paid."
    likely = _NOW.get(would_be.reason) or _THEN.get(was.reason)
    return likely or "It was decided by another configuration or another version of the software."
