"""Which complaints end a probation at once, and which only have to be over at its end."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.release.judgement import (
    GROWTH,
    Complaint,
    UnitsBefore,
    first_complaint,
    units_complaints,
)
from fleet.release.services import UnitReading

MACHINE = 1000 * 2**20
BEFORE = UnitsBefore(restarts={"door": 1}, memory={"door": 100 * 2**20})


def said(**changes: Any) -> Complaint:
    facts: dict[str, Any] = {
        "name": "door",
        "state": "active",
        "restarts": 1,
        "memory": 110 * 2**20,
    } | changes
    return first_complaint(units_complaints((UnitReading(**facts),), BEFORE, MACHINE))


def test_a_service_that_is_as_before_gives_no_cause() -> None:
    assert said() == Complaint()
    assert said(memory=None, ping_age_ms=5, watchdog_ms=10) == Complaint()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"restarts": 2}, "ended and was started again"),
        ({"state": "failed"}, "has failed"),
        ({"memory": 601 * 2**20}, "uses 601 of this machine's 1000 MiB"),
        ({"memory": 100 * 2**20 + GROWTH + 1}, "keeps taking memory: 128 MiB more"),
    ],
)
def test_what_does_not_heal_ends_it_at_once(changes: dict[str, Any], words: str) -> None:
    assert words in said(**changes).fatal


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"state": "activating"}, "is not ready: activating"),
        ({"ping_age_ms": 11, "watchdog_ms": 10}, "does not answer its watchdog"),
    ],
)
def test_what_may_still_come_is_waited_for(changes: dict[str, Any], words: str) -> None:
    assert words in said(**changes).missing


def test_one_that_is_well_hides_nothing_and_the_fatal_one_comes_first() -> None:
    missing, fatal = Complaint(missing="not yet"), Complaint(fatal="never")
    assert first_complaint(iter([Complaint(), missing])) == missing
    assert first_complaint(iter([missing, Complaint(), fatal])) == fatal
    assert first_complaint(iter([])) == Complaint()
