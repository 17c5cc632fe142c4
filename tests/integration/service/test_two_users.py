"""Door and sync as users of their own, sharing one folder as tmpfiles.d makes it (ADR 0014)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """Changing users needs root; an ordinary user's sudo gives it, as for `make demo`."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    command = [*sudo, sys.executable, "-m", "tests.integration.service.two_users"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("ended", ["closed", "killed"])
def test_door_and_sync_read_and_write_whichever_comes_first(told: dict[str, Any], ended: str) -> None:
    steps = told[ended]
    assert (steps["door writes"], steps["sync reads"]) == (1, 1)
    assert (steps["door writes after sync"], steps["sync reads both"]) == (2, 2)
    assert (steps["sync writes"], steps["door reads"]) == (1, 1)
    assert (steps["sync writes after door"], steps["door reads the new"]) == (2, 2)


@pytest.mark.parametrize("ended", ["closed", "killed"])
def test_what_root_does_by_hand_stops_neither(told: dict[str, Any], ended: str) -> None:
    assert (told[ended]["root writes"], told[ended]["door writes after root"]) == (3, 4)


def test_nobody_else_reads_the_files_and_the_group_is_kept(told: dict[str, Any]) -> None:
    for ended in ("closed", "killed"):
        assert told[ended]["a stranger reads"].startswith("PermissionError")
        assert told[ended]["modes"] == ["0o660"]
        assert told[ended]["groups"] == [64_100]


def test_sync_opens_the_journal_read_only(told: dict[str, Any]) -> None:
    assert "readonly" in told["closed"]["sync may not write the journal"]
