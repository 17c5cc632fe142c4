"""Sessions that block the hub in Postgres are reported once, and again when they no longer do."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from hub.db.lock_waits import GONE_S, PATIENCE_S, QUIET_S, BlockingSession, BlockingSessions


def holder(pid: int = 1) -> BlockingSession:
    return BlockingSession(pid=pid, login="anon", application="psql", address="10.0.0.9", waiting=1)


def test_a_session_that_blocks_for_a_while_is_reported_once_and_so_is_its_end() -> None:
    holders = BlockingSessions()
    assert holders.look([holder()], 0.0) == ([], [])
    assert holders.look([holder()], PATIENCE_S) == ([(holder(), PATIENCE_S)], [])
    assert holders.look([holder()], PATIENCE_S + 1) == ([], [])
    assert holders.look([], PATIENCE_S + 1 + GONE_S) == ([], [1])
    assert holders.look([], 90.0) == ([], [])


def test_sessions_that_block_only_briefly_are_not_reported() -> None:
    holders = BlockingSessions()
    for second in range(10):
        assert holders.look([holder(second)], second * GONE_S) == ([], [])


def test_a_short_break_in_a_block_does_not_restart_its_time() -> None:
    holders = BlockingSessions()
    holders.look([holder()], 0.0)
    holders.look([], PATIENCE_S / 2)
    assert [found.pid for found, _ in holders.look([holder()], PATIENCE_S)[0]] == [1]


@given(st.lists(st.lists(st.integers(1, 50), max_size=20), max_size=200))
def test_however_many_sessions_block_the_log_gets_one_line_in_ten_seconds(seen: list[list[int]]) -> None:
    holders = BlockingSessions()
    told = [
        number * 0.5
        for number, pids in enumerate(seen)
        for _ in holders.look(map(holder, dict.fromkeys(pids)), number * 0.5)[0]
    ]
    assert all(later - earlier >= QUIET_S for earlier, later in itertools.pairwise(told))
