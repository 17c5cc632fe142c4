"""Says on the screen, between guests, that the newest release was rolled back: for staff, for one evening."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from textwrap import shorten

from gate.door.signs import Signs
from gate.ports.screen import RolledBack
from gate.rules.model import Now
from gate.store.update_note import ROLLED_BACK, UpdateNote

EVERY_MS = 10 * 60 * 1000
NEWS = timedelta(hours=12)
LONGEST_SHOWN = 40
"""Characters of the reason; all of it is in `maguey-release status`."""


class RollbackNews:
    """Used from the door's thread.

    :param read: the last update, from `gate.store.update_note`.
    """

    def __init__(self, read: Callable[[], UpdateNote | None], signs: Signs) -> None:
        self._read, self._signs = read, signs
        self._next_ms: int | None = None

    def turn(self, now: Now) -> None:
        """From the start of the door, every ten minutes."""
        if self._next_ms is not None and now.monotonic_ms < self._next_ms:
            return
        self._next_ms = now.monotonic_ms + EVERY_MS
        note = self._read()
        if note is not None and note.phase == ROLLED_BACK and now.wall - note.at < NEWS:
            reason = shorten(note.reason, LONGEST_SHOWN, placeholder=" …")
            self._signs.later(RolledBack(version=note.version, reason=reason), now.monotonic_ms)
