"""Every line of the decision table, domain 2.3, by its number."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gate.rules.decide import LINES, Policy, Question, decide
from gate.rules.first_entry import Standing
from gate.rules.model import Entry, Flag, History, Kind, Reason, ReservationStatus, Ruling, Status, Verdict
from gate.rules.payload import Malformed, Proof, Several
from tests.factories import DOORS, NOW, a_code, a_question, a_table, an_admission, an_event, code_id, pass_id

EARLIER = Entry(at=NOW - timedelta(minutes=30), gate="gate-2")
ENTERED = History(first=EARLIER, last=EARLIER)
ALONE = Standing(isolated=True)
UNKNOWN = {"admission": None, "ticket_event": None}
VIP_KINDS = [Kind.VIP_HOST, Kind.VIP_PASS, Kind.VIP_LINKED]


def vip(kind: Kind = Kind.VIP_LINKED, ticket: Status = Status.ISSUED, **table: Any) -> dict[str, Any]:
    return {"admission": an_admission(kind=kind, status=ticket), "table": a_table(**table)}


def outcome(**changes: Any) -> tuple[Ruling, Reason, int]:
    verdict = decide(a_question(**changes))
    return verdict.ruling, verdict.reason, verdict.line


def test_line_1_a_foreign_code_is_malformed() -> None:
    assert outcome(presented=Malformed("a URL"), **UNKNOWN) == (Ruling.DENY, Reason.MALFORMED, 1)


def test_line_2_an_unknown_code_with_a_wrong_check_character_is_damaged() -> None:
    wrong = a_code(code_id()[:-1] + ("A" if code_id()[-1] != "A" else "B"))
    assert outcome(presented=wrong, **UNKNOWN) == (Ruling.DENY, Reason.BAD_CHECKSUM, 2)


def test_line_2_an_old_short_id_the_cache_knows_needs_no_check_character() -> None:
    old = a_code("MGY-PF-20261120-ABC123XYZ")
    assert not old.check_ok
    assert outcome(presented=old) == (Ruling.ADMIT, Reason.FIRST_ENTRY, 11)


def test_line_3_an_invalid_signature_is_forged_though_the_ticket_is_known() -> None:
    assert outcome(proof=Proof.INVALID) == (Ruling.DENY, Reason.FORGED, 3)


def test_line_4_two_codes_in_one_frame_decide_nothing() -> None:
    assert outcome(presented=Several(2), **UNKNOWN) == (Ruling.NONE, Reason.AMBIGUOUS, 4)


def test_line_5_an_unknown_unsigned_code_is_refused() -> None:
    assert outcome(**UNKNOWN) == (Ruling.DENY, Reason.UNKNOWN, 5)


def test_line_5_a_signed_pass_unknown_to_the_cache_is_refused() -> None:
    signed_pass = a_question(presented=a_code(pass_id()), proof=Proof.VALID, **UNKNOWN)
    assert (decide(signed_pass).reason, decide(signed_pass).line) == (Reason.UNKNOWN, 5)


def test_line_5_the_venue_may_admit_unknown_codes_and_flag_them() -> None:
    verdict = decide(a_question(policy=Policy(unknown="admit"), **UNKNOWN))
    assert (verdict.ruling, verdict.line, verdict.flags) == (Ruling.ADMIT, 6, (Flag.UNSYNCED, Flag.UNCLAIMED))


def test_line_6_a_validly_signed_unknown_ticket_of_tonight_enters_flagged_unsynced() -> None:
    verdict = decide(a_question(proof=Proof.VALID, **UNKNOWN))
    assert (verdict.ruling, verdict.reason, verdict.line) == (Ruling.ADMIT, Reason.FIRST_ENTRY, 6)
    assert verdict.flags == (Flag.UNSYNCED, Flag.UNCLAIMED)


def test_line_6_admits_once() -> None:
    again = outcome(proof=Proof.VALID, history=ENTERED, **UNKNOWN)
    assert again == (Ruling.DENY, Reason.ALREADY_USED, 13)


def test_line_6_does_not_admit_outside_the_hours() -> None:
    early = outcome(proof=Proof.VALID, now=DOORS - timedelta(minutes=1), **UNKNOWN)
    assert early == (Ruling.DENY, Reason.TOO_EARLY, 10)


@pytest.mark.parametrize(
    ("date", "line"),
    [("20261118", 7), ("20261119", 6), ("20261120", 6), ("20261121", 6), ("20261122", 7), ("99999999", 7)],
)
def test_line_6_the_date_in_a_code_must_be_within_a_day_of_tonight(date: str, line: int) -> None:
    """A code has the club's date and the doors have UTC's: these differ by a day at most."""
    code = a_code(code_id(date=date))
    assert outcome(presented=code, proof=Proof.VALID, **UNKNOWN)[2] == line


def test_line_6_does_not_admit_another_nights_ticket() -> None:
    saturday = a_code(code_id(event="PS"))
    signed = {"presented": saturday, "proof": Proof.VALID, **UNKNOWN}
    assert outcome(**signed) == (Ruling.DENY, Reason.WRONG_EVENT, 7)


def test_line_7_a_ticket_for_another_night_names_that_night() -> None:
    saturday = an_event(event_id="event-2", code="PS", name="Perreo Saturdays")
    other = {"admission": an_admission(event_id="event-2"), "ticket_event": saturday}
    verdict = decide(a_question(**other))
    assert (verdict.ruling, verdict.reason, verdict.line) == (Ruling.DENY, Reason.WRONG_EVENT, 7)
    assert verdict.event == saturday


def test_line_7_a_signed_ticket_unknown_to_the_cache_never_names_tonight() -> None:
    saturday = an_event(event_id="event-2", code="PS", name="Perreo Saturdays")
    code = a_code(code_id(event="PS"))
    for known in (saturday, None):
        asked = a_question(presented=code, proof=Proof.VALID, admission=None, ticket_event=known)
        assert (decide(asked).reason, decide(asked).event) == (Reason.WRONG_EVENT, known)


def test_line_7_without_a_night_every_known_ticket_is_for_another_event() -> None:
    assert outcome(event=None) == (Ruling.DENY, Reason.WRONG_EVENT, 7)


def test_line_8_a_cancelled_event_admits_nobody() -> None:
    assert outcome(event=an_event(status="cancelled")) == (Ruling.DENY, Reason.EVENT_CANCELLED, 8)


@pytest.mark.parametrize(
    ("status", "reason"), [(Status.CANCELLED, Reason.CANCELLED), (Status.REFUNDED, Reason.REFUNDED)]
)
def test_line_8_a_cancelled_or_refunded_ticket_is_refused(status: Status, reason: Reason) -> None:
    assert outcome(admission=an_admission(status=status)) == (Ruling.DENY, reason, 8)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"proof": Proof.INVALID}, Reason.FORGED),
        ({"admission": an_admission(event_id="event-2")}, Reason.WRONG_EVENT),
        ({"event": an_event(status="cancelled")}, Reason.EVENT_CANCELLED),
        ({"admission": an_admission(status=Status.CANCELLED)}, Reason.CANCELLED),
        ({"admission": an_admission(status=Status.REFUNDED)}, Reason.REFUNDED),
        (vip(Kind.VIP_PASS, status=ReservationStatus.CANCELLED), Reason.TABLE_NOT_CONFIRMED),
        ({"now": DOORS - timedelta(hours=1)}, Reason.TOO_EARLY),
        ({"now": an_event().ends_at}, Reason.EVENT_OVER),
    ],
)
def test_validity_is_judged_before_duplication(changes: dict[str, Any], reason: Reason) -> None:
    """A guest who was in before is told why the ticket is not valid, not that it was used."""
    assert outcome(history=ENTERED, **changes)[1] is reason
    if "admission" not in changes:
        for kind in VIP_KINDS:
            assert outcome(history=ENTERED, **vip(kind) | changes)[1] is reason


@pytest.mark.parametrize(
    "status", [ReservationStatus.PENDING, ReservationStatus.CANCELLED, ReservationStatus.COMPLETED]
)
def test_line_9_a_guest_pass_of_an_unpaid_table_is_refused(status: ReservationStatus) -> None:
    unpaid = outcome(**vip(Kind.VIP_PASS, status=status))
    assert unpaid == (Ruling.DENY, Reason.TABLE_NOT_CONFIRMED, 9)


def test_line_9_a_guest_pass_without_a_table_is_refused() -> None:
    homeless = outcome(admission=an_admission(kind=Kind.VIP_PASS), table=None)
    assert homeless == (Ruling.DENY, Reason.TABLE_NOT_CONFIRMED, 9)


@pytest.mark.parametrize("status", [ReservationStatus.CONFIRMED, ReservationStatus.CHECKED_IN])
def test_line_9_a_guest_pass_of_a_paid_table_enters(status: ReservationStatus) -> None:
    assert outcome(**vip(Kind.VIP_PASS, status=status)) == (Ruling.ADMIT, Reason.FIRST_ENTRY, 11)


def test_line_10_before_the_doors_open() -> None:
    assert outcome(now=DOORS - timedelta(seconds=1)) == (Ruling.DENY, Reason.TOO_EARLY, 10)
    assert outcome(now=DOORS) == (Ruling.ADMIT, Reason.FIRST_ENTRY, 11)


def test_line_10_after_the_events_end() -> None:
    end = an_event().ends_at
    assert outcome(now=end) == (Ruling.DENY, Reason.EVENT_OVER, 10)
    assert outcome(now=end - timedelta(seconds=1)) == (Ruling.ADMIT, Reason.FIRST_ENTRY, 11)


def test_line_10_an_event_the_hub_has_completed_is_over_whatever_the_clock_says() -> None:
    over = an_event(status="completed")
    for hours in (-1, 0, 1, 9):
        for changes in ({}, vip(), {"proof": Proof.VALID, **UNKNOWN}):
            then = DOORS + timedelta(hours=hours)
            assert outcome(event=over, now=then, **changes) == (Ruling.DENY, Reason.EVENT_OVER, 10)


@pytest.mark.parametrize("kind", [Kind.GA, *VIP_KINDS])
def test_line_11_a_guest_who_has_not_entered_yet_enters(kind: Kind) -> None:
    assert outcome(**vip(kind)) == (Ruling.ADMIT, Reason.FIRST_ENTRY, 11)


@pytest.mark.parametrize("kind", VIP_KINDS)
def test_line_12_vip_may_come_back(kind: Kind) -> None:
    verdict = decide(a_question(history=ENTERED, **vip(kind)))
    assert (verdict.ruling, verdict.reason, verdict.line) == (Ruling.ADMIT, Reason.REENTRY, 12)
    assert verdict.entry == EARLIER


def test_line_12_holds_though_only_the_hub_saw_the_first_entry() -> None:
    assert outcome(**vip(ticket=Status.CHECKED_IN)) == (Ruling.ADMIT, Reason.REENTRY, 12)


@pytest.mark.parametrize(("seconds", "suspect"), [(59, True), (61, False)])
def test_line_12_a_reentry_within_a_minute_is_admitted_and_flagged(seconds: int, suspect: bool) -> None:
    entry = Entry(at=NOW - timedelta(seconds=seconds), gate="gate-2")
    verdict = decide(a_question(history=History(first=EARLIER, last=entry), **vip()))
    assert verdict.admits
    assert (Flag.PASSBACK_SUSPECT in verdict.flags) is suspect


def test_line_13_general_admission_is_one_time_and_says_where_it_was_used() -> None:
    verdict = decide(a_question(history=ENTERED))
    assert (verdict.ruling, verdict.reason, verdict.line) == (Ruling.DENY, Reason.ALREADY_USED, 13)
    assert verdict.entry == EARLIER


def test_line_13_holds_though_only_the_hub_saw_the_first_entry() -> None:
    used = outcome(admission=an_admission(status=Status.CHECKED_IN))
    assert used == (Ruling.DENY, Reason.ALREADY_USED, 13)


@pytest.mark.parametrize("kind", [Kind.VIP_HOST, Kind.VIP_LINKED])
@pytest.mark.parametrize(
    "status", [ReservationStatus.PENDING, ReservationStatus.CANCELLED, ReservationStatus.COMPLETED]
)
def test_a_ticket_of_an_unpaid_table_enters_as_plain_ga_without_table_or_reentry(
    kind: Kind, status: ReservationStatus
) -> None:
    unpaid = {"admission": an_admission(kind=kind), "table": a_table(status=status)}
    verdict = decide(a_question(**unpaid))
    assert (verdict.reason, verdict.kind, verdict.table) == (Reason.FIRST_ENTRY, Kind.GA, None)
    assert outcome(history=ENTERED, **unpaid)[1] is Reason.ALREADY_USED


def test_an_admission_by_an_isolated_gate_is_flagged() -> None:
    assert decide(a_question(standing=ALONE)).flags == (Flag.ISOLATED, Flag.UNCLAIMED)
    assert decide(a_question(standing=ALONE, history=ENTERED)).flags == ()


def test_the_lines_are_in_the_order_of_the_domain_document() -> None:
    assert [int(line.__name__.split("_")[1]) for line in LINES] == list(range(1, 14))


def test_a_verdict_never_holds_the_secret() -> None:
    def texts(verdict: Verdict, question: Question) -> str:
        return repr(verdict) + repr(question)

    question = a_question()
    assert code_id() not in texts(decide(question), question)
