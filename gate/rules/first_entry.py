"""Leave for the first entry of a one-time ticket: the hub's, or what the night's policy leaves to the gate.

First scan wins (domain 2.3): whoever can ask the hub does, before anybody is admitted. What becomes of a
guest at a gate that gets no answer is the table in `why_not`. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gate.common.value import Value
from gate.rules.home_gate import home_of
from gate.rules.model import Entry, Event, Flag, IsolationPolicy, Kind, Reason, Status, Verdict


class Claim(Value, frozen=True, tag="claim", tag_field="t"):
    """May this ticket enter here? `scan_id`: of the record the admission will have; asking again with
    the same gives the same answer. `epoch`: of the journal it will stand in."""

    scan_id: str
    code_hash: str
    event_id: str
    epoch: str
    v: int = 1


class Grant(Value, frozen=True, tag="grant", tag_field="t"):
    """What the hub says to a claim.

    ``granted``: it is this gate's. ``taken``: `entry` says by whom and when. ``revoked``: the hub knows
    better than the cache, `reason` says what (a word this gate need not know: it is refused all the same),
    or `status` alone where the hub is an older one.
    ``elsewhere``: policy ``home_gate``, only `home` could admit it and the hub cannot reach it.
    `reentry`: whether it has the VIP perk by the hub's knowledge, None if that is not said.
    """

    scan_id: str
    answer: Literal["granted", "taken", "revoked", "elsewhere"]
    entry: Entry | None = None
    status: Status | None = None
    home: str = ""
    reason: str | None = None
    reentry: bool | None = None
    v: int = 1

    @property
    def is_one_time(self) -> bool:
        """Whether the hub takes it for a one-time ticket: whoever may come and go is never kept out so."""
        return self.reentry is False or self.answer in ("taken", "elsewhere")


class Returned(Value, frozen=True, tag="return", tag_field="t"):
    """Nobody came in with this claim, or will: if it is granted, it is the hub's again."""

    scan_id: str
    v: int = 1


ONE_TIME = frozenset({Kind.GA, Kind.UNKNOWN})
"""Kinds that enter once; whoever has the VIP perk comes and goes."""
REVOKED = {Status.CANCELLED: Reason.CANCELLED, Status.REFUNDED: Reason.REFUNDED}
TAKEN_BACK = frozenset(
    {*REVOKED.values(), Reason.WRONG_EVENT, Reason.EVENT_CANCELLED, Reason.TABLE_NOT_CONFIRMED}
)
"""What the decision table refuses on the hub's word."""
LACKING = frozenset({Flag.UNCLAIMED, Flag.STALE})
"""Flags of admissions that the hub is asked about first, where it answers."""
WITHOUT_LEAVE = frozenset({Reason.ISOLATED, Reason.OTHER_GATE})


class Standing(Value, frozen=True):
    """How a gate stands towards the others when it decides of a one-time ticket.

    `gate`: its id. `answer`: the hub's to the claim, None if it was not asked or did not answer in time;
    `is_late`: it did, and was left lying for so long that it is not to be relied on. `isolated`: no broker
    for a while. `history_lost`: some of this gate's own admissions are not known any more. `keeps`: a
    ticket this gate is the home of has not been lent, and will not be before this scan is on disk.
    `stale`: the list is known to be behind the hub's (domain 2.3, "A list that is behind").
    """

    gate: str = ""
    answer: Grant | None = None
    is_late: bool = False
    isolated: bool = False
    history_lost: bool = False
    keeps: bool = False
    stale: bool = False

    def says(self, answer: str) -> bool:
        """Whether the hub has answered this."""
        return self.answer is not None and self.answer.answer == answer

    @property
    def revoked(self) -> Reason | None:
        """Why the hub takes back a ticket the cache still takes for good: cancelled, moved, not paid.

        A reason this gate does not expect is a refusal all the same, and reads as cancelled.
        """
        if self.answer is None or self.answer.answer != "revoked":
            return None
        if self.answer.reason is not None:
            return next((r for r in TAKEN_BACK if r == self.answer.reason), Reason.CANCELLED)
        return REVOKED.get(self.answer.status or Status.ISSUED, Reason.WRONG_EVENT)


def why_not(standing: Standing, event: Event, code_hash: str) -> Reason | None:
    """What keeps a one-time ticket from its first entry here; None: nothing does.

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

    Its own, under ``home_gate``: this gate is the ticket's home, and keeps it (`Standing.keeps`).
    """
    if standing.is_late:
        return Reason.ISOLATED
    if standing.answer is None:
        return ALONE[event.isolation](standing, home_of(code_hash, event.homes, event.retired))
    return _sent_to(standing, standing.answer.home) if standing.says("elsewhere") else None


def alone_admit(_: Standing, __: str | None) -> Reason | None:
    """From what is known; a double admission is found out afterwards."""
    return None


def alone_deny(standing: Standing, _: str | None) -> Reason | None:
    """Not by a gate that hears nobody, nor by one that has forgotten what it did."""
    return Reason.ISOLATED if standing.isolated or standing.history_lost else None


def alone_home_gate(standing: Standing, home: str | None) -> Reason | None:
    """Only its own, and only while it knows that nobody else was given it."""
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
    """The gate a guest is sent to: the hub knows best. Empty if there is none."""
    if standing.answer is not None and standing.answer.home:
        return standing.answer.home
    return (home_of(code_hash, event.homes, event.retired) if event else None) or ""


def flags_of_first_entry(standing: Standing) -> list[Flag]:
    """What the hub did not grant, or this gate may have admitted before and forgotten: never silently."""
    circumstances = (
        (Flag.UNCLAIMED, not standing.says("granted")),
        (Flag.HISTORY_LOST, standing.history_lost),
    )
    return [flag for flag, is_so in circumstances if is_so]


def lacks_leave(verdict: Verdict) -> bool:
    """Whether the hub's answer to a claim could change this verdict, which was made without one."""
    return verdict.reason in WITHOUT_LEAVE or not LACKING.isdisjoint(verdict.flags)


def is_first_of_one_time(verdict: Verdict) -> bool:
    """Whether this is the admission a one-time ticket is good for."""
    return verdict.admits and verdict.reason is Reason.FIRST_ENTRY and verdict.kind in ONE_TIME
