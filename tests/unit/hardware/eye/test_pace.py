"""How often the eye takes a frame, with a clock given by the test."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hardware.eye.pace import REST_AFTER_S, LookPace

FPS = st.integers(1, 120)
GAPS = st.lists(st.floats(0.001, 2.0), min_size=1, max_size=200)


def _looks(pace: LookPace, start: float, gaps: list[float]) -> list[float]:
    """The times at which an eye takes a frame if its loop runs after each gap."""
    now, asked = start, []
    for gap in gaps:
        now += gap
        if pace.due(now) <= now:
            pace = pace.asked(now)
            asked.append(now)
    return asked


@given(FPS, GAPS)
def test_within_a_minute_of_a_code_the_eye_looks_whenever_it_can(fps: int, gaps: list[float]) -> None:
    scale = min(1.0, (REST_AFTER_S - 1) / sum(gaps))
    short = [gap * scale for gap in gaps]
    assert len(_looks(LookPace(resting_fps=fps, code_at=5.0), 5.0, short)) == len(short)


@given(FPS, GAPS)
def test_after_a_minute_without_a_code_the_eye_looks_only_at_its_resting_rate(
    fps: int, gaps: list[float]
) -> None:
    asked = _looks(LookPace(resting_fps=fps, code_at=0.0), REST_AFTER_S, gaps)
    assert all(later - earlier >= 1 / fps - 1e-9 for earlier, later in itertools.pairwise(asked))


@given(FPS, st.lists(st.floats(0.001, 0.01), min_size=1, max_size=300))
def test_a_phone_shown_to_a_resting_eye_is_seen_within_one_resting_period(
    fps: int, gaps: list[float]
) -> None:
    """However its loop is timed, it never leaves more than one period and one round of the loop unseen."""
    asked = [REST_AFTER_S, *_looks(LookPace(fps, 0.0, asked_at=REST_AFTER_S), REST_AFTER_S, gaps)]
    end = REST_AFTER_S + sum(gaps)
    waits = [later - earlier for earlier, later in zip(asked, [*asked[1:], end], strict=True)]
    assert max(waits) <= 1 / fps + max(gaps) + 1e-9


@given(FPS, st.floats(0, 1e5), st.floats(0, REST_AFTER_S - 0.001))
def test_the_first_code_brings_the_full_rate_back_at_once(fps: int, idle: float, after: float) -> None:
    code_at = REST_AFTER_S + idle
    pace = LookPace(resting_fps=fps, code_at=0.0).asked(code_at)
    assert pace.due(code_at) > code_at
    now = code_at + after
    assert pace.saw_code(code_at).due(now) == now


@given(st.floats(0, 1e6))
def test_an_eye_without_a_resting_rate_never_rests(now: float) -> None:
    assert LookPace(resting_fps=0, code_at=0.0, asked_at=now).due(now) == now
