"""The door's read-only view of `cache.db`, which never stops the door.

Sync writes the file. If it does not exist yet or cannot be read, the door knows no tickets and says so
(`CacheReader.trouble`), and looks again by itself. Whatever one scan needs is read inside `CacheReader.view`,
which gives all of it or nothing.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gate.common.errors import CacheError
from gate.common.named_queries import load_queries
from gate.common.value import Value
from gate.rules.alert import Alert
from gate.rules.history import entries_of, without_annulled
from gate.rules.home_gate import Division
from gate.rules.model import Admission, Entry, Event, Heard, Measure, Now, Table
from gate.store.link_row import Behind, LinkNote, last_known
from gate.store.rows import moment
from gate.store.shared_files import FileIdentity, identity

SQL = load_queries("gate", "cache.sql")
Rows = list[tuple[Any, ...]]
T = TypeVar("T")
_UNREADABLE = (sqlite3.Error, OSError, ValueError, TypeError, RecursionError)
_ADMISSION = msgspec.json.Decoder(Admission)
_EVENT = msgspec.json.Decoder(Event)
_TABLE = msgspec.json.Decoder(Table)
_LINK = msgspec.json.Decoder(LinkNote)
_ALERT = msgspec.json.Decoder(Alert)
BEAT_LOST_MS = 5_000
"""Sync writes its heartbeat every second; if it is this old, sync is gone or wedged."""
STALE_MS = 10_000
"""How long a list must have been known to be behind before the gate says so (domain 2.3)."""


class Known(Value, frozen=True):
    """What the cache knows about one code, without the admissions that their gate has annulled."""

    admission: Admission | None = None
    table: Table | None = None
    peers: tuple[Entry, ...] = ()


class Feed(Value, frozen=True):
    """How current the cache is for an event. `age_s`: seconds since it was last known to be current."""

    version: int | None = None
    age_s: int | None = None


class LinkState(Value, frozen=True):
    """The link as sync reports it.

    `alive`: sync runs. `online`: broker and hub are heard. `cut_ms`: how long there has been no broker,
    0 while there is one, None if there was none since boot. `answered_ms`: when the hub last answered on the
    path that claims take, None unless sync is connected now. `measure`, `heard`, `hub_seq`,
    `lent_as_of`, `behind`, `flooding`, `unlisted`: as in `gate.store.link_row.LinkNote`.
    """

    alive: bool = False
    online: bool = False
    cut_ms: int | None = None
    epoch: str | None = None
    acked_seq: int = 0
    hub_seq: int = 0
    answered_ms: int | None = None
    measure: Measure | None = None
    heard: tuple[Heard, ...] = ()
    lent_as_of: dict[str, Division] = {}
    behind: dict[str, Behind] = {}
    flooding: tuple[str, ...] = ()
    unlisted: bool = False


class CacheReader:
    """Reads the cache file, which may appear, vanish and be replaced at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._identity: FileIdentity | None = None
        self._viewing = False
        self.trouble: CacheError | None = None

    def find(self, code_hash: str) -> Known:
        """All that is known about a code; an empty `Known` if the cache has nothing."""
        known = self._read("known", _known, code_hash)
        gone = [entry for entry in entries_of(known.admission) if self._is_annulled(entry)]
        return (
            msgspec.structs.replace(known, admission=without_annulled(known.admission, gone))
            if gone
            else known
        )

    def _is_annulled(self, entry: Entry) -> bool:
        """Whether an entry's gate has reported its annulment, of which the hub may not have heard yet."""
        return bool(entry.scan) and self._read("is_annulled", bool, entry.scan, entry.gate)

    def is_lent(self, code_hash: str) -> bool:
        """Whether this gate, the ticket's home, has lent it to the hub (`gate.rules.home_gate`)."""
        return self._read("is_lent", bool, code_hash)

    def events(self) -> tuple[Event, ...]:
        """All nights that the hub sent, served here or not."""
        return self._read("events", lambda rows: tuple(_EVENT.decode(row) for (row,) in rows))

    def feed(self, event_id: str, now: datetime) -> Feed:
        """How current the cache is for an event."""
        return self._read("feed", lambda rows: _feed(rows, now), event_id)

    def unread(self) -> dict[str, str]:
        """By event id, what sync could not read of the hub's lists, in words."""
        return self._read("unread", dict)

    def companions(self, reservation_id: str) -> dict[str, bool]:
        """Guests of a table whom the hub does not count as in: whether another gate let them in."""
        return self._read(
            "companions", lambda rows: {code_hash: bool(there) for code_hash, there in rows}, reservation_id
        )

    def entered(self, event_id: str) -> int:
        """How many guests of an event are in, as far as the hub knows."""
        return self._read("entered", lambda rows: sum(int(count) for (count,) in rows), event_id)

    def gate_names(self) -> dict[str, str]:
        """What people call the gates, by id."""
        return self._read("gate_names", dict)

    def link(self, now: Now) -> LinkState:
        """The link as sync reports it; a silent sync counts as no link."""
        return self._read("link", lambda rows: _link_state(rows, now))

    def newest_alert(self) -> int | None:
        """The number of the newest alert, 0 if there is none; None if it cannot be read."""
        return self._read("newest_alert", lambda rows: int(rows[0][0]) if rows else None)

    def alerts(self, after: int) -> list[tuple[int, Alert]]:
        """The hub's alerts after that number, oldest first."""
        return self._read("alerts", lambda rows: [(int(n), _ALERT.decode(row)) for n, row in rows], after)

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextlib.contextmanager
    def view(self) -> Iterator[None]:
        """Everything read inside is of one moment, whatever sync writes meanwhile.

        :raises CacheError: on leaving, if anything inside could not be read. Discard what was read, because
            part of a cache must not decide anything.
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
        try:
            self._open()
            if self._db is not None:
                self._db.execute("begin")
        except _UNREADABLE as error:
            self._give_up(error)
        self._viewing = True

    def _end(self) -> None:
        self._viewing = False
        try:
            if self._db is not None:
                self._db.execute("rollback")
        except _UNREADABLE as error:
            self._give_up(error)

    def _read(self, query: str, make: Callable[[Rows], T], *parameters: object) -> T:
        """What `make` makes of a query's rows; of no rows, if there is no file or it cannot be read.

        Values that cannot be read are trouble, too. Inside a view the file is not opened again, so that
        everything is of one file and one moment.
        """
        try:
            if not self._viewing:
                self._open()
            if self._db is not None:
                return make(self._db.execute(SQL[query], parameters).fetchall())
        except _UNREADABLE as error:
            self._give_up(error)
        return make([])

    def _give_up(self, error: Exception) -> None:
        self.close()
        self.trouble = CacheError(
            f"{self.path}: {error}. Tickets cannot be looked up. Restart maguey-sync to fetch them again."
        )

    def _open(self) -> None:
        """Open the file, or open it again if another has replaced it."""
        found = identity(self.path)
        if not found[0]:
            self.close()
        elif self._db is None or found != self._identity:
            self.close()
            self._db = sqlite3.connect(
                f"file:{self.path}?mode=ro", uri=True, timeout=0.2, isolation_level=None
            )
            self._db.execute(SQL["data_version"]).fetchone()  # makes the -wal and -shm, if nobody has yet
            self._identity = identity(self.path)


def _known(rows: Rows) -> Known:
    """Reads the rows of the query `known`: what the hub says of a code, and its entries at other gates."""
    peers = tuple(
        Entry(at=moment(at), gate=gate, scan=scan) for _, _, at, gate, scan in rows if at is not None
    )
    for admission, table, at, *_ in rows:
        if at is None:
            return Known(
                admission=_ADMISSION.decode(admission),
                table=_TABLE.decode(table) if table else None,
                peers=peers,
            )
    return Known(peers=peers)


def _feed(rows: Rows, now: datetime) -> Feed:
    for version, current_at in rows:
        age = (now - moment(current_at)).total_seconds()
        return Feed(version=version, age_s=max(0, int(age)))
    return Feed()


def _link_state(rows: Rows, now: Now) -> LinkState:
    """Times of another boot say nothing about now."""
    for (row,) in rows:
        note = _LINK.decode(row)
        known = LinkState(
            epoch=note.epoch,
            acked_seq=note.acked_seq,
            hub_seq=note.hub_seq,
            measure=note.measure,
            heard=note.heard,
            lent_as_of=note.lent_as_of,
            behind=note.behind,
        )
        if note.boot_id != now.boot_id:
            return msgspec.structs.replace(known, measure=last_known(note), behind=_since_before(note, now))
        alive = now.monotonic_ms - note.beat_ms < BEAT_LOST_MS
        broker = alive and note.connected
        return msgspec.structs.replace(
            known,
            alive=alive,
            online=broker and note.hub_heard,
            cut_ms=0 if broker else now.monotonic_ms - (note.since_ms if alive else note.beat_ms),
            answered_ms=note.answered_ms if broker else None,
            flooding=note.flooding if alive else (),
            unlisted=alive and note.unlisted,
        )
    return LinkState()


def _since_before(note: LinkNote, now: Now) -> dict[str, Behind]:
    """What a list lacked before this boot it still lacks, for longer than `STALE_MS` by now."""
    since_ms = now.monotonic_ms - STALE_MS
    return {
        event_id: msgspec.structs.replace(behind, since_ms=since_ms)
        for event_id, behind in note.behind.items()
    }


def is_stale(state: LinkState, event_id: str, now_ms: int) -> bool:
    """Whether a night's list has been known to be behind for so long that the gate says so (domain 2.3)."""
    behind = state.behind.get(event_id)
    return behind is not None and now_ms - behind.since_ms >= STALE_MS


def is_isolated(state: LinkState, after_ms: float) -> bool:
    """Whether there has been no broker for over `after_ms` (domain 2.3, situation 3), or since boot."""
    return state.cut_ms is None or state.cut_ms > after_ms
