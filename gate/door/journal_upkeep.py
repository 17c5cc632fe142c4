"""Keeps the journal in order between guests: prunes it, and recovers lost history from the hub."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from gate.door.parts import DoorSettings, Parts
from gate.rules.model import Now
from gate.store.journal import Journal

EACH_MS = 5_000
FOREVER = datetime(1970, 1, 1, tzinfo=UTC)
HUB_MS = 10_000
"""Longer than the hub takes to publish what it has just received (1 s, quality 7.3)."""


class JournalUpkeep:
    """The upkeep of one gate's journal. Used from the door's thread."""

    def __init__(self, settings: DoorSettings, parts: Parts) -> None:
        self._retained = timedelta(days=settings.retain_days)
        self._parts = parts
        self._next_ms = 0
        self._complete_since_ms: int | None = None
        self._log = structlog.get_logger()

    def turn(self, now: Now) -> None:
        """Do what is due, every few seconds."""
        if now.monotonic_ms < self._next_ms:
            return
        self._next_ms = now.monotonic_ms + EACH_MS
        # a clock that is a month fast would prune tonight's records: while it may be wrong, all are kept
        oldest = now.wall - self._retained if now.clock == "synced" else FOREVER
        self._parts.with_journal(lambda j: j.tidy(self._parts.acked(j), oldest, now), now.monotonic_ms)
        self._parts.with_journal(lambda journal: self._recover_history(journal, now), now.monotonic_ms)

    def _recover_history(self, journal: Journal, now: Now) -> None:
        """End the loss once the hub has every record and the cache has what the hub made of them."""
        if not self._hub_has_all(journal, now):
            self._complete_since_ms = None
            return
        if self._complete_since_ms is None:
            self._complete_since_ms = now.monotonic_ms
        if self._is_current_since(self._complete_since_ms + HUB_MS, now):
            journal.end_history_lost()
            self._log.warning("lost history recovered", except_for="what the hub never received")

    def _hub_has_all(self, journal: Journal, now: Now) -> bool:
        """Whether history is lost, and the hub has all that is left."""
        lost = journal.history_lost()
        if lost is None or self._parts.cache.link(now).epoch != journal.epoch:
            return False
        return self._parts.acked(journal) >= lost

    def _is_current_since(self, at_ms: int, now: Now) -> bool:
        """Whether the cache has everything up to a time, for each night that is served here.

        By the clock that does not jump: the other may have been set in between.
        """
        cache = self._parts.cache
        served = [event for event in cache.events() if event.served]
        ages = [cache.feed(event.event_id, now.wall).age_s for event in served]
        return bool(ages) and all(age is not None and now.monotonic_ms - age * 1000 >= at_ms for age in ages)
