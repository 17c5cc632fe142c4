"""A list of pictures, shown by processes that may crash in the middle of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardware.camera.picture_list import PictureList
from hardware.camera.tried_files import TRIES


def test_a_new_process_begins_with_the_picture_the_previous_one_did_not_show() -> None:
    series = PictureList(["a", "b", "c"])
    series.shown()
    assert series.ended() == ""
    assert series.left == ("b", "c")


def test_a_picture_that_crashes_two_processes_is_skipped() -> None:
    series = PictureList(["evil", "good"])
    assert [series.ended() for _ in range(TRIES)] == ["", "evil"]
    assert series.left == ("good",)


@given(st.integers(0, 30), st.lists(st.booleans(), max_size=100))
def test_each_picture_is_shown_or_skipped_once_and_in_order(count: int, ends: list[bool]) -> None:
    names = list(map(str, range(count)))
    series, done = PictureList(names), list[str]()
    for ended in ends:
        before = series.left[:1]
        if not ended:
            series.shown()
            done += before
        elif skipped := series.ended():
            done.append(skipped)
    assert [*done, *series.left] == names
