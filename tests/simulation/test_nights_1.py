"""Every second night: see `tests.simulation.nights`."""

from __future__ import annotations

import pytest

from tests.simulation.nights import part
from tests.simulation.run import Play


@pytest.mark.parametrize("seed", part(0))
def test_a_night_breaks_no_rule(play: Play, seed: int) -> None:
    told = play(seed)
    assert not told.broken, told.in_words()
