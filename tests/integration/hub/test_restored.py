"""`maguey-hub restored` tells the gates that the database was restored, and records by whom."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.integration.hub.world import World


def restored(config_file: Path, **words: str) -> subprocess.CompletedProcess[str]:
    options = [part for name, word in words.items() for part in (f"--{name}", word)]
    command = [sys.executable, "-m", "hub.cli.main", "restored", "--config", str(config_file), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_night_a_gate_may_follow_gets_a_new_generation(config_file: Path, world: World) -> None:
    world.event()
    world.event("PS")
    over = world.event("OLD")
    passed = "ends_at = now() - interval '2 days', doors_open_at = now() - interval '3 days'"
    world.run(f"UPDATE events SET {passed} WHERE id = %s", over)
    answer = restored(config_file, reason="disk failed", actor="Ana")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout == "2 nights: every gate loads them again as soon as it is connected\n"
    raised = world.all("SELECT feed_generation > 1 FROM events ORDER BY id = %s", over)
    assert raised == [(True,), (True,), (False,)]
    assert world.all("SELECT actor, action, reason FROM audit_log") == [("Ana", "restored", "disk failed")]


def test_nothing_is_done_without_a_reason_and_a_name(config_file: Path, world: World) -> None:
    world.event()
    assert restored(config_file, reason="disk failed").returncode == 2
    assert restored(config_file, reason=" ", actor="Ana").returncode == 2
    assert world.one("SELECT feed_generation FROM events") == 1
    assert world.one("SELECT count(*) FROM audit_log") == 0
