"""Frames that do not show what the camera sees now (invariant 13: a frozen camera)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gate.recovery.open_journal import PATIENCE_S
from hardware.eye.freshness import KEPT_S, OLD_S, FreezeDetector, fingerprint, is_past, stale

AT = st.floats(0, 1e6)


def test_a_frame_older_than_a_second_is_old() -> None:
    assert stale(100.0, None, 100.0 + OLD_S) == ""
    assert stale(100.0, None, 100.1 + OLD_S) == "old"


def test_a_frame_not_newer_than_the_last_one_is_a_repeat() -> None:
    assert stale(100.0, 100.0, 100.0) == "repeated"
    assert stale(99.9, 100.0, 100.0) == "repeated"
    assert stale(100.1, 100.0, 100.1) == ""


@given(AT, AT)
def test_a_source_without_a_clock_is_never_stale(before: float, now: float) -> None:
    assert stale(None, before, now) == ""


@given(AT, st.lists(st.floats(0.001, 0.5), max_size=50), st.floats(0, OLD_S / 2))
def test_a_camera_that_works_is_never_stale(start: float, gaps: list[float], delay: float) -> None:
    taken, before = start, None
    for gap in gaps:
        taken += gap
        assert stale(taken, before, taken + delay) == ""
        before = taken


NOISE = st.lists(st.integers(0, 2**31), min_size=2, max_size=40)


@given(NOISE)
def test_a_sensor_with_minimal_noise_is_never_frozen(seeds: list[int]) -> None:
    """One grey value more in every tenth pixel, over any length of time."""
    still, scene = FreezeDetector(5.0), np.tile(np.arange(0, 240, dtype=np.uint8), (64, 2))
    for number, seed in enumerate(seeds):
        noise = np.random.default_rng([number, seed]).integers(0, 10, scene.shape) == 0
        assert not still.is_frozen(fingerprint(scene + noise.astype(np.uint8)), 10.0 * number)


def test_a_sensor_is_frozen_after_identical_pixels_for_too_long_until_they_change() -> None:
    still = FreezeDetector(5.0)
    assert [still.is_frozen(7, at) for at in (0.0, 3.0, 5.0, 5.1, 60.0)] == [False, False, False, True, True]
    assert [still.is_frozen(print_, 61.0) for print_ in (8, 7)] == [False, False]


def test_a_covered_lens_with_identical_frames_for_hours_is_not_frozen() -> None:
    still = FreezeDetector(5.0)
    covered = fingerprint(np.full((480, 640), 16, dtype=np.uint8))
    assert not any(still.is_frozen(covered, float(at)) for at in range(0, 7200, 60))


def test_what_was_read_is_answered_only_for_a_while() -> None:
    assert not is_past(100.0, 100.0 + KEPT_S)
    assert is_past(100.0, 100.1 + KEPT_S)


def test_what_was_read_is_kept_longer_than_the_door_waits_for_its_journal() -> None:
    assert KEPT_S >= 2 * PATIENCE_S
