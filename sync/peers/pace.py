"""How fast people come in at one door: how much of what a gate says it admitted can be so. Pure.

A gate may tell of many admissions at once, for it may have been cut off for hours;
so the pace of messages says nothing. Two things do:

- *When it was*, by the gate's own account: no more in one minute than people can walk. Each minute is counted
  by itself, so neither the order of messages matters, nor a clock that is wrong, or set while people come in.
- *How long it had*, by the listener's own clock: two a second since it could last have told. What it says of
  its own journal (`tell_waiting`) can only make that less: a gate whose records have all been acknowledged
  has nothing left to tell but what happens from now on.

What is known already, for it was told before, is not asked about again: it costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

PER_SECOND = 2.0
"""The busiest door: two scans a second, for as long as it likes (protocol 4.5)."""
BURST = 300
"""Beyond that at once: what two and a half minutes bring that were held up on the way."""
A_MINUTE = 300
"""Most admissions said to be of one minute: of the busiest door, and of a clock that was set back in it."""
NIGHT_S = 12 * 3600
"""No gate is believed to have been cut off for longer than a night."""
MOST_MINUTES = 2_000
"""Minutes remembered of one gate, more than a night has; of more, those told of last."""


class EntryPace:
    """Of one gate, and of one kind of its records.

    :param away_s: for how long it may have admitted people of whom nobody here has heard.
    """

    def __init__(self, now_ms: int, away_s: float = NIGHT_S) -> None:
        self._room = BURST + PER_SECOND * min(max(away_s, 0.0), NIGHT_S)
        self._at_ms = now_ms
        self._minutes: OrderedDict[int, int] = OrderedDict()

    def tell_waiting(self, waiting: int, now_ms: int) -> None:
        """It says that so many of its records are still to come; not of a message that was kept somewhere."""
        self._accrue(now_ms)
        self._room = min(self._room, BURST + max(0, waiting))

    def take(self, occurred_at: datetime, now_ms: int) -> bool:
        """Whether one more can be so, which then counts."""
        self._accrue(now_ms)
        minute = int(occurred_at.timestamp() // 60)
        count = self._minutes.get(minute, 0)
        if count >= A_MINUTE or self._room < 1:
            return False
        self._room -= 1
        self._minutes[minute] = count + 1
        self._minutes.move_to_end(minute)
        if len(self._minutes) > MOST_MINUTES:
            self._minutes.popitem(last=False)
        return True

    def _accrue(self, now_ms: int) -> None:
        """Time goes by; none is taken back, should a clock say so."""
        passed_ms = max(0, now_ms - self._at_ms)
        self._room = min(self._room + PER_SECOND * passed_ms / 1000, BURST + PER_SECOND * NIGHT_S)
        self._at_ms = max(self._at_ms, now_ms)
