"""`maguey-gate`: the door, and the commands for it over SSH.

Exit codes: 0 done, 1 something is broken, 2 the call or the configuration is wrong, 75 start it again. The
call that starts the door is read here: the library that reads all others takes a third of the time in which
the door could see its first guest.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from gate.cli.run_door import run_door
from gate.common.errors import CallError, ConfigError, MagueyError


def main() -> None:
    """Entry point. Errors end in words: exit code 2 for the call and the configuration, 1 for the rest."""
    try:
        match sys.argv[1:]:
            case ["run", "--config", config]:
                sys.exit(run_door(Path(config)))
            case _:
                from gate.cli.commands import app

                app()
    except (ConfigError, CallError) as error:
        _fail(error, 2)
    except MagueyError as error:
        _fail(error, 1)
    except BrokenPipeError:
        os._exit(1)
    except (
        KeyboardInterrupt
    ):  # before the door listens to it: as a shell says it, and as the other commands do
        sys.exit(128 + signal.SIGINT)


def _fail(error: Exception, code: int) -> None:
    sys.stderr.write(f"maguey-gate: {error}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
