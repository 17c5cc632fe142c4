"""Writes `cache.db`: what the hub says may enter, what other gates admitted, how the link is.

WAL with ``synchronous=NORMAL``: a power cut may cost the last seconds of the cache, which
are fetched again; it never costs a scan, those are in the journal. A snapshot is one
transaction, so the door sees the old cache or the new one and never half of either.

A damaged file is set aside when it is opened, and all of it is fetched again from the hub. One
that turns out to be damaged in use ends sync with `DamagedCacheError`: started anew, it begins there.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import structlog
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from gate.common.errors import MagueyError, StoreError
from gate.common.foreign import read_json
from gate.common.owned_files import refuse_others
from gate.rules.alert import Alert
from gate.rules.model import FeedRow, ScanRecord
from gate.store.file_errors import DamagedError, file_error_in_words
from gate.store.link_row import LinkNote
from gate.store.shared_files import companions, identity, share
from sync.cache import peer_tables as hearsay
from sync.cache.digest import of_rows
from sync.cache.rows import SQL, as_json, put_counted
from sync.cache.spool import Spool, Spooled
from sync.wire.messages import LARGEST, MOST_NIGHTS, Change, FeedPlace, GateConfig, Held

STORE_RETRY_MS = 1_000


LOG_BYTES = 4 * 1024 * 1024
"""What the cache's log keeps of the disk; taking over a large night makes it grow beyond that for a while."""
KEPT_PEERS = timedelta(days=30)
"""How long it is known what other gates admitted: longer than any night, and than any journal is kept."""

_MIGRATIONS = Migrations("cache")
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})


@_MIGRATIONS()
def first(db: Database) -> None:
    """The tables as they first were."""
    _run(db, "schema")


@_MIGRATIONS()
def annulments(db: Database) -> None:
    """What other gates annulled: their scan may come after it, or again."""
    _run(db, "annulments")


@_MIGRATIONS()
def second_layout(db: Database) -> None:
    """The link as one row, lent tickets, alerts; generations and shares of the feed."""
    _run(db, "second_layout")


@_MIGRATIONS()
def third_layout(db: Database) -> None:
    """What of a night's list could not be read here."""
    _run(db, "third_layout")


@_MIGRATIONS()
def fourth_layout(db: Database) -> None:
    """What other gates said: numbered, each gate's by itself; the gates that are revoked."""
    _run(db, "fourth_layout")


def _run(db: Database, name: str) -> None:
    for statement in SQL[name].split(";\n"):
        db.execute(statement)


class DamagedCacheError(MagueyError):
    """The cache turned out to be damaged while it was in use."""


class Cache:
    """The cache file.

    :param now: the time, for the name of a damaged file.
    :raises StoreError: from every method, when the file cannot be opened, read or written.
    :raises DamagedCacheError: from every method, when it is damaged; opened anew it is set aside.
    """

    def __init__(self, path: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = path
        self.spool = Spool(path.with_name(f"{path.stem}.fetched{path.suffix}"))
        with self._in_words():
            refuse_others(*companions(path), *companions(self.spool.path))
            why = _damage(path)
            if why is not None:
                _set_aside(path, why, f"{now():%Y%m%dT%H%M%SZ}")
            share(path)
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")
            self._db.execute(f"pragma journal_size_limit={LOG_BYTES}")
            _MIGRATIONS.apply(Database(self._db))
            self._identity = identity(path)
        self.hearsay = hearsay.Hearsay(self._transaction)
        """What other gates said."""

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def places(self) -> dict[str, FeedPlace]:
        """How far each night is that is followed, by event id."""
        with self._in_words():
            return {
                event_id: FeedPlace(generation=generation, version=version)
                for event_id, generation, version in self._db.execute(SQL["feed_places"])
            }

    def versions(self) -> dict[str, int]:
        """Feed version held, by event id."""
        return {event_id: place.version for event_id, place in self.places().items()}

    def unread(self) -> dict[str, str]:
        """What of the lists held could not be read, in words, by event id."""
        with self._in_words():
            return dict(self._db.execute(SQL["unread"]).fetchall())

    def held(self, now: datetime | None = None) -> tuple[Held, ...]:
        """What is held of each night that is followed, as the hub's `feed_digest` has it.

        Of more than `MOST_NIGHTS` those that are not over and come next.
        """
        over = now.astimezone(UTC).isoformat() if now else ""
        with self._in_words():
            rows = self._db.execute(SQL["held"], (over, MOST_NIGHTS)).fetchall()
        return tuple(
            Held(
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
        with self._in_words():
            return [event_id for (event_id,) in self._db.execute(SQL["served_events"])]

    def link(self) -> LinkNote | None:
        """What the door was last told of the link, None in a new file."""
        with self._in_words():
            row = self._db.execute(SQL["link"]).fetchone()
            return _read_note(row[0]) if row else None

    def put_config(self, config: GateConfig) -> None:
        """Replace the nights, the names of the gates, and which of them are revoked.

        A night that is followed by its feed keeps what the feed said: the configuration may have
        been asked for before, and have arrived after, its cancellation. Of a night that is not served any
        more nothing is kept but its name, so that the file does not grow with the season.
        """
        with self._transaction() as db:
            served = msgspec.json.encode([event.event_id for event in config.events if event.served]).decode()
            for name in ("forget_admissions", "forget_tables", "forget_feed"):
                db.execute(SQL[name], (served,))
            # what is followed now is served, and has its row from the feed
            followed = [event_id for event_id, _, _ in db.execute(SQL["feed_places"])]
            db.execute(SQL["clear_events"], (msgspec.json.encode(followed).decode(),))
            db.execute(SQL["clear_gate_names"])
            db.executemany(SQL["add_event"], [(e.event_id, as_json(e)) for e in config.events])
            db.executemany(SQL["put_gate_name"], list(config.gate_names.items()))
            hearsay.revoke(db, config.revoked)

    def put_snapshot(self, event_id: str, version: int, rows: Iterable[FeedRow], at: datetime) -> None:
        """Replace all of an event by rows that are at hand."""
        self.take(event_id, version, self.spool.fill(rows), at)

    def take(  # noqa: PLR0913, PLR0917 – a row of `feed`, and what it is of
        self,
        event_id: str,
        version: int,
        spooled: Spooled,
        at: datetime,
        generation: int = 1,
        unread: str = "",
        *,
        is_newest: bool = True,
    ) -> None:
        """Replace all of an event by a spooled snapshot in one transaction, then let go of it.

        What has not changed is not written again. After a `StoreError` it can be given again.

        :param unread: in words, what of it could not be read.
        :param is_newest: nothing newer is known of: what is held is current as of now.
        """
        moment = at.isoformat()
        with self._in_words(), self._attached(spooled.path), self._transaction() as db:
            db.execute(SQL["drop_admissions"], (event_id,))
            db.execute(SQL["drop_tables"], (event_id,))
            for name in ("take_events", "take_tables", "take_admissions"):
                db.execute(SQL[name])
            row = (event_id, version, generation, moment, moment, unread, is_newest)
            db.execute(SQL["put_feed"], row)
            # of every night: a code may have come from another
            db.execute(SQL["count_all_admissions"])
            db.execute(SQL["count_all_others"])
        spooled.discard()

    def put_changes(
        self, event_id: str, changes: Sequence[Change], at: datetime, *, is_newest: bool = True
    ) -> None:
        """Apply changes that follow on what is held of an event; then the version of the last is held.

        :param is_newest: nothing newer is known of: what is held is current as of now.
        """
        with self._transaction() as db:
            for change in changes:
                put_counted(db, change.row)
            moment = at.isoformat()
            current_at = moment if is_newest else None
            db.execute(SQL["step_feed"], (changes[-1].version, moment, current_at, event_id))

    def put_peers(self, records: Iterable[ScanRecord]) -> set[str]:
        """Remember what other gates admitted; an annulment takes its admission back
        (`sync.cache.peer_tables`).

        The caller vouches for `gate_id`. Gives the gates of which something had to go to make room.
        """
        told = list(records)
        with self._transaction() as db:
            hearsay.put(db, told)
            return self.hearsay.room.make(db, {record.gate_id for record in told}, len(told))

    def forget_peers(self, now: datetime) -> None:
        """Let go of what other gates admitted long ago.

        It counts from when this was first called after it came, not from what either gate's clock said then.

        :param now: a time that the hub confirmed.
        """
        noted, since = now.astimezone(UTC).isoformat(), (now - KEPT_PEERS).astimezone(UTC).isoformat()
        with self._transaction() as db:
            for table in hearsay.TABLES:
                db.execute(SQL[f"note_{table}"], (noted,))
                db.execute(SQL[f"forget_{table}"], (since,))

    def put_link(
        self, note: LinkNote, current_at: datetime | None, nights: Collection[str] | None = None
    ) -> None:
        """Tell the door how the link is.

        :param current_at: as of then what is held is known to be current.
        :param nights: of these nights, None: of every one.
        """
        with self._transaction() as db:
            db.execute(SQL["put_link"], (as_json(note),))
            if current_at is not None:
                current = self.places() if nights is None else nights
                these = msgspec.json.encode(list(current)).decode()
                db.execute(SQL["feed_is_current"], (current_at.isoformat(), these))

    def put_lent(self, code_hash: str, event_id: str, to_gate: str, at: datetime) -> None:
        """One of this gate's own tickets is the hub's to give to another gate, for good.

        On the disk when it returns, also after a power cut: the hub relies on it.
        """
        with self._in_words():
            self._db.execute("pragma synchronous=full")
        try:
            with self._transaction() as db:
                db.execute(SQL["put_lent"], (code_hash, event_id, to_gate, at.isoformat()))
        finally:
            with self._in_words():
                self._db.execute("pragma synchronous=normal")

    def add_lent(self, config: GateConfig, at: datetime) -> None:
        """All of this gate's own tickets that the hub says it lent; of nights that are past, none."""
        nights = [*config.lent, *(event.event_id for event in config.events)]
        rows = [
            (code, event_id, "", at.isoformat()) for event_id in config.lent for code in config.lent[event_id]
        ]
        with self._transaction() as db:
            db.execute(SQL["drop_old_lent"], (msgspec.json.encode(nights).decode(),))
            db.executemany(SQL["put_lent"], rows)

    def put_alert(self, alert: Alert) -> None:
        """Something the door is to show; told again it changes nothing."""
        with self._transaction() as db:
            db.execute(SQL["put_alert"], (alert.id, as_json(alert)))
            db.execute(SQL["drop_old_alerts"])

    @contextlib.contextmanager
    def _attached(self, path: Path) -> Iterator[None]:
        if not path.exists():  # SQLite would make an empty one
            raise DamagedCacheError(f"{path} was removed. Started anew, maguey-sync fetches it again.")
        self._db.execute("attach ? as spooled", (str(path),))
        try:
            yield
        finally:
            self._db.execute("detach spooled")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._in_words():
            if identity(self.path) != self._identity:
                raise DamagedCacheError(
                    f"{self.path}: it, its -wal or its -shm was moved or deleted while in use. maguey-sync "
                    "has to start anew; it fetches from the hub what is missing."
                )
            self._db.execute("begin immediate")
            try:
                yield self._db
                self._db.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("rollback")
                raise

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                raise DamagedCacheError(
                    f"{self.path}: {error}. The cache is damaged. maguey-sync has to start anew: it then "
                    "sets the file aside and fetches everything from the hub."
                ) from error
            raise StoreError(
                f"{self.path}: {error}. The gate decides from what it has. Check the disk (df -h, dmesg)."
            ) from error


def _read_note(text: str) -> LinkNote | None:
    """What a version before this one wrote is worth nothing: it is written anew within a second."""
    try:
        return read_json(text, LinkNote, limit=LARGEST)
    except ValueError:
        return None


def _damage(path: Path) -> str | None:
    """What is damaged about a cache; None: it is sound, or not there yet. Changes nothing of it."""
    if not path.exists() or not path.stat().st_size:
        return None
    try:
        with (
            file_error_in_words(path),
            contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
        ):
            (told,) = db.execute(SQL["integrity"]).fetchone()
            if told != "ok":
                return str(told)
            spoiled = _MIGRATIONS.pending(Database(db)) == [] and db.execute(SQL["spoiled_rows"]).fetchone()
            return "holds rows that are none" if spoiled else None
    except DamagedError as error:
        return str(error)
    except StoreError:
        return None  # the disk: whoever opens the file next says so in the words of a cache


def _set_aside(path: Path, why: str, stamp: str) -> None:
    """Move a damaged cache away, the log first: without it the file is only older.

    Only the newest is kept. Nothing in it is not at the hub.
    """
    for older in path.parent.glob(f"{path.stem}.damaged-*"):
        older.unlink()
    for end in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(
                path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}{end}")
            )
    structlog.get_logger().error(
        "the cache is damaged: it is set aside, and everything is fetched again from the hub. "
        "The card may be failing: look into dmesg.",
        why=why,
        set_aside=f"{path.stem}.damaged-{stamp}{path.suffix}",
    )
