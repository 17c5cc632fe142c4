"""What happens when, in virtual time. One thread; the same agenda always runs in the same order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
"""The true time at the beginning of every night."""
MS = 1_000
S = 1_000_000

Do = Callable[[], None]


class Agenda:
    """Things to be done, by the microsecond.

    `now_us`: microseconds since the beginning; it never goes back. `trace`: what happened, if `keeps`.
    `failed`: what could not be raised where it happened.
    """

    def __init__(self, *, keeps: bool = True, echo: Callable[[str], None] | None = None) -> None:
        self.now_us = 0
        self.trace: list[str] = []
        self.failed: BaseException | None = None
        self._keeps = keeps
        self._echo = echo
        self._heap: list[tuple[int, int, Do]] = []
        self._number = 0

    @property
    def wall(self) -> datetime:
        """The true time."""
        return START + timedelta(microseconds=self.now_us)

    def at(self, when_us: int, do: Do) -> None:
        """Do something at a time; what is already past is done next."""
        self._number += 1
        heapq.heappush(self._heap, (max(when_us, self.now_us), self._number, do))

    def after(self, delay_us: int, do: Do) -> None:
        """Do something later."""
        self.at(self.now_us + delay_us, do)

    def run(self, until_us: int, waiting: Callable[[], bool] = lambda: True) -> None:
        """Do all there is until a time, or until nobody waits any more.

        Whatever is done may itself call this: it is busy then, while the others go on.
        """
        while waiting() and self._heap and self._heap[0][0] <= until_us:
            when_us, _, do = heapq.heappop(self._heap)
            self.now_us = max(self.now_us, when_us)
            do()
            if self.failed is not None:
                raise self.failed
        if waiting():
            self.now_us = max(self.now_us, until_us)

    def note(self, who: str, what: str) -> None:
        """A line of the trace."""
        if self._keeps or self._echo:
            line = f"{self.now_us / S:10.6f} {who:8} {what}"
            if self._keeps:
                self.trace.append(line)
            if self._echo:
                self._echo(line)
