"""What staff ordered for everybody outlives the door's process; a hold-open does not outlive its night.

The record of such an order is committed before the order is followed (`gate.door.orders`), so the newest
record says what the turnstile is to be, and nothing else is stored that could contradict it. *Closed* lasts
until the next order. *Held open* ends with the night it was ordered in (`gate.rules.night.night_ends`); after
a boot the gate only knows which night that is once it has the hub's time, and stays locked until then.

A journal that lost its end may have lost the order that ended a hold-open. So a hold-open from before the
loss is not followed, or no longer: locked is safe, open is not. Closed is followed all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo

import structlog

from gate.door.parts import Parts
from gate.door.turnstile import DoorTurnstile
from gate.rules.model import EventKind, Now, RecordReason, ScanRecord
from gate.rules.night import night_ends
from gate.rules.passage import OrderAction, Outcome, Way

EACH_MS = 1_000
_LOST = (
    "the journal has lost its newest records, and perhaps the order that ended it. "
    "If the gate is to be open, order hold_open again"
)
_ORDERS: dict[RecordReason, OrderAction] = {
    EventKind.HELD_OPEN: OrderAction.HOLD_OPEN,
    EventKind.CLOSED: OrderAction.CLOSE,
}


class StandingOrders:
    """The standing order of one gate, if there is one. Used from the door's thread.

    :param zone: the club's time zone.
    :param changed: called when the turnstile has opened or closed to everybody, or works normally again.
    """

    def __init__(
        self,
        parts: Parts,
        turnstile: DoorTurnstile,
        zone: tzinfo,
        changed: Callable[[Sequence[Outcome]], None],
    ) -> None:
        self._parts = parts
        self._turnstile = turnstile
        self._zone = zone
        self._changed = changed
        self._has_looked = False
        self._remembered: ScanRecord | None = None
        self._recalled: ScanRecord | None = None
        self._seen = Way.NORMAL
        self._since: Now | None = None
        self._next_ms = 0
        self._log = structlog.get_logger()

    def turn(self, now: Now) -> None:
        """Called before new orders are looked at: the order from before the restart comes first."""
        if not self._has_looked:
            self._look(now)
        if self._remembered is not None:
            self._remember(self._remembered, now)
        self._notice(now)
        if now.monotonic_ms >= self._next_ms:
            self._next_ms = now.monotonic_ms + EACH_MS
            self._end(now)

    def _look(self, now: Now) -> None:
        """Look for an order from before the start, once there is a journal."""
        found = self._parts.with_journal(lambda j: (j.last_ordered(), j.history_lost()), now.monotonic_ms)
        if found is None:
            return
        self._has_looked = True
        record, lost = found
        if record is None or record.reason not in _ORDERS:
            return
        self._log.info("standing order found", reason=record.reason.value, id=record.scan_id)
        if record.reason is EventKind.HELD_OPEN and lost is not None and record.seq <= lost:
            self._give_up(record, _LOST)
        else:
            self._remembered = record

    def _remember(self, record: ScanRecord, now: Now) -> None:
        """Follow the order again, unless staff has ordered something since, or its night is over."""
        since = Now(wall=record.occurred_at, monotonic_ms=record.monotonic_ms, boot_id=record.boot_id)
        if self._turnstile.state.ordered is not Way.NORMAL:
            self._remembered = None
        elif record.reason is EventKind.CLOSED:
            self._follow(record, since)
        elif (why := self._why_not(record, since, now)) is not None:
            self._give_up(record, why)
        elif _time(since, now) is not None:
            self._follow(record, since)

    def _give_up(self, record: ScanRecord, why: str) -> None:
        self._remembered = None
        self._turnstile.event(EventKind.RESUMED)
        self._log.warning("hold-open not resumed", why=why, id=record.scan_id)

    def _follow(self, record: ScanRecord, since: Now) -> None:
        self._remembered = None
        outcomes = self._turnstile.follow(_ORDERS[record.reason])
        self._seen, self._since, self._recalled = self._turnstile.state.ordered, since, record
        self._changed(outcomes)

    def _notice(self, now: Now) -> None:
        """Note when the present state was ordered."""
        if self._turnstile.state.ordered is not self._seen:
            self._seen, self._since, self._recalled = self._turnstile.state.ordered, now, None

    def _end(self, now: Now) -> None:
        if self._seen is not Way.HELD_OPEN or self._since is None:
            return
        why = self._why_not(self._recalled, self._since, now)
        if why is not None:
            self._log.warning("hold-open ended", why=why)
            self._changed(self._turnstile.order(OrderAction.RESUME))

    def _why_not(self, recalled: ScanRecord | None, since: Now, now: Now) -> str | None:
        """Why a hold-open has to end, in words; None if it goes on.

        :param recalled: its record, if it was ordered before the start.
        """
        if recalled is not None and self._has_lost_since(recalled):
            return _LOST
        time = _time(since, now)
        return "its night is over" if time is not None and self._is_over(since, time) else None

    def _has_lost_since(self, record: ScanRecord) -> bool:
        """Whether the journal was salvaged since: if rows are missing, a new epoch begins."""
        journal = self._parts.journal.part
        return journal is not None and journal.epoch != record.epoch

    def _is_over(self, since: Now, time: datetime) -> bool:
        return time >= night_ends(since.wall, self._parts.cache.events(), self._zone)


def _time(since: Now, now: Now) -> datetime | None:
    """The time, if it is certain: counted on within one boot, by the hub's clock after another."""
    if since.boot_id == now.boot_id:
        return since.wall + timedelta(milliseconds=now.monotonic_ms - since.monotonic_ms)
    return now.wall if now.clock == "synced" else None
