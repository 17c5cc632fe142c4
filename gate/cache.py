"""The door's view of `cache.db`: read only, and never a reason to stop.

Sync writes the file. Where there is none yet, or it cannot be read, the door knows no
tickets and says so (`CacheReader.trouble`); it looks again by itself. What is read for one
scan is read inside `CacheReader.view`, which gives all of it or none.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from gate.errors import CacheError
from gate.model import Admission, Entry, Event, Now, Table, Value
from gate.rows import moment
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

    `alive`: sync runs. `online`: broker and hub are heard. `cut_ms`: how long there has been no broker,
    0 while there is one, None if there was none since boot.
    """

    alive: bool = False
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
        self.trouble: CacheError | None = None

    def find(self, code_hash: str) -> Known:
        """All that is known of a code; an empty `Known` where the cache has nothing."""
        with self._noting_trouble():
            return self._known(code_hash)
        return Known()

    def _known(self, code_hash: str) -> Known:
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
        with self._noting_trouble():
            rows = self._all("peer_entries", code_hash)
            return tuple(Entry(at=moment(at), gate=gate) for at, gate in rows)
        return ()

    def events(self) -> tuple[Event, ...]:
        """All nights the hub told of, served here or not."""
        with self._noting_trouble():
            return tuple(msgspec.json.decode(row, type=Event) for (row,) in self._all("events"))
        return ()

    def feed(self, event_id: str, now: datetime) -> Feed:
        """How current the cache is for an event."""
        with self._noting_trouble():
            for version, current_at in self._all("feed", event_id):
                age = (now - moment(current_at)).total_seconds()
                return Feed(version=version, age_s=max(0, int(age)))
        return Feed()

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
        with self._noting_trouble():
            for connected, hub_heard, since_ms, beat_ms, boot_id, epoch, acked_seq in self._all("link"):
                broker_ok = bool(connected)
                times = (int(since_ms), int(beat_ms)) if boot_id == now.boot_id else None
                return _link_state(now, times, broker_ok, bool(hub_heard), epoch, int(acked_seq))
        return LinkState()

    def close(self) -> None:
        """Let go of the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextlib.contextmanager
    def view(self) -> Iterator[None]:
        """One moment of the cache for everything read inside, whatever sync writes meanwhile.

        :raises CacheError: on leaving, if anything inside could not be read. What was answered
            then counts for nothing: a part of a cache is no cache.
        """
        self.trouble = None
        self._begin()
        try:
            yield
        finally:
            self._end()
        if self.trouble is not None:
            raise self.trouble

    def _begin(self) -> None:
        with self._noting_trouble():
            self._open()
            if self._db is not None:
                self._db.execute("begin")

    def _end(self) -> None:
        with self._noting_trouble():
            if self._db is not None and self._db.in_transaction:
                self._db.execute("rollback")

    def _all(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with self._noting_trouble():
            self._open()
            return self._db.execute(SQL[query], parameters).fetchall() if self._db else []
        return []

    @contextlib.contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        """Keep what goes wrong in `trouble`; values that cannot be read are trouble as well."""
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            self.close()
            self.trouble = CacheError(
                f"{self.path}: {error}. Tickets cannot be looked up. Restart maguey-sync to fetch them again."
            )

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


def _link_state(  # noqa: PLR0913, PLR0917 - the columns of one row
    now: Now, times: tuple[int, int] | None, connected: bool, hub_heard: bool, epoch: str | None, acked: int
) -> LinkState:
    """`times`: since when there is (or is not) a broker, and sync's last heartbeat; None: of another boot."""
    if times is None:
        return LinkState(epoch=epoch, acked_seq=acked)
    since_ms, beat_ms = times
    alive = now.monotonic_ms - beat_ms < BEAT_LOST_MS
    broker = alive and connected
    cut = 0 if broker else now.monotonic_ms - (since_ms if alive else beat_ms)
    return LinkState(alive=alive, online=broker and hub_heard, cut_ms=cut, epoch=epoch, acked_seq=acked)


def screen_link(state: LinkState, waiting: int, feed: Feed) -> Link:
    """The link as the screen tells it."""
    return Link(online=state.online, waiting=waiting, cache_age_s=feed.age_s)
