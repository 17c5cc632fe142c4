"""The door's view of `cache.db`: read only, and never a reason to stop.

Sync writes the file. Where there is none yet, or it cannot be read, the door knows no
tickets and says so (`CacheReader.trouble`); it looks again by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from gate.errors import StoreError
from gate.model import Admission, Entry, Event, Now, Table, Value
from gate.screen import Link
from gate.sqlfile import load

SQL = load("gate", "cache.sql")
BEAT_LOST_MS = 5_000
"""Sync writes its heartbeat every second; one this old means sync is gone or wedged."""


class Known(Value, frozen=True):
    """What the cache says of one code."""

    admission: Admission | None = None
    table: Table | None = None
    peers: tuple[Entry, ...] = ()


class Feed(Value, frozen=True):
    """How current the cache is for an event. `age_s`: seconds since it was last known to be current."""

    version: int | None = None
    age_s: int | None = None


class LinkState(Value, frozen=True):
    """Sync's own account of the link.

    `online`: broker and hub are heard. `cut_ms`: how long there has been no broker, 0 while
    there is one, None if there was none since boot.
    """

    online: bool = False
    cut_ms: int | None = None
    epoch: str | None = None
    acked_seq: int = 0


class CacheReader:
    """Reads the cache file, which may appear, vanish and be replaced at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self.trouble: StoreError | None = None

    def find(self, code_hash: str) -> Known:
        """All that is known of a code; an empty `Known` where the cache has nothing."""
        rows = self._all("admission", code_hash)
        peers = self.peers(code_hash)
        if not rows:
            return Known(peers=peers)
        admission, table = rows[0]
        return Known(
            admission=msgspec.json.decode(admission, type=Admission),
            table=msgspec.json.decode(table, type=Table) if table else None,
            peers=peers,
        )

    def peers(self, code_hash: str) -> tuple[Entry, ...]:
        """Admissions of a code that other gates told of."""
        rows = self._all("peer_entries", code_hash)
        return tuple(Entry(at=datetime.fromisoformat(at), gate=gate) for at, gate in rows)

    def events(self) -> tuple[Event, ...]:
        """All nights the hub told of, served here or not."""
        return tuple(msgspec.json.decode(row, type=Event) for (row,) in self._all("events"))

    def feed(self, event_id: str, now: datetime) -> Feed:
        """How current the cache is for an event."""
        rows = self._all("feed", event_id)
        if not rows:
            return Feed()
        version, current_at = rows[0]
        age = (now - datetime.fromisoformat(current_at)).total_seconds()
        return Feed(version=version, age_s=max(0, int(age)))

    def not_entered(self, reservation_id: str) -> Sequence[str]:
        """Code hashes of a table's guests who, as far as the hub knows, are not in yet."""
        return [code_hash for (code_hash,) in self._all("members", reservation_id)]

    def entered(self, event_id: str) -> int:
        """How many guests of an event are in, as far as the hub knows."""
        rows = self._all("entered", event_id)
        return int(rows[0][0]) if rows else 0

    def gate_names(self) -> dict[str, str]:
        """What people call the gates, by id."""
        return dict(self._all("gate_names"))

    def link(self, now: Now) -> LinkState:
        """Whether the hub is heard, by sync's account; a silent sync counts as no link."""
        rows = self._all("link")
        if not rows:
            return LinkState()
        connected, hub_heard, since_ms, beat_ms, boot_id, epoch, acked_seq = rows[0]
        same_boot = boot_id == now.boot_id
        alive = same_boot and now.monotonic_ms - beat_ms < BEAT_LOST_MS
        lost_at = since_ms if alive else beat_ms
        broker = bool(alive and connected)
        cut = 0 if broker else (now.monotonic_ms - lost_at if same_boot else None)
        return LinkState(online=bool(broker and hub_heard), cut_ms=cut, epoch=epoch, acked_seq=acked_seq)

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _all(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        try:
            self._open()
            if self._db is None:
                return []
            rows = self._db.execute(SQL[query], parameters).fetchall()
        except (sqlite3.Error, OSError) as error:
            self.close()
            self.trouble = StoreError(
                f"{self.path}: {error}. Tickets cannot be looked up. Restart maguey-sync to fetch them again."
            )
            return []
        self.trouble = None
        return rows

    def _open(self) -> None:
        """Open the file, or open it again after it was replaced by another."""
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            self.close()
            return
        if self._db is None or inode != self._inode:
            self.close()
            self._db = sqlite3.connect(
                f"file:{self.path}?mode=ro", uri=True, timeout=0.2, isolation_level=None
            )
            self._inode = inode


def screen_link(state: LinkState, waiting: int, feed: Feed) -> Link:
    """The link as the screen tells it."""
    return Link(online=state.online, waiting=waiting, cache_age_s=feed.age_s)
