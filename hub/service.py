"""`maguey-hub ingest`: one hub of the venue is active and runs everything here; the others stand by."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import structlog

from gate.common.outage import SharedOutage
from hub.claims.answers import claims_worker
from hub.config import HubConfig
from hub.db.connection import Connection, connect, database_error_in_words, is_outage, one_line
from hub.db.lock_waits import lock_watcher
from hub.db.statements import query
from hub.errors import DatabaseDownError
from hub.feed.publisher import feed_worker
from hub.gates.status_listener import status_worker
from hub.ingest.consumer import FROZEN_SECONDS, WORKER, Consumer
from hub.ingest.settle_boots import settle_worker
from hub.mqtt.link import BrokerLink, client_id, outage_of
from hub.mqtt.subscriptions import VenueGates
from sync.wire.topics import Topics

HANG_SECONDS = 20
"""Longest time of a statement, 100 times what a batch takes. A gate whose scans need more is set aside."""
_POLL_SECONDS = 0.5
_RETRY_SECONDS = 1.0

_log = structlog.get_logger()


def run(config: HubConfig, stop: threading.Event) -> None:
    """Be the venue's active hub, or stand by until that one is gone; returns at `stop`."""
    outage = SharedOutage("Postgres")
    with contextlib.ExitStack() as active:
        consumer: Consumer | None = None
        while not stop.is_set():
            if consumer is not None and consumer.was_frozen:
                # another hub may be active by now: two with the same client ids would disconnect each other
                active.close()
                consumer = None
            if consumer is not None:
                consumer.note_awake()
            try:
                with contextlib.closing(connect(config.postgres.dsn, autocommit=True)) as conn:
                    conn.execute(query("is_migrated"))
                    conn.execute(query("end_when_frozen"), {"frozen_s": str(FROZEN_SECONDS)})
                    conn.execute(query("end_what_hangs"), {"hang_s": str(HANG_SECONDS)})
                    if not _is_active(conn, config.venue):
                        # another hub took over meanwhile: also close the broker's sessions
                        active.close()
                        consumer = None
                        outage.over(WORKER)
                        _stand_by(conn, config.venue, stop)
                    if not stop.is_set():
                        consumer = consumer or _activate(config, active, outage)
                        consumer.serve(conn, stop, outage)
            except (psycopg.Error, DatabaseDownError) as error:
                _report(error, outage)
                if consumer is None or not consumer.was_frozen:
                    stop.wait(_RETRY_SECONDS)


def _report(error: Exception, outage: SharedOutage) -> None:
    if is_outage(error):
        outage.began(WORKER, database_error_in_words(error))
    else:
        outage.over(WORKER)
        _log.error("work refused by database", error=one_line(error))


def _is_active(conn: Connection, venue: str) -> bool:
    row = conn.execute(query("become_active"), {"venue": venue}).fetchone()
    return row is not None and bool(row["mine"])


def _stand_by(conn: Connection, venue: str, stop: threading.Event) -> None:
    _log.info("standby started", venue=venue)
    while not stop.wait(_POLL_SECONDS) and not _is_active(conn, venue):
        pass


def _activate(config: HubConfig, active: contextlib.ExitStack, outage: SharedOutage) -> Consumer:
    broker_outage, venue_gates = outage_of(config.mqtt), VenueGates()
    name, scans = client_id(config.venue), Topics(venue=config.venue).scans()
    broker = BrokerLink(config.mqtt, name, scans, outage=broker_outage, venue_gates=venue_gates)
    active.callback(broker.close)
    active.enter_context(feed_worker(config, broker, outage))
    active.enter_context(status_worker(config, outage, broker_outage, venue_gates))
    active.enter_context(claims_worker(config, outage, broker_outage, venue_gates))
    active.enter_context(lock_watcher(config, outage))
    active.enter_context(settle_worker(config, outage))
    writer = active.enter_context(ThreadPoolExecutor(1, "scans"))
    _log.info("ingest started", venue=config.venue)
    return Consumer(config, broker, venue_gates=venue_gates, writer=writer)
