"""What is tried on which frame while no code of ours is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hardware.decoder.effort import ROTATION, Effort, effort

MISSED = st.integers(0, 10_000)


@given(MISSED)
def test_every_second_frame_gets_what_reads_most(missed: int) -> None:
    assert [effort(missed), effort(missed + 1)].count(Effort.FRAME) == 1


@given(MISSED)
def test_a_wallet_pass_is_looked_for_within_eight_frames(missed: int) -> None:
    assert {Effort.WALLET, Effort.FINE_WALLET} & {effort(missed + later) for later in range(8)}


@given(MISSED)
def test_everything_has_its_turn(missed: int) -> None:
    turns = {effort(missed + later) for later in range(len(ROTATION))}
    assert turns == set(Effort) - {Effort.SECOND_OPINION, Effort.STILL}


@given(MISSED)
def test_within_three_frames_that_show_a_poster_everything_is_tried(missed: int) -> None:
    assert Effort.SECOND_OPINION in {effort(missed + later, foreign=True) for later in range(3)}


@given(MISSED)
def test_everything_is_tried_at_once_only_while_something_foreign_is_in_view(missed: int) -> None:
    assert effort(missed) not in {Effort.SECOND_OPINION, Effort.STILL}
