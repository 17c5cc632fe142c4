"""One door and one sync a folder: two of a kind would each do the same work, against one another."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import structlog

from gate.errors import MagueyError
from gate.owned import open_own

Service = Literal["door", "sync"]
_WOULD = {
    "door": "two would answer every guest twice. Look with: maguey-gate status.",
    "sync": "two would throw each other off the broker for ever. Look with: systemctl status maguey-sync.",
}


@contextlib.contextmanager
def only_one(service: Service, state_dir: Path) -> Iterator[None]:
    """Hold the folder as long as the service runs; the kernel lets go of it however the process ends.

    Where no lock can be made (a read-only card) it runs all the same: the door says so on its screen.

    :raises MagueyError: another one runs on this folder.
    """
    log = structlog.get_logger()
    with contextlib.ExitStack() as stack:
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            fd = open_own(state_dir / f"{service}.lock", os.O_WRONLY | os.O_CREAT)
            stack.callback(os.close, fd)
        except OSError as error:
            log.warning(f"no lock against a second {service}", why=str(error))
        else:
            _take(fd, service, state_dir)
        log.info(f"{service} started", version=metadata.version("maguey-gate"))
        try:
            yield
        finally:
            log.info(f"{service} stopped")


def _take(fileno: int, service: Service, state_dir: Path) -> None:
    try:
        fcntl.flock(fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MagueyError(
            f"{state_dir}: another {service} runs on this folder; {_WOULD[service]} "
            "Stop it first, or give this gate a state_dir of its own."
        ) from None
