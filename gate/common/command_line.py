"""How every program ends: in words, and with the same code for the same kind of mistake.

0 done · 1 something is broken or needs attention · 2 the call, the configuration or the installation is
wrong · 75 start it again (`EX_TEMPFAIL`, sysexits.h) · 130 Ctrl-C, as a shell says it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from gate.common.errors import CallError, ConfigError, MagueyError

BROKEN, WRONG_CALL, INTERRUPTED = 1, 2, 128 + signal.SIGINT
_OURS = ("gate", "display", "hardware", "sync", "hub", "fleet")


def run_command(program: str, extra: str, call: Callable[[], object]) -> None:
    """Do what was asked. Every error that a person can mend ends the process with words and a code.

    :param extra: of ``pip install 'maguey-gate[…]'``, with the libraries that this program needs.
    """
    try:
        call()
    except (ConfigError, CallError) as error:
        end_in_words(program, str(error), WRONG_CALL)
    except MagueyError as error:
        end_in_words(program, str(error), BROKEN)
    except ModuleNotFoundError as error:
        end_in_words(program, _missing(error, extra), WRONG_CALL)
    except BrokenPipeError:
        os._exit(BROKEN)  # whoever read the output is gone; Python would complain once more while it ends
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def end_in_words(program: str, message: str, code: int) -> NoReturn:
    """Say why, and exit."""
    sys.stderr.write(f"{program}: {message}\n")
    sys.exit(code)


def _missing(error: ModuleNotFoundError, extra: str) -> str:
    """Raises the error again if it is our own module that is missing: that is a bug, not an installation."""
    library = (error.name or "").partition(".")[0]
    if not library or library in _OURS:
        raise error
    return (
        f"the library '{library}' is not installed. This command needs those of the extra '{extra}': "
        f"pip install 'maguey-gate[{extra}]'"
    )
