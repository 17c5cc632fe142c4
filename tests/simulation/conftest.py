"""One database for the nights of a file; the tests of other files get their log and their collector back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.run import Play, simulator


@pytest.fixture(scope="module")
def play() -> Iterator[Play]:
    with simulator() as play_it:
        yield play_it
