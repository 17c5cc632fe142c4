"""The decision table of the door, one function per line: domain 2.3.

`decide` tries the lines in order; the first that applies gives the verdict. Pure: the `Question` holds
whatever a decision depends on. Validity (lines 1 to 10) is judged before duplication (lines 11 to 13), so a
cancelled ticket never reads "already used". The first entry of a one-time ticket (lines 6 and 11) also needs
permission: `gate.rules.first_entry`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from gate.common.value import Value
from gate.rules.first_entry import (
    ONE_TIME,
    REVOKED,
    Standing,
    flags_of_first_entry,
    other_gate,
    refusal_of_first_entry,
)
from gate.rules.model import (
    PAID,
    Admission,
    Entry,
    Event,
    Flag,
    History,
    Kind,
    Reason,
    Ruling,
    Status,
    Table,
    Verdict,
)
from gate.rules.night import names_night
from gate.rules.payload import Code, Malformed, Proof, Several


class Policy(Value, frozen=True):
    """What the venue may choose. Durations in seconds; sources: domain 2.3."""

    unknown: Literal["deny", "admit"] = "deny"
    passback_window: float = 60.0


class Question(Value, frozen=True):
    """Everything one decision depends on.

    `event`: the night the ticket is judged by (`gate.rules.night.night_of`): the ticket's own if this gate
    serves it now, else tonight's; None if the cache knows no night. `ticket_event`: the night the ticket is
    for, if the cache knows. `history`: earlier admissions of this code, from the cache, the own journal and
    the other gates. `margin`: how far `now` may be wrong. `standing`: what this gate knows of the hub and the
    other gates.
    """

    presented: Code | Malformed | Several
    now: datetime
    margin: timedelta = timedelta()
    event: Event | None = None
    admission: Admission | None = None
    table: Table | None = None
    ticket_event: Event | None = None
    history: History = History()
    proof: Proof = Proof.NONE
    standing: Standing = Standing()
    policy: Policy = Policy()


def decide(q: Question) -> Verdict:
    """Answer a scan. Every question has exactly one verdict; nothing is raised."""
    for line in LINES:
        verdict = line(q)
        if verdict is not None:
            return verdict
    raise AssertionError("lines 11 to 13 cover every case")  # pragma: no cover


def kind_of(q: Question) -> Kind:
    """The kind the guest enters as.

    A ticket of a host or a linked guest whose table is not paid for, by the cache or by the hub just now,
    enters as plain GA (domain 2.2). A guest pass has no ticket to fall back on and keeps its kind.
    """
    if q.admission is None:
        return Kind.UNKNOWN
    kind = q.admission.kind
    has_perk = _paid(q.table) and not (q.standing.answer and q.standing.answer.is_one_time)
    return Kind.GA if kind in (Kind.VIP_HOST, Kind.VIP_LINKED) and not has_perk else kind


def _paid(table: Table | None) -> bool:
    return table is not None and table.status in PAID


def _verdict(q: Question, ruling: Ruling, reason: Reason, line: int, entry: Entry | None = None) -> Verdict:
    kind = kind_of(q)
    admission = q.admission
    return Verdict(
        ruling=ruling,
        reason=reason,
        line=line,
        kind=kind,
        subject_id=admission.subject_id if admission else None,
        event=_other_night(q) if reason is Reason.WRONG_EVENT else q.ticket_event or q.event,
        table=None if kind in ONE_TIME else q.table,
        ticket_type=admission.ticket_type if admission else "",
        holder=admission.holder if admission else "",
        guest_number=admission.guest_number if admission else None,
        entry=entry,
        flags=_flags(q, ruling, reason, kind),
        other_gate=other_gate(q.standing, q.event, _hash(q)) if reason is Reason.OTHER_GATE else "",
    )


def _hash(q: Question) -> str:
    return q.presented.code_hash if isinstance(q.presented, Code) else ""


def _flags(q: Question, ruling: Ruling, reason: Reason, kind: Kind) -> tuple[Flag, ...]:
    if ruling is not Ruling.ADMIT:
        return ()
    flags = []
    if q.admission is None:
        flags.append(Flag.UNSYNCED)
    if q.standing.isolated:
        flags.append(Flag.ISOLATED)
    if q.standing.stale:
        flags.append(Flag.STALE)
    if reason is Reason.REENTRY and _came_straight_back(q):
        flags.append(Flag.PASSBACK_SUSPECT)
    if reason is Reason.FIRST_ENTRY and kind in ONE_TIME:
        flags += flags_of_first_entry(q.standing)
    return tuple(flags)


def _came_straight_back(q: Question) -> bool:
    last = q.history.last
    return last is not None and q.now - last.at < timedelta(seconds=q.policy.passback_window)


def _deny(q: Question, reason: Reason, line: int, entry: Entry | None = None) -> Verdict:
    return _verdict(q, Ruling.DENY, reason, line, entry)


def line_1_malformed(q: Question) -> Verdict | None:
    """Not one of our codes."""
    return _deny(q, Reason.MALFORMED, 1) if isinstance(q.presented, Malformed) else None


def line_2_bad_checksum(q: Question) -> Verdict | None:
    """Our format, but unknown to the cache, and its check character is wrong."""
    wrong = isinstance(q.presented, Code) and q.admission is None and not q.presented.check_ok
    return _deny(q, Reason.BAD_CHECKSUM, 2) if wrong else None


def line_3_forged(q: Question) -> Verdict | None:
    """Carries a signature that does not verify."""
    return _deny(q, Reason.FORGED, 3) if q.proof is Proof.INVALID else None


def line_4_ambiguous(q: Question) -> Verdict | None:
    """Two different codes of ours in one frame: nothing is decided."""
    several = isinstance(q.presented, Several)
    return _verdict(q, Ruling.NONE, Reason.AMBIGUOUS, 4) if several else None


def line_5_unknown(q: Question) -> Verdict | None:
    """Unknown to the cache and unsigned. `Policy.unknown` may let it through to the other lines.

    A guest pass that the cache does not know stays unknown even if it is signed, because its id does not
    name a night. So does a code about which the hub's list said something that this gate could not read.
    """
    if q.admission is not None and q.admission.kind is Kind.UNKNOWN:
        return _deny(q, Reason.UNKNOWN, 5)
    if q.admission is not None or q.policy.unknown == "admit":
        return None
    names_its_night = isinstance(q.presented, Code) and q.presented.event_code is not None
    return None if q.proof is Proof.VALID and names_its_night else _deny(q, Reason.UNKNOWN, 5)


def line_6_unsynced(q: Question) -> Verdict | None:
    """Unknown to the cache, validly signed (or let through by policy), for this gate's event.

    It is admitted once. The same code again, or outside the event's hours, is left to the lines below.
    """
    if q.admission is not None or not _is_served(q) or _entered(q):
        return None
    if line_8_revoked(q) or line_9_table_not_confirmed(q) or line_10_hours(q):
        return None
    return _first_entry(q, 6)


def line_7_wrong_event(q: Question) -> Verdict | None:
    """For an event that this gate does not serve now, by the cache or by the hub just now."""
    return None if _is_served(q) else _deny(q, Reason.WRONG_EVENT, 7)


def _is_served(q: Question) -> bool:
    if q.event is None or not q.event.served or q.standing.revoked is Reason.WRONG_EVENT:
        return False
    if q.admission is not None:
        return q.admission.event_id == q.event.event_id
    same_night = q.ticket_event is None or q.ticket_event.event_id == q.event.event_id
    return same_night and (not isinstance(q.presented, Code) or _names(q.presented, q.event))


def _names(code: Code, event: Event) -> bool:
    """Whether a code's own event and date are of this night; a guest pass has neither."""
    return code.event_code is None or names_night(code.event_code, code.event_date, event)


def _other_night(q: Question) -> Event | None:
    """The night of a ticket that is not for tonight, None if nobody knows which it is."""
    return None if q.ticket_event == q.event else q.ticket_event


def line_8_revoked(q: Question) -> Verdict | None:
    """Event cancelled, or ticket or pass cancelled or refunded, by the cache or by the hub just now."""
    by_hub = q.standing.revoked
    if by_hub is Reason.EVENT_CANCELLED or (q.event is not None and q.event.status == "cancelled"):
        return _deny(q, Reason.EVENT_CANCELLED, 8)
    by_hub = by_hub if by_hub in REVOKED.values() else None
    reason = by_hub or (REVOKED.get(q.admission.status) if q.admission else None)
    return _deny(q, reason, 8) if reason else None


def line_9_table_not_confirmed(q: Question) -> Verdict | None:
    """Guest pass of a reservation that is neither confirmed nor checked in, also by the hub just now."""
    unpaid_pass = kind_of(q) is Kind.VIP_PASS and not _paid(q.table)
    is_unpaid = unpaid_pass or q.standing.revoked is Reason.TABLE_NOT_CONFIRMED
    return _deny(q, Reason.TABLE_NOT_CONFIRMED, 9) if is_unpaid else None


def line_10_hours(q: Question) -> Verdict | None:
    """Before the doors open or after the event has ended; also if the clock is too uncertain to tell.

    An event that the hub has completed is over whatever this gate's clock says: a clock that jumps back to
    last week must not reopen last week's night (quality 7.1, invariant 15).
    """
    if q.event is None:
        return None
    if q.event.status == "completed" or q.now + q.margin >= q.event.ends_at:
        return _deny(q, Reason.EVENT_OVER, 10)
    return _deny(q, Reason.TOO_EARLY, 10) if q.now - q.margin < q.event.doors_open_at else None


def line_11_first_entry(q: Question) -> Verdict | None:
    """Not yet entered."""
    return None if _entered(q) else _first_entry(q, 11)


def _first_entry(q: Question, line: int) -> Verdict:
    assert q.event is not None  # line 7 saw to it
    reason = refusal_of_first_entry(q.standing, q.event, _hash(q)) if kind_of(q) in ONE_TIME else None
    return _deny(q, reason, line) if reason else _verdict(q, Ruling.ADMIT, Reason.FIRST_ENTRY, line)


def _entered(q: Question) -> bool:
    checked_in = q.admission is not None and q.admission.status is Status.CHECKED_IN
    return checked_in or q.history.first is not None or q.standing.says("taken")


def line_12_reentry(q: Question) -> Verdict | None:
    """Entered before and has the VIP perk."""
    if kind_of(q) in ONE_TIME:
        return None
    return _verdict(q, Ruling.ADMIT, Reason.REENTRY, 12, q.history.last)


def line_13_already_used(q: Question) -> Verdict | None:
    """Entered before and is good for one entry only."""
    return _deny(q, Reason.ALREADY_USED, 13, q.history.first)


LINES: tuple[Callable[[Question], Verdict | None], ...] = (
    line_1_malformed,
    line_2_bad_checksum,
    line_3_forged,
    line_4_ambiguous,
    line_5_unknown,
    line_6_unsynced,
    line_7_wrong_event,
    line_8_revoked,
    line_9_table_not_confirmed,
    line_10_hours,
    line_11_first_entry,
    line_12_reentry,
    line_13_already_used,
)
