"""How long a test waits for something: until it happens.

No test knows how fast the machine is. The limit here and the one in `pyproject.toml` only end a hang: more
than ten times what a test takes on a machine 2.5 times slower than a developer's, with other work running.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = float(os.environ.get("MAGUEY_PATIENCE_S", "600"))
"""For every wait, queue, socket and child process of a test. Only a failing test waits this long; for a test
that is meant to fail, as in `tests/mutants`, the environment makes it shorter."""

LOOK_S = 0.005
"""How often to look at something that does not announce its changes."""


def until(happened: Callable[[], object], what: Callable[[], object] = lambda: "it never happened") -> None:
    """Look until this is true.

    :param what: asked after a hang, for the message.
    """
    gives_up = time.monotonic() + PATIENCE_S
    while not happened():
        if time.monotonic() > gives_up:
            raise AssertionError(what())
        time.sleep(LOOK_S)


def stop_dead(pid: int) -> None:
    """SIGSTOP, and wait until it has taken effect: until then each thread may still do something."""
    os.kill(pid, signal.SIGSTOP)

    def states() -> list[str]:  # the one letter behind the name (proc(5))
        return [task.read_text().rpartition(") ")[2][0] for task in Path(f"/proc/{pid}/task").glob("*/stat")]

    until(lambda: set(states()) == {"T"}, lambda: str(states()))
