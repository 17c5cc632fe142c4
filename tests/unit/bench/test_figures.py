"""Percentiles, ratios and aims made from the samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import Aim, Row, compared, fifths, in_turn, percentile

SAMPLES = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1)


def test_a_percentile_is_the_smallest_sample_with_that_share_at_or_below_it() -> None:
    samples = [float(number) for number in range(1000, 0, -1)]
    assert [percentile(samples, share) for share in (50, 99, 99.9, 100)] == [500, 990, 999, 1000]


@given(SAMPLES, st.floats(0.1, 100))
def test_no_more_than_the_remaining_share_lies_above_a_percentile(samples: list[float], share: float) -> None:
    found = percentile(samples, share)
    assert found in samples
    assert sum(sample > found for sample in samples) <= len(samples) * (1 - share / 100) + 1e-9


@pytest.mark.parametrize(("samples", "share"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_a_percentile_of_no_samples_or_of_an_impossible_share_is_refused(
    samples: list[float], share: float
) -> None:
    with pytest.raises(ValueError, match=r"samples|percent"):
        percentile(samples, share)


def test_contestants_take_turns_going_first() -> None:
    order: list[str] = []

    def named(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    taken = in_turn([lambda: named("a", 1.0), lambda: named("b", 2.0)], rounds=3, warm_up=1)
    assert order == ["a", "b", "b", "a", "a", "b", "b", "a"]
    assert taken == [[1.0] * 3, [2.0] * 3]


def test_warming_up_is_not_counted() -> None:
    seconds = iter([9.0, 9.0, 1.0, 2.0])
    assert in_turn([lambda: next(seconds)], rounds=2, warm_up=2) == [[1.0, 2.0]]


def test_the_fifths_are_the_ratios_of_five_parts_of_the_run() -> None:
    ours = [2.0] * 10 + [9.0] * 10 + [4.0] * 30
    assert fifths(ours, [2.0] * 50, 50) == (1.0, 2.0, 2.0, 2.0, 4.5)


def test_a_disk_that_is_slow_for_a_while_does_not_distort_the_ratio() -> None:
    slow, quick = [100.0] * 20, [1.0] * 30
    row = compared("ours", "floor", [seconds * 1.1 for seconds in slow + quick], slow + quick, 99, 1.3)
    assert row.ratio == pytest.approx(1.1)
    uneven = compared("ours", "floor", [*slow[:10], *[1.0] * 40], [*[1.0] * 50], 99, 1.3)
    assert (uneven.ratio, uneven.fifths[-1]) == (1.0, 100.0)


def test_a_comparison_is_given_in_its_unit() -> None:
    row = compared("ours", "floor", [2e-6] * 10, [1e-6] * 10, 50, 3, "µs")
    assert (row.figure, row.floor_figure, row.ratio, row.state) == (2.0, 1.0, 2.0, "ok")


def row(figure: float | None, floor_figure: float | None = None, aim: Aim | None = None) -> Row:
    return Row(what="it", figure=figure, floor_figure=floor_figure, aim=aim)


@pytest.mark.parametrize(
    ("measured", "state"),
    [
        (row(13, 10, Aim(limit=1.3)), "ok"),
        (row(14, 10, Aim(limit=1.3)), "missed"),
        (row(10, 10, Aim(limit=1, at_least=True)), "ok"),
        (row(9, 10, Aim(limit=1, at_least=True)), "missed"),
        (row(120, None, Aim(limit=120, of="figure")), "ok"),
        (row(121, None, Aim(limit=120, of="figure")), "missed"),
        (row(5, 10), ""),
        (row(5, None, Aim(limit=1.3)), "not measured"),
        (row(None, 10, Aim(limit=1.3)), "not measured"),
    ],
)
def test_a_row_says_whether_its_aim_is_reached(measured: Row, state: str) -> None:
    assert measured.state == state


def test_aims_read_as_in_the_quality_document() -> None:
    assert str(Aim(limit=1.3)) == "≤ 1.3×"
    assert str(Aim(limit=1, at_least=True)) == "≥ 1×"
    assert str(Aim(limit=120, of="figure")) == "≤ 120"
