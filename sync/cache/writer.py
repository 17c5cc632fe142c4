"""Writes `cache.db`: who the hub says may enter, what other gates admitted, how the link is.

WAL with ``synchronous=NORMAL``: a power cut may cost the last seconds of the cache, which are fetched again;
it never costs a scan, those are in the journal. A snapshot is one transaction, so the door sees the old cache
or the new one and never half of either.

A cache that turns out to be damaged while in use ends sync with `DamagedCacheError`. Restarted, sync sets
the file aside as it opens it (`sync.cache.cache_file`) and fetches everything again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gate.common.foreign import read_json
from gate.common.owned_files import refuse_others
from gate.rules.alert import Alert
from gate.store.link_row import LinkNote
from gate.store.shared_files import database_files, identity
from sync.cache.cache_file import DamagedCacheError, cache_error_in_words, open_cache
from sync.cache.digest import of_rows
from sync.cache.peer_tables import PeerTables, note_revoked
from sync.cache.rows import SQL, as_json, put_counted
from sync.cache.spool import Spool, SpooledSnapshot
from sync.wire.messages import LARGEST, MOST_NIGHTS, Change, FeedPlace, GateConfig, HeldNight

STORE_RETRY_MS = 1_000


class Cache:
    """The cache file.

    :param now: the time, for the name of a damaged file.
    :raises StoreError: from every method, when the file cannot be opened, read or written.
    :raises DamagedCacheError: from every method, when it is damaged; opened again, it is set aside.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = path
        self.spool = Spool(path.with_name(f"{path.stem}.fetched{path.suffix}"))
        with cache_error_in_words(path):
            refuse_others(*database_files(path), *database_files(self.spool.path))
            self._db = open_cache(path, now)
            self._identity = identity(path)
        self.peers = PeerTables(self._transaction)
        """What other gates said."""

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def places(self) -> dict[str, FeedPlace]:
        """How far the feed of each night is, by event id."""
        with cache_error_in_words(self.path):
            return {
                event_id: FeedPlace(generation=generation, version=version)
                for event_id, generation, version in self._db.execute(SQL["feed_places"])
            }

    def unread(self) -> dict[str, str]:
        """What could not be read of each night's list, in words, by event id."""
        with cache_error_in_words(self.path):
            return dict(self._db.execute(SQL["unread"]).fetchall())

    def held(self, now: datetime | None = None) -> tuple[HeldNight, ...]:
        """What the cache holds of each night with a feed, with the digest that the hub's `feed_digest`
        computes.

        Of more than `MOST_NIGHTS`, those that are not over and begin next.
        """
        over = now.astimezone(UTC).isoformat() if now else ""
        with cache_error_in_words(self.path):
            rows = self._db.execute(SQL["held"], (over, MOST_NIGHTS)).fetchall()
        return tuple(
            HeldNight(
                event_id=event_id,
                version=version,
                generation=generation,
                count=count,
                digest=of_rows(((upper << 24) + lower,)),
            )
            for event_id, version, generation, count, upper, lower in rows
        )

    def served(self) -> list[str]:
        """Ids of the events this gate admits to."""
        with cache_error_in_words(self.path):
            return [event_id for (event_id,) in self._db.execute(SQL["served_events"])]

    def link(self) -> LinkNote | None:
        """The last note to the door about the link, None in a new file."""
        with cache_error_in_words(self.path):
            row = self._db.execute(SQL["link"]).fetchone()
            return _read_note(row[0]) if row else None

    def put_config(self, config: GateConfig) -> None:
        """Replace the nights, the names of the gates, and the list of revoked gates.

        A night with a feed keeps its row from there: the configuration may have been requested before a
        cancellation and arrive after it. A night that is no longer served keeps only its name, so that the
        file does not grow with the season.
        """
        with self._transaction() as db:
            served = msgspec.json.encode([event.event_id for event in config.events if event.served]).decode()
            for name in ("forget_admissions", "forget_tables", "forget_feed"):
                db.execute(SQL[name], (served,))
            # these are served, and have their row from the feed
            followed = [event_id for event_id, _, _ in db.execute(SQL["feed_places"])]
            db.execute(SQL["clear_events"], (msgspec.json.encode(followed).decode(),))
            db.execute(SQL["clear_gate_names"])
            db.executemany(SQL["add_event"], [(e.event_id, as_json(e)) for e in config.events])
            db.executemany(SQL["put_gate_name"], list(config.gate_names.items()))
            note_revoked(db, config.revoked)

    def put_snapshot(  # noqa: PLR0913, PLR0917 – a row of `feed`, and what it is of
        self,
        event_id: str,
        version: int,
        spooled: SpooledSnapshot,
        at: datetime,
        generation: int = 1,
        unread: str = "",
        *,
        is_newest: bool = True,
    ) -> None:
        """Replace everything of an event by a snapshot in one transaction, then remove the snapshot's file.

        Unchanged rows are not written. After a `StoreError` the same snapshot can be put again.

        :param unread: what could not be read of it, in words.
        :param is_newest: nothing newer is known: the night is current as of now.
        """
        moment = at.isoformat()
        with cache_error_in_words(self.path), self._attached(spooled.path), self._transaction() as db:
            db.execute(SQL["drop_admissions"], (event_id,))
            db.execute(SQL["drop_tables"], (event_id,))
            for name in ("take_events", "take_tables", "take_admissions"):
                db.execute(SQL[name])
            row = (event_id, version, generation, moment, moment, unread, is_newest)
            db.execute(SQL["put_feed"], row)
            # for every night: a code may have moved here from another
            db.execute(SQL["count_all_admissions"])
            db.execute(SQL["count_all_others"])
        spooled.discard()

    def put_changes(
        self, event_id: str, changes: Sequence[Change], at: datetime, *, is_newest: bool = True
    ) -> None:
        """Apply changes that follow the version held of an event.

        :param is_newest: nothing newer is known: the night is current as of now.
        """
        with self._transaction() as db:
            for change in changes:
                put_counted(db, change.row)
            moment = at.isoformat()
            current_at = moment if is_newest else None
            db.execute(SQL["step_feed"], (changes[-1].version, moment, current_at, event_id))

    def put_link(
        self, note: LinkNote, current_at: datetime | None, nights: Collection[str] | None = None
    ) -> None:
        """Leave the door a note on the link.

        :param current_at: the time as of which nights are known to be current, None if that is unknown.
        :param nights: those nights; None: every night.
        """
        with self._transaction() as db:
            db.execute(SQL["put_link"], (as_json(note),))
            if current_at is not None:
                current = self.places() if nights is None else nights
                these = msgspec.json.encode(list(current)).decode()
                db.execute(SQL["feed_is_current"], (current_at.isoformat(), these))

    def put_lent(self, code_hash: str, event_id: str, to_gate: str, at: datetime) -> None:
        """Record that the hub may give one of this gate's own tickets to another gate, for good.

        Durable when it returns, even across a power cut: the hub relies on it.
        """
        with cache_error_in_words(self.path):
            self._db.execute("pragma synchronous=full")
            try:
                with self._transaction() as db:
                    db.execute(SQL["put_lent"], (code_hash, event_id, to_gate, at.isoformat()))
            finally:
                self._db.execute("pragma synchronous=normal")

    def add_lent(self, config: GateConfig, at: datetime) -> None:
        """Record all of this gate's own tickets that the hub has lent; drop those of past nights."""
        nights = [*config.lent, *(event.event_id for event in config.events)]
        rows = [
            (code, event_id, "", at.isoformat()) for event_id in config.lent for code in config.lent[event_id]
        ]
        with self._transaction() as db:
            db.execute(SQL["drop_old_lent"], (msgspec.json.encode(nights).decode(),))
            db.executemany(SQL["put_lent"], rows)

    def put_alert(self, alert: Alert) -> None:
        """Store an alert for the door to show; a repetition changes nothing."""
        with self._transaction() as db:
            db.execute(SQL["put_alert"], (alert.id, as_json(alert)))
            db.execute(SQL["drop_old_alerts"])

    @contextlib.contextmanager
    def _attached(self, path: Path) -> Iterator[None]:
        if not path.exists():  # SQLite would make an empty one
            raise DamagedCacheError(
                f"{path} was removed. maguey-sync has to be restarted; it fetches it again."
            )
        self._db.execute("attach ? as spooled", (str(path),))
        try:
            yield
        finally:
            self._db.execute("detach spooled")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with cache_error_in_words(self.path):
            if identity(self.path) != self._identity:
                raise DamagedCacheError(
                    f"{self.path}: it, its -wal or its -shm was moved or deleted while in use. maguey-sync "
                    "has to be restarted; it fetches from the hub what is missing."
                )
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("rollback")
                raise


def _read_note(text: str) -> LinkNote | None:
    """The note; None if an earlier version wrote it, for a new one is written within a second."""
    try:
        return read_json(text, LinkNote, limit=LARGEST)
    except ValueError:
        return None
