"""How much of what goes on for ever is in the suite: `make test-long` plays the rest."""

from __future__ import annotations

import os

LONG = os.environ.get("MAGUEY_LONG", "") == "1"


def cases(usual: int, *, long: int) -> int:
    """A number of cases: so many in `make test`, and in `make test-long`."""
    return long if LONG else usual
