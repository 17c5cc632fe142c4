"""For each night: what its gates do when they cannot ask, and which cannot right now, in words. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from hub.gates.health import ago

DIVIDED_BY = timedelta(minutes=30)
"""When tickets should be divided, before the doors open: gates ask every minute from an hour before."""
_POLICIES = {
    "admit": "a gate that cannot ask admits, and flags it",
    "deny": "a gate that cannot ask refuses one-time tickets",
    "home_gate": "a gate that cannot ask admits its own tickets only",
}

PolicyRow = Mapping[str, Any]


class NightRules(msgspec.Struct, frozen=True, kw_only=True):
    """One night. `facts`: each gate's role in it. `troubles`: what somebody should do, if anything."""

    title: str
    facts: tuple[str, ...]
    troubles: tuple[str, ...]


def nights_of(gates: Sequence[PolicyRow], now: datetime, cancelled: Collection[str] = ()) -> list[NightRules]:
    """The venue's nights that are not over, the next one first, from its rows of `gate_health`.

    :param cancelled: ids of the nights that were cancelled.
    """
    nights = {night["event_id"]: night for gate in gates for night in gate["nights"]}
    ahead = [night for night in nights.values() if datetime.fromisoformat(night["ends_at"]) > now]
    ahead.sort(key=lambda night: (night["doors_open_at"], night["code"]))
    return [
        _cancelled(night) if night["event_id"] in cancelled else _night(night, gates, now) for night in ahead
    ]


def _cancelled(night: PolicyRow) -> NightRules:
    """Whatever its policy: no gate admits anybody, so its gates need no attention."""
    return NightRules(title=f"{night['code']}, cancelled: no gate admits anybody.", facts=(), troubles=())


def _night(night: PolicyRow, gates: Sequence[PolicyRow], now: datetime) -> NightRules:
    policy = night["isolation_policy"]
    divided = policy == "home_gate"
    return NightRules(
        title=f"{night['code']}, policy {policy}: {_POLICIES[policy]}.",
        facts=(*(_homes(night) if divided else ()), *_alone(night, gates, now)),
        troubles=(*_not_divided(night, now), *_dead_homes(night, gates)) if divided else (),
    )


def _homes(night: PolicyRow) -> Iterator[str]:
    yield f"home gates: {_names(set(night['home_gates']) - set(night['retired_gates']))}"
    if night["retired_gates"]:
        yield f"retired: {_names(night['retired_gates'])}"


def _alone(night: PolicyRow, gates: Iterable[PolicyRow], now: datetime) -> Iterator[str]:
    """Gates that decide alone, or are off: without a broker a gate cannot report which."""
    alone = [
        f"{gate['gate_id']} ({_how(gate, now)})"
        for gate in gates
        if not gate["revoked"]
        and any(other["event_id"] == night["event_id"] for other in gate["nights"])
        and (gate["link"] != "online" or gate["isolated"])
    ]
    if alone:
        yield f"on their own, or off: {', '.join(alone)}"


def _how(gate: PolicyRow, now: datetime) -> str:
    if gate["link"] == "online":
        return "by its own report"
    return f"{gate['link']} for {ago(gate['heard_at'], now)}" if gate["heard_at"] else "never heard"


def _not_divided(night: PolicyRow, now: datetime) -> Iterator[str]:
    doors = datetime.fromisoformat(night["doors_open_at"])
    if not night["home_gates"] and now >= doors - DIVIDED_BY:
        yield (
            "its tickets are not divided among gates, so no gate admits one without asking. They will be "
            "when a gate asks for its configuration: does maguey-hub web run, and can the gates reach it?"
        )


def _dead_homes(night: PolicyRow, gates: Iterable[PolicyRow]) -> Iterator[str]:
    at_home = set(night["home_gates"]) - set(night["retired_gates"])
    for gate in gates:
        gate_id = gate["gate_id"]
        if gate_id not in at_home:
            continue
        order = f"maguey-hub retire {gate_id} --event {night['code']}"
        if gate["revoked"]:
            yield (
                f"{gate_id} is revoked, and is still a home gate: every other gate sends its guests there. "
                f"Also retire it: {order}"
            )
        elif gate["link"] != "online":
            yield (f"{gate_id} is a home gate and is not heard. If it is dead, switch it off, then: {order}")


def _names(gate_ids: Iterable[str]) -> str:
    return ", ".join(sorted(gate_ids)) or "none yet"
