"""Tests wait long for a relay's driver: a thread that is scheduled late is not a stuck one."""

from __future__ import annotations

import pytest

from hardware.pins import turnstile
from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test about one of these limits sets it itself."""
    for limit in ("ANSWER_S", "CLOSE_S"):
        monkeypatch.setattr(turnstile, limit, PATIENCE_S)
