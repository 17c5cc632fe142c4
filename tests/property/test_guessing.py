"""Guessing and typing too fast against models that remember everything: domain 2.3."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gate.rules.guesses import GUESSES, Guessing, count_verdict
from gate.rules.model import Reason, Ruling, Verdict
from gate.rules.typed_code import Typist, may_type

SCANS = st.lists(st.tuples(st.integers(0, 25_000), st.sampled_from(sorted(Reason))), max_size=60)
"""Milliseconds since the scan before, and what the scan was refused or admitted for."""
STEPS = st.lists(st.one_of(st.integers(0, 25_000), st.sampled_from([0, 1, 59_999, 60_000])), max_size=60)


class Watchman:
    """The rule as the document states it, from the whole story of the night."""

    def __init__(self) -> None:
        self.guesses: list[int] = []
        self.locks: list[int] = []

    def is_locked(self, now: int) -> bool:
        return any(began <= now < began + 30_000 for began in self.locks)

    def saw(self, now: int, *, guess: bool) -> bool:
        """Whether this scan locks the gate."""
        if not guess or self.is_locked(now):
            return False
        self.guesses.append(now)
        since = max([now - 59_999, *(began + 30_000 for began in self.locks)])
        if sum(1 for at in self.guesses if at >= since) < 5:
            return False
        self.locks.append(now)
        return True


@given(SCANS)
@example([(0, Reason.UNKNOWN)] * 40)
@example([(10_000, Reason.MALFORMED)] * 20)
@example([(0, Reason.UNKNOWN)] * 5 + [(30_000, Reason.UNKNOWN)] * 5)
def test_five_guesses_in_a_minute_lock_for_30_seconds_and_the_lock_ends(
    scans: list[tuple[int, Reason]],
) -> None:
    watchman, guessing, now = Watchman(), Guessing(), 0
    for step, reason in scans:
        now += step
        assert guessing.is_locked(now) == watchman.is_locked(now)
        ruling = Ruling.ADMIT if reason is Reason.FIRST_ENTRY else Ruling.DENY
        guessing, locked = count_verdict(guessing, Verdict(ruling=ruling, reason=reason, line=0), now)
        assert locked == watchman.saw(now, guess=reason in GUESSES)
        assert len(guessing.refused_ms) < 5


@given(STEPS)
@example([0] * 12)
@example([0, 0, 0, 0, 0, 59_999, 1, 0, 0, 0, 0, 0])
def test_no_minute_has_more_than_five_typed_codes_and_no_sixth_is_refused_without_cause(
    steps: list[int],
) -> None:
    typist, now, looked_at = Typist(), 0, list[int]()
    for step in steps:
        now += step
        typist, allowed = may_type(typist, now)
        assert allowed == (sum(1 for at in looked_at if at > now - 60_000) < 5)
        if allowed:
            looked_at.append(now)
        assert len(typist.typed_ms) <= 5
