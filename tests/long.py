"""How much of a test without an end `make test` plays; `make test-long` plays more."""

from __future__ import annotations

import os

LONG = os.environ.get("MAGUEY_LONG", "") == "1"


def cases(usual: int, *, long: int) -> int:
    """How many cases to play: `usual` in `make test`, `long` in `make test-long`."""
    return long if LONG else usual
