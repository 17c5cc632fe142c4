"""Frames that are not what the camera sees now (invariant 13: a frozen camera)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gate.opening import PATIENCE_S
from hardware.freshness import KEPT_S, OLD_S, is_past, stale

AT = st.floats(0, 1e6)


def test_a_frame_older_than_a_second_is_old() -> None:
    assert stale(100.0, None, 100.0 + OLD_S) == ""
    assert stale(100.0, None, 100.1 + OLD_S) == "old"


def test_a_frame_taken_when_the_last_one_was_is_the_last_one() -> None:
    assert stale(100.0, 100.0, 100.0) == "repeated"
    assert stale(99.9, 100.0, 100.0) == "repeated"
    assert stale(100.1, 100.0, 100.1) == ""


@given(AT, AT)
def test_a_source_without_a_clock_is_not_judged(before: float, now: float) -> None:
    assert stale(None, before, now) == ""


@given(AT, st.lists(st.floats(0.001, 0.5), max_size=50), st.floats(0, OLD_S / 2))
def test_a_camera_that_works_is_never_stale(start: float, gaps: list[float], delay: float) -> None:
    taken, before = start, None
    for gap in gaps:
        taken += gap
        assert stale(taken, before, taken + delay) == ""
        before = taken


def test_what_was_read_is_answered_for_a_while_and_not_later() -> None:
    assert not is_past(100.0, 100.0 + KEPT_S)
    assert is_past(100.0, 100.1 + KEPT_S)


def test_what_was_read_outlives_the_doors_wait_for_its_journal() -> None:
    assert KEPT_S >= 2 * PATIENCE_S
