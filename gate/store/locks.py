"""Locks between processes: one service per folder, and no ticket both lent and admitted.

The lending lock is for the policy ``home_gate`` (domain 2.3, situation 3): a ticket is either lent to
another gate or admitted here without the hub, never both. The door holds it from reading what is lent until
its commit is done; sync holds it from writing what is lent until it has looked into the journal.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

import structlog

from gate.common.errors import MagueyError
from gate.common.owned_files import open_own
from gate.store.shared_files import SHARED

LOCK_FILE = "lending.lock"
"""The lending lock's name in `state_dir`."""
_POLL_S = 0.002


class LendingBusy(MagueyError):
    """The lock could not be had in time, so nothing may be lent, or admitted without the hub."""


@contextlib.contextmanager
def lending_lock(path: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock `state_dir` / `LOCK_FILE`; the kernel releases it however the process ends.

    :param timeout_s: how long to wait for the other side.
    :raises LendingBusy: the other side holds it for longer, or the file cannot be opened.
    """
    fd = _open(path)
    try:
        _take(fd, path, time.monotonic() + timeout_s)
        try:
            yield
        finally:
            fcntl.flock(
                fd, fcntl.LOCK_UN
            )  # closing is not enough: a child forked meanwhile still has the file open
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    """Open the file; whichever user comes first makes it for both."""
    try:
        fd = open_own(path, os.O_RDONLY | os.O_CREAT, SHARED)
    except OSError as error:
        raise LendingBusy(
            f"{path}: {error.strerror}. No ticket is lent or admitted alone. Check the folder and its rights."
        ) from error
    with contextlib.suppress(OSError):  # the other side owns it
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


Service = Literal["door", "sync"]
_WOULD = {
    "door": "two would answer every guest twice. See: maguey-gate status.",
    "sync": "two would throw each other off the broker for ever. See: systemctl status maguey-sync.",
}


@contextlib.contextmanager
def only_one(service: Service, state_dir: Path) -> Iterator[None]:
    """Hold the folder while the service runs; the kernel releases it however the process ends.

    Where no lock can be made (a read-only card) the service runs anyway; the door shows the fault on its
    screen.

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
            _take_folder(fd, service, state_dir)
        log.info(f"{service} started", version=metadata.version("maguey-gate"))
        try:
            yield
        finally:
            log.info(f"{service} stopped")


def _take_folder(fileno: int, service: Service, state_dir: Path) -> None:
    try:
        fcntl.flock(fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise MagueyError(
            f"{state_dir}: another {service} runs on this folder; {_WOULD[service]} "
            "Stop it first, or give this gate a state_dir of its own."
        ) from None
