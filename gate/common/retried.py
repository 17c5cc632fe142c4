"""A part that may be missing or break, and is made again until it works.

It is tried again every few seconds, so that a reconnected relay works without a restart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Generic, TypeVar

from gate.common.errors import MagueyError
from gate.common.outage import Outage

T = TypeVar("T")
RETRY_MS = 3_000


class Retried(Generic[T]):
    """Holds what `make` makes.

    :param make: makes the part; raises `MagueyError` while it cannot.
    :param discard: lets go of a part that broke.
    """

    def __init__(self, name: str, make: Callable[[], T], discard: Callable[[T], None]) -> None:
        self._name = name
        self._make = make
        self._discard = discard
        self._part: T | None = None
        self._retry_at = 0
        self._outage = Outage(name)

    @property
    def trouble(self) -> MagueyError | None:
        """Why there is no working part, None while there is one or nobody has asked yet."""
        error = self._outage.reason
        return error if isinstance(error, MagueyError) else None

    @property
    def part(self) -> T | None:
        """The working part as it is, without an attempt to make one. May be asked from any thread."""
        return self._part

    def get(self, now_ms: int) -> T | None:
        """The working part, or None while it is broken. `now_ms`: monotonic."""
        if self._part is None and now_ms >= self._retry_at:
            self._try(now_ms)
        return self._part

    def _try(self, now_ms: int) -> None:
        try:
            self._part = self._make()
        except MagueyError as error:
            self._note(error, now_ms)
        except Exception as error:  # a defect of the adapter costs its part, not the door
            self._note(
                MagueyError(f"The {self._name} cannot be made because of a defect: {error!r}."), now_ms
            )
        else:
            self._outage.over()

    def broke(self, error: MagueyError, now_ms: int) -> None:
        """The part failed in use: let go of it and make it again later."""
        part, self._part = self._part, None
        if part is not None:
            with contextlib.suppress(MagueyError, OSError):  # it is broken; why is known already
                self._discard(part)
        self._note(error, now_ms)

    def _note(self, error: MagueyError, now_ms: int) -> None:
        self._outage.began(error)
        self._retry_at = now_ms + RETRY_MS

    def close(self) -> None:
        """Let go of the part."""
        part, self._part = self._part, None
        if part is not None:
            self._discard(part)
