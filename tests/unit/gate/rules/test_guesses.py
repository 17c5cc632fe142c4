"""Guessing of codes: domain 2.3."""

from __future__ import annotations

import pytest

from gate.rules.decide import Policy, decide
from gate.rules.guesses import GUESSES, LOCK_MS, Guessing, count_verdict, hide_from_guesser, strict_policy
from gate.rules.model import Entry, Flag, History, Reason, Ruling, Status, Verdict
from gate.rules.payload import Malformed, Proof
from tests.factories import NOW, a_code, a_question, an_admission, code_id

UNKNOWN = Verdict(ruling=Ruling.DENY, reason=Reason.UNKNOWN, line=5)
ADMITTED = decide(a_question())


def refused(*at_s: float, reason: Reason = Reason.UNKNOWN) -> Guessing:
    """A gate that refused unknown codes at these seconds."""
    guessing = Guessing()
    for second in at_s:
        guessing, _ = count_verdict(
            guessing, Verdict(ruling=Ruling.DENY, reason=reason, line=5), int(second * 1000)
        )
    return guessing


@pytest.mark.parametrize("reason", sorted(GUESSES))
def test_five_refusals_of_lines_1_2_3_or_5_in_a_minute_lock_the_gate_for_30_seconds(
    reason: Reason,
) -> None:
    assert not refused(0, 10, 20, 30, reason=reason).is_locked(30_000)
    locked = refused(0, 10, 20, 30, 59.999, reason=reason)
    assert locked.is_locked(59_999)
    assert locked.is_locked(59_999 + LOCK_MS - 1)
    assert not locked.is_locked(59_999 + LOCK_MS)


def test_the_reasons_that_count_are_those_of_lines_1_2_3_and_5() -> None:
    made_up = a_code(code_id()[:-1] + ("A" if code_id()[-1] != "A" else "B"))
    questions = [
        a_question(presented=Malformed("a menu"), admission=None),
        a_question(presented=made_up, admission=None),
        a_question(proof=Proof.INVALID),
        a_question(admission=None),
    ]
    verdicts = [decide(question) for question in questions]
    assert [verdict.line for verdict in verdicts] == [1, 2, 3, 5]
    assert {verdict.reason for verdict in verdicts} == GUESSES


def test_five_refusals_in_more_than_a_minute_do_not_lock() -> None:
    assert not refused(0, 10, 20, 30, 60).is_locked(60_000)
    assert refused(0, 10, 20, 30, 60, 69).is_locked(69_000)


def test_only_the_fifth_refusal_reports_that_it_locked_the_gate() -> None:
    guessing, said = Guessing(), list[bool]()
    for second in range(8):
        guessing, locked = count_verdict(guessing, UNKNOWN, second * 1000)
        said.append(locked)
    assert said == [False] * 4 + [True] + [False] * 3


def test_refusals_while_locked_neither_extend_the_lock_nor_count_afterwards() -> None:
    guessing = refused(0, 0, 0, 0, 0, *range(1, 30))
    assert guessing.is_locked(29_999)
    assert not guessing.is_locked(30_000)
    for _ in range(4):
        guessing, locked = count_verdict(guessing, UNKNOWN, 30_000)
        assert not locked
    assert count_verdict(guessing, UNKNOWN, 30_000)[1]


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.REFUNDED, Status.CHECKED_IN])
def test_refusals_of_tickets_the_cache_knows_do_not_count_as_guesses(status: Status) -> None:
    verdict = decide(a_question(admission=an_admission(status=status)))
    guessing = Guessing()
    for _ in range(20):
        guessing, locked = count_verdict(guessing, verdict, 0)
        assert not locked
    assert guessing == Guessing()


def test_admissions_between_guesses_neither_count_nor_help_the_guesser() -> None:
    guessing = Guessing()
    for second in range(4):
        guessing, _ = count_verdict(guessing, UNKNOWN, second * 1000)
        guessing, _ = count_verdict(guessing, ADMITTED, second * 1000)
    assert count_verdict(guessing, UNKNOWN, 5000)[1]


def test_while_locked_a_guess_is_flagged_and_refused_as_before() -> None:
    hidden = hide_from_guesser(UNKNOWN, locked=True)
    assert hidden.flags == (Flag.LOCKED,)
    assert (hidden.ruling, hidden.reason, hidden.line) == (UNKNOWN.ruling, UNKNOWN.reason, UNKNOWN.line)
    assert hide_from_guesser(UNKNOWN, locked=False) == UNKNOWN


def test_while_locked_known_tickets_are_answered_as_always() -> None:
    entry = Entry(at=NOW, gate="gate-2")
    for verdict in (
        ADMITTED,
        decide(a_question(history=History(first=entry, last=entry))),
        decide(a_question(admission=an_admission(status=Status.REFUNDED))),
    ):
        assert hide_from_guesser(verdict, locked=True) == verdict


def test_while_locked_validly_signed_tickets_are_answered_as_always() -> None:
    policy = strict_policy(Policy(), locked=True)
    verdict = decide(a_question(admission=None, proof=Proof.VALID, policy=policy))
    assert verdict.admits
    assert hide_from_guesser(verdict, locked=True) == verdict


def test_while_locked_unknown_codes_are_not_admitted_though_the_venue_admits_them() -> None:
    venue = Policy(unknown="admit", passback_window=7.0)
    for locked, admits in ((False, True), (True, False)):
        verdict = decide(a_question(admission=None, policy=strict_policy(venue, locked=locked)))
        assert verdict.admits is admits
    assert strict_policy(venue, locked=True).passback_window == 7.0
    assert hide_from_guesser(verdict, locked=True).flags == (Flag.LOCKED,)
