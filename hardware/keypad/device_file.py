"""A device file that may be missing, unplugged and plugged in again; read without blocking."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable

from gate.common.errors import HardwareError
from gate.common.outage import Outage

RETRY_S = 1.0
"""Between two attempts to find a device that is not there."""
READ_BYTES = 1536
"""Of one read: 64 input events; more is read at once by further reads."""
MOST_READS = 16
"""A device that floods the gate is read on at the next look."""


class Source:
    """Used from one thread.

    :param part: what the log calls it.
    :param open_device: opens it for reading without blocking; raises `OSError`.
    :param explain: an `OSError` in words.
    :param clock: gives monotonic seconds.
    """

    def __init__(
        self,
        part: str,
        open_device: Callable[[], int],
        explain: Callable[[OSError], HardwareError],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_device = open_device
        self._explain = explain
        self._fd: int | None = None
        self._retry_at = 0.0
        self._outage = Outage(part)
        self._is_closed = False
        self.trouble: HardwareError | None = None
        self._open(clock())

    def read(self, now: float) -> bytes | None:
        """What is new, empty if nothing is; None: the device is not there, or has gone just now."""
        if self._fd is None and not self._is_closed and now >= self._retry_at:
            self._open(now)
        if self._fd is None:
            return None
        try:
            return self._taken(self._fd)
        except OSError as error:  # ENODEV or EIO when it is unplugged
            self._lose(error, now)
            return None

    def wait(self, seconds: float) -> None:
        """Until there is something to read, at most so long."""
        files = [] if self._fd is None else [self._fd]
        select.select(files, [], [], seconds)

    def close(self) -> None:
        """Give the device back."""
        self._is_closed = True
        self._let_go()

    def _open(self, now: float) -> None:
        try:
            self._fd = self._open_device()
        except OSError as error:
            self._lose(error, now)
        else:
            self.trouble = None
            self._outage.over()

    def _lose(self, error: OSError, now: float) -> None:
        self._let_go()
        self._retry_at = now + RETRY_S
        self.trouble = self._explain(error)
        self._outage.began(self.trouble)

    def _let_go(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            with contextlib.suppress(OSError):  # it is gone already
                os.close(fd)

    def _taken(self, fd: int) -> bytes:
        taken = b""
        for _ in range(MOST_READS):
            try:
                some = os.read(fd, READ_BYTES)
            except BlockingIOError:
                break
            if not some:
                raise OSError("it gives nothing more")
            taken += some
        return taken
