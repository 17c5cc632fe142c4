"""How many of a gate's reported admissions are plausible, given how fast people can walk in. Pure.

A gate may report many admissions at once, for it may have been cut off for hours; so the pace of messages
proves nothing. Two limits do:

- *The time of the scan*, by the gate's own clock: no more in one minute than people can walk. Each minute is
  counted separately, so neither the order of messages matters, nor a clock that is wrong or set meanwhile.
- *The time it had*, by the listener's clock: two a second since it could last have reported. What it says of
  its own journal (`set_waiting`) can only lower that: a gate whose records are all acknowledged has nothing
  left to report but what happens from now on.

A scan that is known already is not counted again.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

PER_SECOND = 2.0
"""The busiest door: two scans a second, without end (protocol 4.5)."""
BURST = 300
"""Beyond that at once: the scans of two and a half minutes, delayed on the way."""
A_MINUTE = 300
"""Most admissions in one minute: of the busiest door, and of a clock that was set back within it."""
NIGHT_S = 12 * 3600
"""No gate counts as cut off for longer than a night."""
MOST_MINUTES = 2_000
"""Minutes remembered of one gate, more than a night has; of more, those reported last."""


class EntryPace:
    """The pace of one gate, for one kind of its records.

    :param away_s: how long it may have admitted people unheard.
    """

    def __init__(self, now_ms: int, away_s: float = NIGHT_S) -> None:
        self._room = BURST + PER_SECOND * min(max(away_s, 0.0), NIGHT_S)
        self._at_ms = now_ms
        self._minutes: OrderedDict[int, int] = OrderedDict()

    def set_waiting(self, waiting: int, now_ms: int) -> None:
        """It reports that so many of its records are still to come; not for a retained message."""
        self._accrue(now_ms)
        self._room = min(self._room, BURST + max(0, waiting))

    def take(self, occurred_at: datetime, now_ms: int) -> bool:
        """Whether one more is plausible, and count it."""
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
        """Add what the time since the last call allows; a clock that goes back takes nothing away."""
        passed_ms = max(0, now_ms - self._at_ms)
        self._room = min(self._room + PER_SECOND * passed_ms / 1000, BURST + PER_SECOND * NIGHT_S)
        self._at_ms = max(self._at_ms, now_ms)
