"""A relay's driver is waited for: one whose thread is slow to get its turn is none that is stuck."""

from __future__ import annotations

import pytest

from hardware.pins import turnstile
from tests.patience import PATIENCE_S


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test is about a limit, it sets it."""
    for limit in ("ANSWER_S", "CLOSE_S"):
        monkeypatch.setattr(turnstile, limit, PATIENCE_S)
