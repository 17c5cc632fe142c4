"""Where a code is in its picture, and which of several comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardware.decoder.found_code import FoundCode, nearest_first, offset_from_middle

CODES = st.lists(
    st.builds(FoundCode, st.sampled_from([b"A", b"B", b"C"]), st.floats(0, 1, allow_nan=False)), max_size=12
)


def test_the_offset_is_zero_in_the_middle_and_one_in_a_corner_and_beyond() -> None:
    shape = (480, 640)
    assert offset_from_middle(320, 240, shape) == 0
    assert offset_from_middle(0, 0, shape) == 1
    assert offset_from_middle(640, 480, shape) == 1
    assert offset_from_middle(-50, 900, shape) == 1
    assert offset_from_middle(320, 0, shape) == 0.6


@given(CODES)
def test_each_code_is_given_once_where_it_is_nearest_and_the_nearest_first(codes: list[FoundCode]) -> None:
    ordered = nearest_first(codes)
    assert {code.raw for code in ordered} == {code.raw for code in codes}
    assert len(ordered) == len({code.raw for code in codes})
    assert list(ordered) == sorted(ordered, key=lambda code: code.offset)
    for one in ordered:
        assert one.offset == min(code.offset for code in codes if code.raw == one.raw)
