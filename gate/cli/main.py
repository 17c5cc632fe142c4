"""`maguey-gate`: the door, and the commands for it over SSH.

Exit codes: see `gate.common.command_line`. The call that starts the door is read here: the library that reads
all others takes a third of the time in which the door could see its first guest.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gate.cli.run_door import run_door
from gate.common.command_line import run_command
from gate.common.config_file import config_place


def main() -> None:
    """Entry point. Errors end in words."""
    run_command("maguey-gate", "pi", _call)


def _call() -> None:
    match sys.argv[1:]:
        case ["run"]:
            sys.exit(run_door(config_place("gate.toml", os.environ)))
        case ["run", "--config", config]:
            sys.exit(run_door(Path(config)))
        case _:
            from gate.cli.commands import app

            app()


if __name__ == "__main__":
    main()
