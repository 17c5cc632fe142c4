from __future__ import annotations

from collections.abc import Iterator

import pytest

from trees.club import Club, open_club


@pytest.fixture
def club() -> Iterator[Club]:
    with open_club() as opened:
        yield opened
