"""What staff ordered for everybody outlives the door's process; a hold-open does not outlive its night.

The record of such an order is committed before the order is followed (`gate.ordering`), so the newest of
these records says what the turnstile is to be: nothing else is kept that could contradict it. Closed
lasts until the next order. Held open ends with the night it was ordered in (`gate.tonight.night_ends`);
after a boot that is only known once the hub has told the time, and until then the gate stays locked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo

import structlog

from gate.errors import StoreError
from gate.model import Now, Reason, ScanRecord
from gate.parts import Parts
from gate.passage import Order, Outcome, Way
from gate.passing import Passing
from gate.tonight import night_ends

EACH_MS = 1_000
_ORDERS = {Reason.HELD_OPEN: Order.HOLD_OPEN, Reason.CLOSED: Order.CLOSE}


class Lasting:
    """What lasts at one gate. Used from the door's thread.

    :param zone: the club's time zone.
    :param changed: told when the turnstile has become something else for everybody.
    """

    def __init__(
        self, parts: Parts, passing: Passing, zone: tzinfo, changed: Callable[[Sequence[Outcome]], None]
    ) -> None:
        self._parts = parts
        self._passing = passing
        self._zone = zone
        self._changed = changed
        self._has_looked = False
        self._remembered: ScanRecord | None = None
        self._seen = Way.NORMAL
        self._since: Now | None = None
        self._next_ms = 0
        self._log = structlog.get_logger()

    def turn(self, now: Now) -> None:
        """Before staff's orders are looked at: what was so before the restart comes first."""
        if not self._has_looked:
            self._look(now)
        if self._remembered is not None:
            self._remember(self._remembered, now)
        self._notice(now)
        if now.monotonic_ms >= self._next_ms:
            self._next_ms = now.monotonic_ms + EACH_MS
            self._end(now)

    def _look(self, now: Now) -> None:
        """Once, as soon as there is a journal."""
        journal = self._parts.journal.get(now.monotonic_ms)
        if journal is None:
            return
        try:
            record = journal.last_ordered()
        except StoreError as error:
            self._parts.journal.broke(error, now.monotonic_ms)
            return
        self._has_looked = True
        if record is not None and record.reason in _ORDERS:
            self._remembered = record
            self._log.info(
                "staff's last order before the start", reason=record.reason.value, id=record.scan_id
            )

    def _remember(self, record: ScanRecord, now: Now) -> None:
        """Do again what was ordered, unless staff has ordered something since, or its night is over."""
        since = Now(wall=record.occurred_at, monotonic_ms=record.monotonic_ms, boot_id=record.boot_id)
        if self._passing.state.ordered is not Way.NORMAL:
            self._remembered = None
        elif record.reason is Reason.CLOSED:
            self._follow(record, since)
        elif (time := _time(since, now)) is not None:
            if self._is_over(since, time):
                self._remembered = None
                self._passing.event(Reason.RESUMED)
                self._log.info("not held open again: its night is over", id=record.scan_id)
            else:
                self._follow(record, since)

    def _follow(self, record: ScanRecord, since: Now) -> None:
        self._remembered = None
        outcomes = self._passing.follow(_ORDERS[record.reason])
        self._seen, self._since = self._passing.state.ordered, since
        self._changed(outcomes)

    def _notice(self, now: Now) -> None:
        """When what is so now was ordered."""
        if self._passing.state.ordered is not self._seen:
            self._seen, self._since = self._passing.state.ordered, now

    def _end(self, now: Now) -> None:
        if self._seen is not Way.HELD_OPEN or self._since is None:
            return
        time = _time(self._since, now)
        if time is not None and self._is_over(self._since, time):
            self._log.info("no longer held open: the night is over")
            self._changed(self._passing.order(Order.RESUME))

    def _is_over(self, since: Now, time: datetime) -> bool:
        return time >= night_ends(since.wall, self._parts.cache.events(), self._zone)


def _time(since: Now, now: Now) -> datetime | None:
    """What time it is beyond doubt: counted on in the same boot, after another only by the hub's clock."""
    if since.boot_id == now.boot_id:
        return since.wall + timedelta(milliseconds=now.monotonic_ms - since.monotonic_ms)
    return now.wall if now.clock == "synced" else None
