"""`maguey-gate journal` shows what history there is, and accepts the loss of some."""

from __future__ import annotations

from pathlib import Path

import pytest

from gate.config import read_gate_config
from gate.store.journal import Journal
from tests.damage import root_of, zero_page
from tests.integration.test_commands import config as config  # noqa: PLC0414 – a fixture
from tests.integration.test_commands import gate
from tests.property.test_damage import opening


@pytest.fixture
def journal(config: Path) -> Path:
    path = read_gate_config(config).journal
    Journal(path, "gate-1", "epoch-1").close()
    return path


def test_a_sound_journal_is_described(config: Path, journal: Path) -> None:
    done = gate("journal", "--config", config)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["epoch epoch-1, 0 records", "history: complete, or its loss accepted"]


def test_a_command_leaves_a_damaged_journal_to_the_door(config: Path, journal: Path) -> None:
    zero_page(journal, root_of(journal, "meta"))
    before = journal.read_bytes()
    done = gate("journal", "--config", config)
    assert done.returncode == 1
    assert "The door salvages what can be read: start maguey-gate" in done.stderr
    assert journal.read_bytes() == before


def test_lost_history_is_reported_until_somebody_accepts_it(config: Path, journal: Path) -> None:
    zero_page(journal, root_of(journal, "meta"))
    opening(journal.parent).open().close()
    done = gate("journal", "--config", config)
    assert done.returncode == 1
    assert "history: some is LOST" in done.stdout
    assert "set aside: journal.damaged-" in done.stdout
    assert gate("journal", "--config", config, "--accept-loss").returncode == 0
    assert gate("journal", "--config", config).returncode == 0
