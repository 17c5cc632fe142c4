"""The hub's alerts, where they concern this gate. Used from the door's thread."""

from __future__ import annotations

from gate.door.idle import IdleScreen
from gate.door.parts import Parts
from gate.door.signs import Signs
from gate.ports.screen import DoubleEntry, EntryPlace
from gate.rules.alert import Alert
from gate.rules.model import Now

EVERY_MS = 1_000


class HubAlerts:
    """Reads the cache's alerts, except those from before this door was started: its predecessor showed
    them."""

    def __init__(self, gate_id: str, parts: Parts, idle: IdleScreen, signs: Signs) -> None:
        self._gate_id = gate_id
        self._parts = parts
        self._idle = idle
        self._signs = signs
        self._seen: int | None = None
        self._next_ms = 0

    def turn(self, now: Now) -> None:
        """Once a second, show what is new."""
        if now.monotonic_ms < self._next_ms:
            return
        self._next_ms = now.monotonic_ms + EVERY_MS
        newest = self._parts.cache.newest_alert()
        if newest is None:
            return
        if self._seen is None:
            self._seen = newest
        if newest < self._seen:
            self._seen = 0  # another cache file, with numbers of its own
        for number, alert in self._parts.cache.alerts(self._seen):
            self._seen = number
            self._take(alert, now.monotonic_ms)

    def _take(self, alert: Alert, now_ms: int) -> None:
        if alert.reason == "conflict" and self._gate_id in (alert.gate, alert.other_gate):
            self._signs.later(self._double_entry(alert), now_ms)
        elif alert.reason == "cloned" and alert.gate == self._gate_id:
            self._idle.cloned(now_ms)

    def _double_entry(self, alert: Alert) -> DoubleEntry:
        names = self._parts.cache.gate_names()
        return DoubleEntry(
            counts=EntryPlace(gate=names.get(alert.gate, alert.gate), at=alert.at),
            other=EntryPlace(
                gate=names.get(alert.other_gate, alert.other_gate), at=alert.other_at or alert.at
            ),
        )
