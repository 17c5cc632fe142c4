"""The first entry of a one-time ticket under each isolation policy, row by row of the table."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pytest

from gate.rules.decide import decide
from gate.rules.first_entry import ALONE, Grant, Standing, needs_hub
from gate.rules.home_gate import home_of
from gate.rules.model import (
    Entry,
    Event,
    Flag,
    IsolationPolicy,
    Kind,
    Reason,
    ReservationStatus,
    Ruling,
)
from gate.rules.payload import Proof
from tests.factories import NOW, a_code, a_question, a_table, an_admission, an_event

HOMES = ("gate-1", "gate-2", "gate-3")
CODE = a_code()
HOME = home_of(CODE.code_hash, HOMES) or ""
OTHER = next(gate for gate in HOMES if gate != HOME)
ENTRY = Entry(at=NOW, gate="gate-9", scan="scan-9")
Told = tuple[Reason, tuple[Flag, ...], str]
ADMITTED: Told = (Reason.FIRST_ENTRY, (), "")
UNCLAIMED: Told = (Reason.FIRST_ENTRY, (Flag.UNCLAIMED,), "")
ALONE_IN: Told = (Reason.FIRST_ENTRY, (Flag.ISOLATED, Flag.UNCLAIMED), "")
FORGETFUL: Told = (Reason.FIRST_ENTRY, (Flag.UNCLAIMED, Flag.HISTORY_LOST), "")
REFUSED: Told = (Reason.ISOLATED, (), "")
SENT: Told = (Reason.OTHER_GATE, (), HOME)


def answer(says: Literal["granted", "taken", "revoked", "elsewhere"], **more: Any) -> Grant:
    return Grant(scan_id="scan-1", answer=says, **more)


def night(policy: IsolationPolicy, homes: tuple[str, ...] = HOMES, retired: tuple[str, ...] = ()) -> Event:
    return an_event(isolation=policy, homes=homes, retired=retired)


def told(event: Event, gate: str = HOME, **standing: Any) -> Told:
    verdict = decide(a_question(event=event, ticket_event=event, standing=Standing(gate=gate, **standing)))
    assert verdict.admits is (verdict.reason is Reason.FIRST_ENTRY)
    assert verdict.line == 11
    return verdict.reason, verdict.flags, verdict.other_gate


GRANTED = {"answer": answer("granted")}
LATE = {**GRANTED, "is_late": True}
ELSEWHERE = {"answer": answer("elsewhere", home=HOME)}
SILENT: dict[str, Any] = {}
CUT = {"isolated": True}
LOST = {"history_lost": True}
KEEPS = {"keeps": True}


@pytest.mark.parametrize(
    ("standing", "gate", "admit", "home_gate", "deny"),
    [
        (GRANTED, HOME, ADMITTED, ADMITTED, ADMITTED),
        (GRANTED, OTHER, ADMITTED, ADMITTED, ADMITTED),
        (LATE, HOME, REFUSED, REFUSED, REFUSED),
        (LATE, OTHER, REFUSED, REFUSED, REFUSED),
        (ELSEWHERE, OTHER, SENT, SENT, SENT),
        (ELSEWHERE, HOME, REFUSED, REFUSED, REFUSED),
        (SILENT, HOME, UNCLAIMED, REFUSED, UNCLAIMED),
        (SILENT | KEEPS, HOME, UNCLAIMED, UNCLAIMED, UNCLAIMED),
        (SILENT, OTHER, UNCLAIMED, SENT, UNCLAIMED),
        (SILENT | KEEPS, OTHER, UNCLAIMED, SENT, UNCLAIMED),
        (CUT, HOME, ALONE_IN, REFUSED, REFUSED),
        (CUT | KEEPS, HOME, ALONE_IN, ALONE_IN, REFUSED),
        (CUT | KEEPS, OTHER, ALONE_IN, SENT, REFUSED),
        (LOST, HOME, FORGETFUL, REFUSED, REFUSED),
        (LOST | KEEPS, HOME, FORGETFUL, REFUSED, REFUSED),
        (LOST | KEEPS, OTHER, FORGETFUL, SENT, REFUSED),
    ],
)
def test_each_isolation_policy_in_each_situation(
    standing: dict[str, Any], gate: str, admit: Told, home_gate: Told, deny: Told
) -> None:
    assert told(night("admit"), gate, **standing) == admit
    assert told(night("home_gate"), gate, **standing) == home_gate
    assert told(night("deny"), gate, **standing) == deny


def test_every_policy_has_its_rule() -> None:
    assert set(ALONE) == set(get_args(IsolationPolicy))


def test_home_gate_admits_nobody_alone_before_the_homes_are_final() -> None:
    assert told(night("home_gate", homes=()), keeps=True) == REFUSED


def test_the_tickets_of_a_retired_gate_get_another_home() -> None:
    left = night("home_gate", retired=(HOME,))
    heir = home_of(CODE.code_hash, HOMES, (HOME,)) or ""
    assert heir not in ("", HOME)
    assert told(left, HOME, keeps=True) == (Reason.OTHER_GATE, (), heir)
    assert told(left, heir, keeps=True) == UNCLAIMED


@pytest.mark.parametrize("policy", get_args(IsolationPolicy))
def test_a_ticket_the_hub_says_is_taken_is_already_used(policy: IsolationPolicy) -> None:
    event = night(policy)
    standing = Standing(gate=HOME, keeps=True, answer=answer("taken", entry=ENTRY))
    verdict = decide(a_question(event=event, ticket_event=event, standing=standing))
    assert (verdict.ruling, verdict.reason, verdict.line) == (Ruling.DENY, Reason.ALREADY_USED, 13)


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        (Reason.CANCELLED, 8),
        (Reason.REFUNDED, 8),
        (Reason.WRONG_EVENT, 7),
        (Reason.EVENT_CANCELLED, 8),
    ],
)
def test_a_ticket_the_hub_has_revoked_is_refused_as_if_the_cache_knew(reason: Reason, line: int) -> None:
    verdict = decide(a_question(standing=Standing(answer=answer("revoked", reason=reason))))
    assert (verdict.ruling, verdict.reason, verdict.line) == (Ruling.DENY, reason, line)


@pytest.mark.parametrize("said", [answer("revoked", reason=Reason.REFUNDED), answer("taken", entry=ENTRY)])
def test_the_hubs_answer_counts_for_an_unknown_signed_ticket_too(said: Grant) -> None:
    question = a_question(
        admission=None, ticket_event=None, proof=Proof.VALID, standing=Standing(answer=said)
    )
    assert decide(question).ruling is Ruling.DENY


@pytest.mark.parametrize("policy", get_args(IsolationPolicy))
@pytest.mark.parametrize("kind", [Kind.VIP_HOST, Kind.VIP_PASS, Kind.VIP_LINKED])
def test_vip_needs_no_claim_whatever_the_policy(policy: IsolationPolicy, kind: Kind) -> None:
    event = night(policy)
    verdict = decide(
        a_question(
            event=event,
            ticket_event=event,
            admission=an_admission(kind=kind),
            table=a_table(status=ReservationStatus.CONFIRMED),
            standing=Standing(gate=OTHER, isolated=True, history_lost=True),
        )
    )
    assert (verdict.reason, verdict.flags) == (Reason.FIRST_ENTRY, (Flag.ISOLATED,))
    assert not needs_hub(verdict)


@pytest.mark.parametrize("reason", [*(reason.value for reason in Reason), "a_word_of_a_later_hub", "", None])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_ticket_the_hub_has_revoked_is_refused_whatever_its_reason(
    reason: str | None, is_known: bool
) -> None:
    standing = Standing(gate=HOME, answer=answer("revoked", reason=reason))
    known = {} if is_known else {"admission": None, "proof": Proof.VALID}
    verdict = decide(
        a_question(event=night("admit"), ticket_event=night("admit"), standing=standing, **known)
    )
    assert verdict.ruling is Ruling.DENY
    assert verdict.reason not in (Reason.FIRST_ENTRY, Reason.REENTRY)
    if reason == "a_word_of_a_later_hub":
        assert verdict.reason is Reason.CANCELLED
