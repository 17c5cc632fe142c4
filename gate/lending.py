"""The lending lock: a ticket is either lent to another gate or admitted here alone, never both.

Policy ``home_gate`` (domain 2.3, situation 3). The door holds it from reading what is lent to the end of
its commit when it admits without the hub; sync from writing what is lent to its look into the journal.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from gate.errors import MagueyError
from gate.owned import open_own
from gate.sharing import SHARED

LOCK_FILE = "lending.lock"
"""Its name in `state_dir`."""
_POLL_S = 0.002


class LendingBusy(MagueyError):
    """The lock was not to be had in time; nothing may be lent, nor admitted without the hub."""


@contextlib.contextmanager
def lending_lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock, `state_dir` / `LOCK_FILE`; the kernel lets go of it however the process ends.

    :param timeout_s: how long to wait for the other side.
    :raises LendingBusy: the other side has it for longer, or the file cannot be opened.
    """
    fd = _open(path)
    try:
        _take(fd, path, time.monotonic() + timeout_s)
        try:
            yield
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)  # a child that was forked meanwhile still has the file open
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    """Whoever comes first makes the file, for both users."""
    try:
        fd = open_own(path, os.O_RDONLY | os.O_CREAT, SHARED)
    except OSError as error:
        raise LendingBusy(
            f"{path}: {error.strerror}. No ticket is lent or admitted alone. Check the folder and its rights."
        ) from error
    with contextlib.suppress(OSError):  # the other side's own
        os.fchmod(fd, SHARED)
    return fd


def _take(fd: int, path: Path, until: float) -> None:
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise LendingBusy(f"{path}: held by the other service.") from None
            time.sleep(_POLL_S)
