"""A device file that may be missing, unplugged and plugged in again; read without blocking."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable

from gate.common.errors import HardwareError
from gate.common.retried import RetriedDevice

RETRY_S = 1.0
"""Between two attempts to find a device that is not there."""
READ_BYTES = 1536
"""Of one read: 64 input events. If there is more, further reads follow at once."""
MOST_READS = 16
"""At a time; the rest of what a flooding device sends waits for the next call."""


class DeviceFile:
    """One device. Used from one thread.

    :param part: its name in the log.
    :param open_device: opens it for reading without blocking; raises `OSError`.
    :param explain: puts what opening or reading raised into words.
    :param clock: gives monotonic seconds.
    """

    def __init__(
        self,
        part: str,
        open_device: Callable[[], int],
        explain: Callable[[Exception], HardwareError],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._device = RetriedDevice(part, open_device, os.close, explain, RETRY_S)
        self._device.get(clock())

    @property
    def trouble(self) -> HardwareError | None:
        """Why it cannot be read, None while it can."""
        return self._device.trouble

    def read(self, now: float) -> bytes | None:
        """What is new, empty if nothing is; None: the device is missing, or has just gone."""
        return self._device.use(_taken, now)  # ENODEV or EIO when it is unplugged

    def wait(self, seconds: float) -> None:
        """Wait until there is something to read, at most for this long."""
        files = [] if self._device.part is None else [self._device.part]
        select.select(files, [], [], seconds)

    def close(self) -> None:
        """Give the device back."""
        self._device.close()


def _taken(fd: int) -> bytes:
    taken = b""
    for _ in range(MOST_READS):
        try:
            some = os.read(fd, READ_BYTES)
        except BlockingIOError:
            break
        if not some:
            raise OSError("it sends nothing more")
        taken += some
    return taken
