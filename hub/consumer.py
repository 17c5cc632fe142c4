"""The one active consumer of a venue: messages in, commit, then acknowledgements out.

The order is what makes it safe: a message is acknowledged to the broker, and a scan to its
gate, only after the commit. What was not committed is still the broker's or the gate's, and
comes again; what comes again changes nothing (invariants 1, 2 and 5).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable

import psycopg
import structlog

from gate.outage import Outage
from hub.alerts import Alerts
from hub.broker import Broker, Line, Message, client_id, outage_of
from hub.claims import answering
from hub.config import HubConfig
from hub.database import Connection, connect, in_words, is_outage, one_line
from hub.errors import DatabaseDownError
from hub.feed import publishing
from hub.ingest import Batch, merge, read, write
from hub.queries import query
from hub.statuses import hearing
from hub.waiting import watching
from sync.wire import Ack, Topics, encode

BATCH_RECORDS = 500
"""About as many records as one transaction takes; more gain nothing (measured, quality 7.3)."""
_POLL_SECONDS = 0.5
_RETRY_SECONDS = 1.0
FROZEN_SECONDS = 5
"""A hub that says nothing to Postgres for so long is the active one no more; it looks twice a second."""

_log = structlog.get_logger()


class Consumer:
    """Runs in its own thread until `stop`; survives the broker's and the database's absence.

    :param now: seconds, of a clock that never jumps.
    """

    def __init__(self, config: HubConfig, broker: Line, now: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._broker = broker
        self._topics = Topics(venue=config.venue)
        self._alerts = Alerts(broker, self._topics, now)
        self._pending: list[Message] = []
        self._contents: list[Batch] = []
        self._greeted = 0
        self._now = now
        self._began = now()

    @property
    def was_frozen(self) -> bool:
        """Whether so long ago was the last turn, or try at one, that another may be the active one."""
        return self._now() - self._began > FROZEN_SECONDS

    def trying(self) -> None:
        """It is awake, if without Postgres: that alone makes nobody else the active one."""
        self._began = self._now()

    def serve(self, conn: Connection, stop: threading.Event, outage: Outage) -> None:
        """Take in messages over one connection to Postgres until `stop`, or until it was frozen.

        :raises psycopg.Error, DatabaseDownError: the connection failed; call again with another
            one: what was not committed is kept.
        """
        while not stop.is_set() and not self.was_frozen:
            self.trying()
            try:
                self.turn(conn, _POLL_SECONDS)
            except psycopg.errors.LockNotAvailable:
                continue  # what was not committed is kept; `hub.waiting` says who is in the way
            outage.over()

    def turn(self, conn: Connection, wait_s: float) -> None:
        """Once round: messages, alerts, and a look after both connections.

        :param wait_s: how long to wait for a message.
        :raises psycopg.Error: as `serve`.
        """
        self._broker.tend()
        self._acknowledge_again(conn)
        if self._take(wait_s):
            self._commit(conn)
        else:
            # a lock held by a dead connection is no lock: notice while idle, too
            conn.execute(query("still_there"))
        self._alerts.tell(conn)

    def _acknowledge_again(self, conn: Connection) -> None:
        """After each connect: a broker that crashed has lost the retained acknowledgements."""
        if self._greeted == (connects := self._broker.connects):
            return
        for row in conn.execute(query("newest_watermarks"), {"venue": self._config.venue}).fetchall():
            ack = Ack(epoch=row["epoch"], seq=row["seq"])
            self._broker.publish(self._topics.ack(row["gate_id"]), encode(ack), retain=True)
        self._greeted = connects

    def _take(self, wait_s: float) -> bool:
        """Wait for a message, then take whatever else is there; no lingering for more."""
        if not self._pending:
            with contextlib.suppress(queue.Empty):
                self._add(self._broker.inbox.get(timeout=wait_s))
        with contextlib.suppress(queue.Empty):
            while self._pending and sum(len(batch.records) for batch in self._contents) < BATCH_RECORDS:
                self._add(self._broker.inbox.get_nowait())
        return bool(self._pending)

    def _add(self, message: Message) -> None:
        self._pending.append(message)
        self._contents.append(read(message, self._topics))

    def _commit(self, conn: Connection) -> None:
        batch = merge(self._contents)
        acks = write(conn, batch)
        self._broker.acknowledge(*self._pending)
        self._pending, self._contents = [], []
        for gate_id, ack in acks:
            self._broker.publish(self._topics.ack(gate_id), encode(ack), retain=True)
        if any(record.record == "event" for record in batch.records):
            self._alerts.hurry()


def run(config: HubConfig, stop: threading.Event) -> None:
    """Be the venue's consumer, or stand by until the active one is gone; returns at `stop`."""
    outage = Outage("Postgres")
    with contextlib.ExitStack() as active:
        consumer: Consumer | None = None
        while not stop.is_set():
            if consumer is not None and consumer.was_frozen:
                # its clients would throw out those of the hub that took over, and be thrown out by them
                active.close()
                consumer = None
            if consumer is not None:
                consumer.trying()
            try:
                with contextlib.closing(connect(config.postgres.dsn, autocommit=True)) as conn:
                    conn.execute(query("is_migrated"))
                    conn.execute(query("end_when_frozen"), {"frozen_s": str(FROZEN_SECONDS)})
                    if not _is_active(conn, config.venue):
                        # somebody else took over while we were away: let go of the session too
                        active.close()
                        consumer = None
                        _stand_by(conn, config.venue, stop)
                    if not stop.is_set():
                        consumer = consumer or _activate(config, active)
                        consumer.serve(conn, stop, outage)
            except (psycopg.Error, DatabaseDownError) as error:
                _keep_going(error, outage)
                if consumer is None or not consumer.was_frozen:
                    stop.wait(_RETRY_SECONDS)


def _keep_going(error: Exception, outage: Outage) -> None:
    if not is_outage(error):
        _log.error("the database refuses the hub's work; trying again", error=one_line(error))
    outage.began(in_words(error))


def _is_active(conn: Connection, venue: str) -> bool:
    row = conn.execute(query("become_active"), {"venue": venue}).fetchone()
    return row is not None and bool(row["mine"])


def _stand_by(conn: Connection, venue: str, stop: threading.Event) -> None:
    _log.info("another hub serves this venue; standing by", venue=venue)
    while not stop.wait(_POLL_SECONDS) and not _is_active(conn, venue):
        pass


def _activate(config: HubConfig, active: contextlib.ExitStack) -> Consumer:
    away = outage_of(config.mqtt)
    scans = Topics(venue=config.venue).scans()
    broker = Broker(config.mqtt, client_id(config.venue), scans, outage=away)
    active.callback(broker.close)
    active.enter_context(publishing(config, broker))
    active.enter_context(hearing(config, away))
    active.enter_context(answering(config, away))
    active.enter_context(watching(config))
    _log.info("taking in scans", venue=config.venue)
    return Consumer(config, broker)
