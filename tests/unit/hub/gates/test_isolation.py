"""Each night's isolation policy, home gates and isolated gates in plain words, and what needs action."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hub.gates.isolation import NightRules, nights_of

NOW = datetime(2026, 1, 30, 23, tzinfo=UTC)


def night(policy: str = "home_gate", **changes: Any) -> dict[str, Any]:
    """A night as in `gate_health`: JSON, so its times are text."""
    doors, ends = (NOW + timedelta(hours=hours) for hours in (-1, 5))
    return {
        "event_id": "e-pf", "code": "PF", "isolation_policy": policy, "home_gates": ["gate-1", "gate-2"],
        "retired_gates": [], "doors_open_at": doors.isoformat(), "ends_at": ends.isoformat(),
    } | changes  # fmt: skip


def gate(number: int, *nights: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "gate_id": f"gate-{number}", "revoked": False, "link": "online", "isolated": False, "heard_at": NOW,
        "nights": list(nights),
    } | changes  # fmt: skip


def only(*gates: dict[str, Any]) -> NightRules:
    (told,) = nights_of(gates, NOW)
    return told


@pytest.mark.parametrize(("policy", "word"), [("admit", "flags"), ("deny", "refuses"), ("home_gate", "own")])
def test_each_policy_is_shown_with_its_meaning(policy: str, word: str) -> None:
    told = only(gate(1, night(policy)))
    assert (told.title.startswith(f"PF, policy {policy}: "), word in told.title) == (True, True)


def test_home_gates_and_retired_gates_are_listed_apart() -> None:
    told = only(gate(1, night(retired_gates=["gate-2"])))
    assert told.facts == ("home gates: gate-1", "retired: gate-2")


@pytest.mark.parametrize("policy", ["admit", "deny"])
def test_home_gates_are_listed_only_under_the_home_gate_policy(policy: str) -> None:
    assert only(gate(1, night(policy)), gate(2, revoked=True)) == only(gate(1, night(policy)))


def test_gates_that_cannot_reach_the_hub_are_named_as_isolated_or_off() -> None:
    of_pf = night("admit")
    told = only(
        gate(1, of_pf),
        gate(2, of_pf, link="silent", heard_at=NOW - timedelta(minutes=3)),
        gate(3, of_pf, link="never", heard_at=None),
        gate(4, of_pf, isolated=True),
        gate(5, of_pf, link="offline", revoked=True),
        gate(6, link="silent"),  # does not serve this night
    )
    assert told.facts == (
        "on their own, or off: gate-2 (silent for 3 min), gate-3 (never heard), gate-4 (by its own report)",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"revoked": True}, "Also retire it: maguey-hub retire gate-2 --event PF"),
        ({"link": "offline"}, "If it is dead, switch it off, then: maguey-hub retire gate-2 --event PF"),
    ],
)
def test_an_unreachable_home_gate_should_be_retired(changes: dict[str, Any], words: str) -> None:
    (trouble,) = only(gate(1, night()), gate(2, night(), **changes)).troubles
    assert trouble.endswith(words)
    assert only(gate(1, night()), gate(2, night(retired_gates=["gate-2"]), **changes)).troubles == ()


@pytest.mark.parametrize(("minutes", "worries"), [(31, False), (30, True), (-60, True)])
def test_tickets_should_be_divided_before_the_doors_open(minutes: int, worries: bool) -> None:
    doors = (NOW + timedelta(minutes=minutes)).isoformat()
    told = only(gate(1, night(home_gates=[], doors_open_at=doors)))
    assert (told.facts[0], bool(told.troubles)) == ("home gates: none yet", worries)


def test_the_next_night_comes_first_and_past_nights_are_left_out() -> None:
    over = night(event_id="e-o", code="OV", ends_at=(NOW - timedelta(minutes=1)).isoformat())
    later = night(event_id="e-a", code="AA", doors_open_at=(NOW + timedelta(days=1)).isoformat())
    told = nights_of([gate(1, over, later), gate(2, night())], NOW)
    assert [line.title[:2] for line in told] == ["PF", "AA"]


def test_a_cancelled_night_admits_nobody_whatever_its_policy_and_gates() -> None:
    """Listed like other nights it would seem to admit guests, and no gate has to be retired for it."""
    off = night(home_gates=[], retired_gates=["gate-2"])
    (told,) = nights_of([gate(1, off, isolated=True), gate(2, off, revoked=True)], NOW, cancelled={"e-pf"})
    assert told == NightRules(title="PF, cancelled: no gate admits anybody.", facts=(), troubles=())
    assert nights_of([gate(1, off)], NOW, cancelled={"e-other"}) == [only(gate(1, off))]
