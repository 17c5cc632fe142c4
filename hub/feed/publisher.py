"""Publishes the admission feed to the gates in version order: Postgres → MQTT.

NOTIFY wakes it, and in case one was missed it looks every few seconds. A delta that a gate misses does no
harm: the retained head shows the gap, and the gate catches up over HTTP.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import structlog
from psycopg.rows import DictRow

from gate.common.foreign import UnreadableError, read_json
from gate.common.outage import SharedOutage
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.notices import wait_for_notice
from hub.db.statements import query
from hub.db.worker import DatabaseWorker
from hub.mqtt.link import HubLink
from sync.wire.messages import DELTA_BYTES, Change, Delta, Head, encode
from sync.wire.topics import Topics

CHANGES_PER_MESSAGE = 50
"""Fewer if they are large: see `DELTA_BYTES`."""
HEAD_SECONDS = 0.2
"""Least time between heads in a rush: each counts all of a night's admissions."""
_POLL_SECONDS = 2.0
_READ_LIMIT = 500
_ALL_HEADS_SECONDS = 30.0
"""How often every head is sent again, so that a gate that missed one is not behind for longer."""

_log = structlog.get_logger()


class Publisher:
    """Publishes what changed since it last looked.

    `published`: the newest version sent, by event.

    :param now: seconds, of a clock that never jumps.
    """

    def __init__(self, broker: HubLink, topics: Topics, now: Callable[[], float] = time.monotonic) -> None:
        self._broker = broker
        self._topics = topics
        self._now = now
        self.published: dict[str, int] = {}
        self._generations: dict[str, int] = {}
        self._stale_heads: set[str] = set()
        self._heads_connect = 0
        self._all_at = now()
        self._heads_at = now() - HEAD_SECONDS

    @property
    def has_stale_heads(self) -> bool:
        """Whether a night has changed since its head was sent."""
        return bool(self._stale_heads)

    def turn(self, conn: Connection, stop: threading.Event) -> None:
        """Publish what is new, then wait until something changes.

        :param conn: in autocommit, and listening.
        """
        self.publish_new(conn)
        if self._now() - self._heads_at >= HEAD_SECONDS:
            self.publish_heads(conn)
            self._heads_at = self._now()
        wait_for_notice(conn, HEAD_SECONDS if self.has_stale_heads else _POLL_SECONDS, stop)

    def publish_new(self, conn: Connection) -> None:
        """Publish every new change. A night seen for the first time gets its head.

        All nights get theirs again every `_ALL_HEADS_SECONDS`, and after each connect: a broker that crashed
        has lost what it retained, or found an older state on its disk.
        """
        again = self._are_heads_due()
        for row in conn.execute(query("current_events")).fetchall():
            event_id, version = row["event_id"], row["version"]
            if self._is_another_feed(event_id, row["generation"], version):
                self.published[event_id], self._generations[event_id] = version, row["generation"]
                self._stale_heads.add(event_id)
            if again:
                self._stale_heads.add(event_id)
            while self.published[event_id] < version and self._publish_some(conn, event_id):
                self._stale_heads.add(event_id)

    def _is_another_feed(self, event_id: str, generation: int, version: int) -> bool:
        """Whether the published version does not count: the night is new, or the database was restored."""
        is_known = self._generations.get(event_id) == generation
        return not is_known or version < self.published[event_id]

    def publish_heads(self, conn: Connection) -> None:
        """Publish the heads of the nights that changed."""
        for event_id in sorted(self._stale_heads):
            row = conn.execute(query("head"), {"event_id": event_id}).fetchone()
            if row is not None:
                head = Head(event_id=event_id, **row)
                self._broker.publish(self._topics.head(event_id), encode(head), retain=True)
        self._stale_heads.clear()

    def _are_heads_due(self) -> bool:
        connects, now = self._broker.connects, self._now()
        is_same = self._heads_connect == connects
        if not self._broker.is_up or (is_same and now - self._all_at < _ALL_HEADS_SECONDS):
            return False
        self._heads_connect, self._all_at = connects, now
        return True

    def _publish_some(self, conn: Connection, event_id: str) -> bool:
        wanted = {"event_id": event_id, "since": self.published[event_id], "limit": _READ_LIMIT}
        rows = conn.execute(query("changes_since"), wanted).fetchall()
        for part in _parts(event_id, rows):
            delta = Delta(event_id=event_id, changes=part, generation=self._generations[event_id])
            self._broker.publish(self._topics.deltas(event_id), encode(delta))
        if rows:
            self.published[event_id] = rows[-1]["version"]
        return bool(rows)


def _parts(event_id: str, rows: list[DictRow]) -> Iterator[tuple[Change, ...]]:
    """Changes grouped into messages. An unreadable change is left out, and ends its message.

    Gates notice the gap, ask over HTTP, and load the whole night if they cannot read it there either.
    """
    part: list[Change] = []
    size = 0
    for row in rows:
        change, length = _readable(event_id, row), len(row["change"].encode())
        has_room = len(part) < CHANGES_PER_MESSAGE and size + length <= DELTA_BYTES
        if part and (change is None or not has_room):
            yield tuple(part)
            part, size = [], 0
        if change is not None:
            part.append(change)
            size += length
    if part:
        yield tuple(part)


def _readable(event_id: str, row: DictRow) -> Change | None:
    try:
        return read_json(row["change"], Change, limit=DELTA_BYTES)
    except UnreadableError as error:
        version = row["version"]
        _log.error("unreadable change left out", event_id=event_id, version=version, error=str(error))
        return None


def feed_worker(config: HubConfig, broker: HubLink, outage: SharedOutage | None = None) -> DatabaseWorker:
    """Publishes the feed over `broker`.

    :param outage: of Postgres.
    """
    publisher = Publisher(broker, Topics(venue=config.venue))
    return DatabaseWorker(
        "feed",
        config.postgres.dsn,
        publisher.turn,
        begin=lambda conn: conn.execute(query("listen")),
        outage=outage,
    )
