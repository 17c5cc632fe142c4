"""Every command a person has on a gate or at the hub is in docs/operations.md."""

from __future__ import annotations

import re

import pytest
import typer.main

from fleet.release import main as release_cli
from gate.cli import commands as gate_cli
from hub.cli import main as hub_cli
from sync import cli as sync_cli
from tests.paths import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text("utf-8")
COMMANDS = [
    *(f"maguey-gate {name}" for name in typer.main.get_command(gate_cli.app).commands),  # type: ignore[attr-defined]
    *(f"maguey-release {name}" for name in typer.main.get_command(release_cli.app).commands if name != "try"),  # type: ignore[attr-defined]
    *(f"maguey-sync {name}" for name in typer.main.get_command(sync_cli.app).commands),  # type: ignore[attr-defined]
    *(f"maguey-hub {name}" for name in typer.main.get_command(hub_cli.app).commands if name != "seed-demo"),  # type: ignore[attr-defined]
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_is_explained(command: str) -> None:
    assert re.search(rf"{command}[ `,]", TEXT)
