"""Runs commands of maguey-hub in this process: starting each of them would take all of a test's time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hub.cli.main import app


class Hub:
    """The command line of one hub, as somebody called Eva types it."""

    def __init__(self, config: Path) -> None:
        self._config = str(config)

    def __call__(self, *words: object) -> str:
        """What a command that works says."""
        code, said = self.told(*words)
        assert code == 0, said
        return said

    def told(self, *words: object) -> tuple[int, str]:
        """A command's exit code, and all it says."""
        answer = CliRunner().invoke(app, [*map(str, words), "--config", self._config])
        assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
        return answer.exit_code, answer.output

    def bare(self, *words: object) -> str:
        """What a command says that needs no configuration."""
        answer = CliRunner().invoke(app, [*map(str, words)])
        assert answer.exit_code == 0, answer.output
        return answer.output

    def refused(self, *words: object) -> str:
        """What a wrong call is told."""
        code, said = self.told(*words)
        assert code == 2, said
        return said

    def json(self, *words: object) -> Any:
        return json.loads(self(*words, "--json"))
