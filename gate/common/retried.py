"""Parts that may be missing or break, and are made again until they work.

How the door retries its parts: an outage is logged once when it begins and once when it ends, and there is a
wait between two attempts, so a reconnected device works without a restart. Time is an argument. The relay has
a retry of its own, which keeps its pin (`hardware.pins.turnstile`); the hub's is `hub.db.worker`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Generic, TypeVar

from gate.common.errors import HardwareError, MagueyError
from gate.common.outage import Outage

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E", bound=MagueyError)
RETRY_MS = 3_000


class _Remade(Generic[T, E]):
    """Holds what `make` makes. Used from one thread; `part` and `trouble` may be read from any.

    :param make: makes the part; raises while it cannot.
    :param discard: closes a part that broke.
    :param explain: puts what was raised into words.
    :param wait: between two attempts, in the unit of the monotonic times it is given.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], T],
        discard: Callable[[T], object],
        explain: Callable[[Exception], E],
        wait: float,
    ) -> None:
        self._make, self._discard, self._explain, self._wait = make, discard, explain, wait
        self._outage = Outage(name)
        self.part: T | None = None
        """The working part, without an attempt to make one."""
        self.trouble: E | None = None
        """Why there is no working part; None while there is one or nobody has asked yet."""
        self.retry_at = 0.0
        """When it may be made again."""

    def get(self, now: float) -> T | None:
        """The part, or None while it cannot be made. Once made, it counts as working."""
        part = self.made(now)
        if part is not None:
            self._works()
        return part

    def made(self, now: float) -> T | None:
        """As `get`, for a part that counts as working only once `use` has succeeded."""
        if self.part is None and now >= self.retry_at:
            try:
                self.part = self._make()
            except Exception as error:  # a defect of the adapter must cost this part, not the door
                self._failed(error, now)
        return self.part

    def use(self, work: Callable[[T], R], now: float) -> R | None:
        """What `work` makes of the part; None while there is no part. An exception of `work` is an outage."""
        part = self.made(now)
        if part is None:
            return None
        try:
            done = work(part)
        except Exception as error:
            self.broke(error, now)
            return None
        self._works()
        return done

    def broke(self, error: Exception, now: float) -> None:
        """The part failed in use: discard it and make it again later."""
        with contextlib.suppress(Exception):  # it is broken, and we know why
            self.close()
        self._failed(error, now)

    def close(self) -> None:
        """Discard the part."""
        part, self.part = self.part, None
        if part is not None:
            self._discard(part)

    def _works(self) -> None:
        self.trouble = None
        self._outage.over()

    def _failed(self, error: Exception, now: float) -> None:
        self.trouble = self._explain(error)
        self.retry_at = now + self._wait
        self._outage.began(self.trouble)


class Retried(_Remade[T, MagueyError]):
    """A part of the door; its times are ms. `make` raises `MagueyError` while it cannot."""

    def __init__(self, name: str, make: Callable[[], T], discard: Callable[[T], object]) -> None:
        def explain(error: Exception) -> MagueyError:
            if isinstance(error, MagueyError):
                return error
            return MagueyError(f"The {name} cannot be made because of a defect: {error!r}.")

        super().__init__(name, make, discard, explain, RETRY_MS)


class RetriedDevice(_Remade[T, HardwareError]):
    """A device whose driver raises what it likes; its times are seconds."""

    def close(self) -> None:
        """Discard the device for good. Never raises."""
        self.retry_at = math.inf
        with contextlib.suppress(Exception):  # it is gone already, or about to be
            super().close()
