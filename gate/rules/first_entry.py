"""Whether a gate may admit the first entry of a one-time ticket: by the hub's grant or the night's policy.

The first scan wins (domain 2.3), so a gate that can reach the hub asks it before it admits anybody. The
table in `refusal_of_first_entry` says what a gate does that gets no answer. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gate.common.value import Value
from gate.rules.home_gate import home_of
from gate.rules.model import Entry, Event, Flag, IsolationPolicy, Kind, Reason, Status, Verdict


class Claim(Value, frozen=True, tag="claim", tag_field="t"):
    """May this ticket enter here? `scan_id`: the id that the admission's record will have; asking again with
    the same id gets the same answer. `epoch`: of the journal that will hold the record."""

    scan_id: str
    code_hash: str
    event_id: str
    epoch: str
    v: int = 1


class Grant(Value, frozen=True, tag="grant", tag_field="t"):
    """The hub's answer to a claim.

    ``granted``: this gate may admit the ticket. ``taken``: somebody entered with it; `entry` says where and
    when. ``revoked``: the hub knows better than the cache, and `reason` says what (this gate refuses the
    ticket even if it does not know that word). ``elsewhere``: under the policy ``home_gate`` only the gate
    `home` may admit it, and the hub cannot reach that gate. `reentry`: whether the ticket has the VIP perk,
    as far as the hub knows; None if it does not say.
    """

    scan_id: str
    answer: Literal["granted", "taken", "revoked", "elsewhere"]
    entry: Entry | None = None
    home: str = ""
    reason: str | None = None
    reentry: bool | None = None
    v: int = 1

    @property
    def is_one_time(self) -> bool:
        """Whether the hub treats it as a one-time ticket; that never keeps out guests who may come and go."""
        return self.reentry is False or self.answer in ("taken", "elsewhere")


class Returned(Value, frozen=True, tag="return", tag_field="t"):
    """Nobody came in with this claim, and nobody will: a grant goes back to the hub."""

    scan_id: str
    v: int = 1


ONE_TIME = frozenset({Kind.GA, Kind.UNKNOWN})
"""Kinds that enter once; guests with the VIP perk come and go."""
REVOKED = {Status.CANCELLED: Reason.CANCELLED, Status.REFUNDED: Reason.REFUNDED}
TAKEN_BACK = frozenset(
    {*REVOKED.values(), Reason.WRONG_EVENT, Reason.EVENT_CANCELLED, Reason.TABLE_NOT_CONFIRMED}
)
"""Reasons for which the decision table refuses a ticket on the hub's word."""
FLAGS_WITHOUT_GRANT = frozenset({Flag.UNCLAIMED, Flag.STALE})
"""Flags of admissions about which a gate asks the hub first, if the hub answers."""
REFUSED_ALONE = frozenset({Reason.ISOLATED, Reason.OTHER_GATE})


class Standing(Value, frozen=True):
    """What a gate knows of the hub and the other gates when it decides on a one-time ticket.

    `gate`: its id. `answer`: the hub's answer to the claim, None if the hub was not asked or did not answer
    in time. `is_late`: it did answer, but so long ago that the answer cannot be relied on. `isolated`: no
    broker for a while. `history_lost`: this gate has lost some of its own admissions. `keeps`: this gate has
    not lent the tickets it is the home of, and will not before this scan is on disk. `stale`: the list is
    known to be behind the hub's (domain 2.3, "A list that is behind").
    """

    gate: str = ""
    answer: Grant | None = None
    is_late: bool = False
    isolated: bool = False
    history_lost: bool = False
    keeps: bool = False
    stale: bool = False

    def says(self, answer: str) -> bool:
        """Whether this was the hub's answer."""
        return self.answer is not None and self.answer.answer == answer

    @property
    def revoked(self) -> Reason | None:
        """Why the hub takes back a ticket that is still good in the cache: cancelled, moved, not paid.

        A reason that this gate does not know is a refusal all the same, and reads as cancelled.
        """
        if self.answer is None or self.answer.answer != "revoked":
            return None
        return next((r for r in TAKEN_BACK if r == self.answer.reason), Reason.CANCELLED)


def refusal_of_first_entry(standing: Standing, event: Event, code_hash: str) -> Reason | None:
    """Why a one-time ticket may not have its first entry here; None if it may.

    ============================  ===================  ==========================  ==================
    this gate and the hub         policy ``admit``     ``home_gate``               ``deny``
    ============================  ===================  ==========================  ==================
    granted                       admit                admit                       admit
    granted, too long ago         isolated             isolated                    isolated
    only its home may admit it    other_gate           other_gate                  other_gate
    no answer, others are heard   admit, unclaimed     its own: admit, unclaimed;  admit, unclaimed
                                                       else isolated, other_gate
    no broker for a while         admit, unclaimed     the same                    isolated
    no answer, history lost       admit, history_lost  isolated, other_gate        isolated
    ============================  ===================  ==========================  ==================

    "Its own", under ``home_gate``: this gate is the ticket's home and keeps it (`Standing.keeps`).
    """
    if standing.is_late:
        return Reason.ISOLATED
    if standing.answer is None:
        return ALONE[event.isolation](standing, home_of(code_hash, event.homes, event.retired))
    return _sent_to(standing, standing.answer.home) if standing.says("elsewhere") else None


def alone_admit(_: Standing, __: str | None) -> Reason | None:
    """Admit from what is known; a double admission is found later."""
    return None


def alone_deny(standing: Standing, _: str | None) -> Reason | None:
    """Refuse at a gate that hears nobody, or that has lost some of its own admissions."""
    return Reason.ISOLATED if standing.isolated or standing.history_lost else None


def alone_home_gate(standing: Standing, home: str | None) -> Reason | None:
    """Admit its own tickets only, and only while it knows that nobody else was given them."""
    is_its_own = home == standing.gate and standing.keeps and not standing.history_lost
    return None if is_its_own else _sent_to(standing, home)


ALONE: dict[IsolationPolicy, Callable[[Standing, str | None], Reason | None]] = {
    "admit": alone_admit,
    "deny": alone_deny,
    "home_gate": alone_home_gate,
}


def _sent_to(standing: Standing, home: str | None) -> Reason:
    return Reason.OTHER_GATE if home and home != standing.gate else Reason.ISOLATED


def other_gate(standing: Standing, event: Event | None, code_hash: str) -> str:
    """The gate a guest is sent to: the one the hub names, else the ticket's home. Empty if there is none."""
    if standing.answer is not None and standing.answer.home:
        return standing.answer.home
    return (home_of(code_hash, event.homes, event.retired) if event else None) or ""


def flags_of_first_entry(standing: Standing) -> list[Flag]:
    """Marks what the hub did not grant, and what this gate may have admitted before and lost."""
    circumstances = (
        (Flag.UNCLAIMED, not standing.says("granted")),
        (Flag.HISTORY_LOST, standing.history_lost),
    )
    return [flag for flag, is_so in circumstances if is_so]


def needs_hub(verdict: Verdict) -> bool:
    """Whether the hub's answer to a claim could change this verdict, which was made without it."""
    return verdict.reason in REFUSED_ALONE or not FLAGS_WITHOUT_GRANT.isdisjoint(verdict.flags)


def is_first_of_one_time(verdict: Verdict) -> bool:
    """Whether this is the admission a one-time ticket is good for."""
    return verdict.admits and verdict.reason is Reason.FIRST_ENTRY and verdict.kind in ONE_TIME
