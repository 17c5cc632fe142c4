"""What the eye's rows say about approaches, and how the door looks at them."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from bench.approaches import FPS, FRAMES, SECONDS, THEMES, TUNING, approach
from bench.eye import ALONE, CONTESTANTS, Outcome, Watcher, outcomes_of, rows_of

DOORS = ("the door, one exposure", "the door, alternating")
ONE_FRAME_S = 0.002


def outcome(contestant: str, theme: str, first: float, wrong: int = 0) -> Outcome:
    return Outcome(
        contestant=contestant, theme=theme, first=first, wrong=wrong, frames=(ONE_FRAME_S,) * FRAMES
    )


def outcomes(firsts: dict[str, float], wrong: int = 0) -> list[Outcome]:
    """The same for all contestants: when the code of each theme was read."""
    return [
        outcome(contestant.name, theme, first, wrong)
        for contestant in CONTESTANTS
        for theme, first in firsts.items()
    ]


def figures(firsts: dict[str, float], wrong: int = 0) -> dict[str, float | None]:
    return {row.what: row.figure for row in rows_of(outcomes(firsts, wrong))}


def test_what_was_never_read_counts_as_two_seconds() -> None:
    found = figures({"plain": 0.5, "dim": SECONDS})
    assert found["approaches read, the door, alternating"] == 50
    assert found["first read, mean, the door, alternating"] == (0.5 + 2) / 2


def test_the_share_of_a_core_is_what_frames_at_the_cameras_rate_take() -> None:
    assert figures({"plain": 1.0})["share of a core, the door, alternating"] == pytest.approx(
        100 * FPS * ONE_FRAME_S
    )


def test_a_code_that_nobody_showed_misses_the_aim() -> None:
    *_, wrong = rows_of(outcomes({"plain": 1.0}, wrong=1))
    assert wrong.figure == len(DOORS)
    assert wrong.state == "missed"


@pytest.mark.parametrize(("read", "state"), [(85, "ok"), (84, "missed")])
def test_the_alternating_door_is_to_read_85_of_100(read: int, state: str) -> None:
    name = DOORS[1]
    made = [outcome(name, "plain", 1.0 if place < read else SECONDS) for place in range(100)]
    others = [outcome(one.name, "plain", 1.0) for one in CONTESTANTS if one.name != name]
    row = next(row for row in rows_of(made + others) if row.what == f"approaches read, {name}")
    assert (row.figure, row.state) == (read, state)


def test_each_row_stands_beside_zxing_cpp_alone_and_names_every_theme() -> None:
    *compared, _ = rows_of(outcomes(dict.fromkeys(THEMES, 1.0)))
    assert {row.floor for row in compared} == {ALONE, ""}
    assert all(theme in row.note for row in compared for theme in THEMES)


def test_the_door_reads_an_approach_and_nothing_else() -> None:
    first = list(islice(outcomes_of(TUNING, 1), len(CONTESTANTS)))
    assert [one.contestant for one in first] == [contestant.name for contestant in CONTESTANTS]
    assert {one.theme for one in first} == {"plain"}
    assert all(one.read and not one.wrong for one in first if one.contestant in DOORS)
    assert all(len(one.frames) == FRAMES for one in first)


def test_the_watcher_reads_what_the_decoder_reads() -> None:
    watch, one = Watcher(), approach("plain", TUNING[0])
    assert watch(np.zeros((480, 640), np.uint8), 0) == []
    assert watch(one.frame(26, CONTESTANTS[0].shutters[0]), 0) == [one.text.encode()]
