"""One door a folder: two on the same journal would each answer every guest."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import structlog

from gate.errors import MagueyError


@contextlib.contextmanager
def only_door(state_dir: Path) -> Iterator[None]:
    """Hold the folder as long as the door runs; the kernel lets go of it however the process ends.

    Where no lock can be made (a read-only card) the door runs all the same, to say so on its screen.

    :raises MagueyError: another door runs on this folder.
    """
    log = structlog.get_logger()
    with contextlib.ExitStack() as stack:
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((state_dir / "door.lock").open("a"))
        except OSError as error:
            log.warning("no lock against a second door", why=str(error))
        else:
            _take(lock.fileno(), state_dir)
        log.info("door started", version=metadata.version("maguey-gate"))
        try:
            yield
        finally:
            log.info("door stopped")


def _take(fileno: int, state_dir: Path) -> None:
    try:
        fcntl.flock(fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MagueyError(
            f"{state_dir}: another door runs on this folder; two would answer every guest twice. "
            "Look with: maguey-gate status. Stop it first, or give this gate a state_dir of its own."
        ) from None
