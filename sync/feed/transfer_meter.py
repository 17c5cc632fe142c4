"""Limits what one answer of the hub may cost this gate: seconds, and bytes on the wire.

Theory of operation. An HTTP library's time-out covers one read: a server that sends a byte now and then, one
"100 Continue" after another, an endless line or a body that unpacks to nothing holds its reader for ever. So
bytes are counted at the sockets, below everything that reads them. At most `WASTE_BYTES` may arrive without
any usable content, and some has to arrive within `SLOW_S`. The reader reports usable bytes with `used`. A
meter serves one request after another, from one thread.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from gate.common.errors import MagueyError

WASTE_BYTES = 1024 * 1024
"""For headers, chunk sizes and earlier tries; a real answer takes some hundred bytes of these."""
SLOW_S, SLOW_BYTES = 120.0, 64 * 1024
"""Usable bytes that have to arrive in that time: 0.5 KB/s, and time to reconnect a broken connection."""
_WORTH = 2
"""How many bytes on the wire one used byte pays for; packed bytes are fewer than unpacked ones."""


class TransferLimitError(MagueyError):
    """An answer takes more time or bytes than any real one."""


class TransferMeter:
    """Counts time and bytes. Nothing is allowed before the first `begin`.

    :param clock: seconds, of any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = self._slow_at = clock()
        self._waste = self._used = 0
        self.turns = 0
        """Grows with everything that arrives or is tried."""
        self.is_looking_up = False
        """In the system's name look-up, which cannot be interrupted."""

    def begin(self, seconds: float) -> None:
        """Start counting the next answer, which may take `seconds` in all."""
        now = self._clock()
        self._until, self._slow_at = now + seconds, now + SLOW_S
        self._waste = self._used = 0

    def left(self) -> float:
        """Seconds left, more than 0. Raises `TransferLimitError`."""
        self.turns += 1
        now = self._clock()
        if now >= self._until:
            raise TransferLimitError("it takes too long in all")
        if now >= self._slow_at:
            raise TransferLimitError(f"fewer than {SLOW_BYTES} usable bytes in {SLOW_S:g} s")
        return min(self._until, self._slow_at) - now

    def arrived(self, count: int) -> None:
        """Count bytes that arrived on the wire. Raises `TransferLimitError`."""
        self._waste += count
        if self._waste > WASTE_BYTES:
            raise TransferLimitError(f"{self._waste} bytes on the wire without any content")

    def used(self, count: int) -> None:
        """Count usable bytes. Raises `TransferLimitError`."""
        self._waste = max(0, self._waste - _WORTH * count)
        self._used += count
        if self._used >= SLOW_BYTES:
            self._used, self._slow_at = 0, self._clock() + SLOW_S
        self.left()

    @contextlib.contextmanager
    def looking_up(self) -> Iterator[None]:
        """Around a name look-up."""
        self.is_looking_up = True
        try:
            yield
        finally:
            self.is_looking_up = False
