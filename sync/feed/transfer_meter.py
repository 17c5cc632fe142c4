"""What one answer of the hub may cost this gate: seconds, and bytes on the wire.

Theory of operation. An HTTP library's time-out is that of one read: whoever sends a byte now and then, one
"100 Continue" after another, a line without an end or a body that unpacks to nothing holds its reader for
ever. So the sockets themselves are counted, below everything that reads them: whatever is made of the bytes,
`WASTE_BYTES` at most have arrived since something last came of them, and within `SLOW_S` something has. Who
reads says with `used` what came of them. A meter is for one request after another, used from one thread.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from gate.common.errors import MagueyError

WASTE_BYTES = 1024 * 1024
"""Headers, chunks' sizes, tries before: an answer that is one takes some hundred bytes of these."""
SLOW_S, SLOW_BYTES = 120.0, 64 * 1024
"""Of what can be used so much has to come in that time: 0.5 KB/s, and the waits of a line that breaks."""
_WORTH = 2
"""Packed bytes are fewer than those they make: what was used pays for twice as much of the wire."""


class TransferLimitError(MagueyError):
    """An answer takes more time or bytes than any needs."""


class TransferMeter:
    """Counts. Before the first `begin` nothing is allowed.

    :param clock: seconds, of any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = self._slow_at = clock()
        self._waste = self._used = 0
        self.turns = 0
        """Grows with everything that comes or is tried."""
        self.is_looking_up = False
        """In the system's look-up of a name, which nobody can end."""

    def begin(self, seconds: float) -> None:
        """From now on counts the next answer, which may take so long in all."""
        now = self._clock()
        self._until, self._slow_at = now + seconds, now + SLOW_S
        self._waste = self._used = 0

    def left(self) -> float:
        """Seconds that are left, more than 0. Raises `TransferLimitError`."""
        self.turns += 1
        now = self._clock()
        if now >= self._until:
            raise TransferLimitError("it takes too long in all")
        if now >= self._slow_at:
            raise TransferLimitError(f"fewer than {SLOW_BYTES} bytes of use in {SLOW_S:g} s")
        return min(self._until, self._slow_at) - now

    def arrived(self, count: int) -> None:
        """So many bytes came on the wire. Raises `TransferLimitError`."""
        self._waste += count
        if self._waste > WASTE_BYTES:
            raise TransferLimitError(f"{self._waste} bytes on the wire of which nothing came")

    def used(self, count: int) -> None:
        """So many bytes came out of what arrived. Raises `TransferLimitError`."""
        self._waste = max(0, self._waste - _WORTH * count)
        self._used += count
        if self._used >= SLOW_BYTES:
            self._used, self._slow_at = 0, self._clock() + SLOW_S
        self.left()

    @contextlib.contextmanager
    def looking_up(self) -> Iterator[None]:
        """While a name is looked up."""
        self.is_looking_up = True
        try:
            yield
        finally:
            self.is_looking_up = False
