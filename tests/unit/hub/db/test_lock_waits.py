"""Who is in the way in Postgres is told once, and when it is over."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hub.db.lock_waits import GONE_S, PATIENCE_S, QUIET_S, BlockingSession, BlockingSessions


def holder(pid: int = 1) -> BlockingSession:
    return BlockingSession(pid=pid, login="anon", application="psql", address="10.0.0.9", waiting=1)


def test_who_is_in_the_way_for_a_while_is_told_once_and_that_it_is_over() -> None:
    holders = BlockingSessions()
    assert holders.look([holder()], 0.0) == ([], [])
    assert holders.look([holder()], PATIENCE_S) == ([(holder(), PATIENCE_S)], [])
    assert holders.look([holder()], PATIENCE_S + 1) == ([], [])
    assert holders.look([], PATIENCE_S + 1 + GONE_S) == ([], [1])
    assert holders.look([], 90.0) == ([], [])


def test_whoever_goes_on_by_itself_is_not_told_of() -> None:
    holders = BlockingSessions()
    for second in range(10):
        assert holders.look([holder(second)], second * GONE_S) == ([], [])


def test_a_hub_that_lets_go_for_a_moment_waits_for_the_same_still() -> None:
    holders = BlockingSessions()
    holders.look([holder()], 0.0)
    holders.look([], PATIENCE_S / 2)
    assert [found.pid for found, _ in holders.look([holder()], PATIENCE_S)[0]] == [1]


@given(st.lists(st.lists(st.integers(1, 50), max_size=20), max_size=200))
def test_however_many_are_in_the_way_the_log_has_a_line_in_ten_seconds(seen: list[list[int]]) -> None:
    holders = BlockingSessions()
    told = [
        number * 0.5
        for number, pids in enumerate(seen)
        for _ in holders.look(map(holder, dict.fromkeys(pids)), number * 0.5)[0]
    ]
    assert all(later - earlier >= QUIET_S for earlier, later in itertools.pairwise(told))
