"""The one active consumer of a venue: messages in, commit, then acknowledgements out.

The order makes it safe: a message is acknowledged to the broker, and a scan to its gate, only after the
commit. Before that, the broker or the gate still has it and sends it again, and a repeated scan changes
nothing (invariants 1, 2 and 5). While Postgres works on one batch, the next one is read and decoded.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, wait
from itertools import groupby

import psycopg
import structlog

from gate.common.outage import SharedOutage
from gate.common.seldom import Seldom
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.gates.alerts import AlertPublisher
from hub.gates.budgets import GateBudgets, GateFloods
from hub.ingest.batch import LOGGED, Batch, BatchResult, Quarantined, merge, read_batch, write_batch
from hub.ingest.scan_budgets import cost_of, rates_of_scans
from hub.mqtt.inbox import Delivery
from hub.mqtt.link import HubLink
from hub.mqtt.subscriptions import VenueGates
from sync.wire.messages import Ack, encode
from sync.wire.topics import Topics

BATCH_RECORDS = 500
"""Records of one transaction, about; more gain nothing (measured, quality 7.3)."""
MESSAGES_READ = 1000
"""Messages read at most before a commit, however many of them are turned away."""
ABSENCES_S = 5.0
"""How often the database is asked which gates are away, and since when."""
SET_ASIDE_S = 600.0
"""How long a gate is ignored whose scans Postgres did not finish storing."""
_POLL_SECONDS = 0.5
WORKER = "ingest"
"""The name under which the consumer shares the outage of Postgres."""
FROZEN_SECONDS = 5
"""A hub silent to Postgres for so long is no longer the active one; it asks twice a second."""

_log = structlog.get_logger()


class _Reading:
    """Messages that are not yet committed, with their contents. `records`: how many these hold."""

    def __init__(self) -> None:
        self.messages: list[Delivery] = []
        self.contents: list[Batch] = []
        self.records = 0
        self.gates: set[str] = set()

    def add(self, gate_id: str, message: Delivery, batch: Batch) -> None:
        """Add one message."""
        self.messages.append(message)
        self.contents.append(batch)
        self.records += len(batch.records)
        self.gates.add(gate_id)


class Consumer:
    """Stores the scans of a venue. Survives the absence of the broker and of the database.

    :param now: seconds, of a clock that never jumps.
    :param venue_gates: gets the names of the venue's gates.
    :param writer: has one thread, in which batches are written while the next one is read. None: they are
        written at once, and nothing is read meanwhile.
    """

    def __init__(
        self,
        config: HubConfig,
        broker: HubLink,
        now: Callable[[], float] = time.monotonic,
        venue_gates: VenueGates | None = None,
        writer: Executor | None = None,
    ) -> None:
        self._config = config
        self._broker = broker
        self._topics = Topics(venue=config.venue)
        self._alerts = AlertPublisher(broker, self._topics, now)
        self._venue_gates = venue_gates or VenueGates()
        self._writer = writer
        self._reading = _Reading()
        """What is committed next."""
        self._writing = _Reading()
        """What Postgres works on right now."""
        self._ahead = _Reading()
        """What was read meanwhile, if that failed: it waits until what came before it is committed."""
        self._undecided: Delivery | None = None
        self._budgets = GateBudgets(rates_of_scans(config.watch.guests_per_second), now)
        self._floods = GateFloods(config.venue, "scans", now)
        self._seldom = Seldom(now)
        self._aside_until: dict[str, float] = {}
        self._absences_at = now()
        self._acknowledged_connect = 0
        self._now = now
        self._awake_at = now()

    @property
    def was_frozen(self) -> bool:
        """Whether the last turn, or attempt at one, is so long ago that another hub may be active."""
        return self._now() - self._awake_at > FROZEN_SECONDS

    def note_awake(self) -> None:
        """This process runs, perhaps without Postgres: then no other hub can have become active either."""
        self._awake_at = self._now()

    def serve(self, conn: Connection, stop: threading.Event, outage: SharedOutage) -> None:
        """Store messages over one connection to Postgres until `stop`, or until this process was frozen.

        :raises psycopg.Error, DatabaseDownError: the connection failed. Call again with another one: what was
            not committed is kept.
        """
        while not stop.is_set() and not self.was_frozen:
            self.note_awake()
            try:
                self.turn(conn, _POLL_SECONDS)
            except psycopg.errors.LockNotAvailable:
                continue  # what was not committed is kept; `hub.db.lock_waits` logs whose lock it is
            outage.over(WORKER)

    def turn(self, conn: Connection, wait_s: float) -> None:
        """One round: messages, alerts, and a check of both connections.

        :param wait_s: how long to wait for a message.
        :raises psycopg.Error: as `serve`.
        """
        self._broker.tend()
        self._acknowledge_again(conn)
        self._read_absences(conn)
        if self._take(wait_s):
            self._commit(conn)
        else:
            # a dead connection no longer holds the hub's lock: notice that while idle too
            conn.execute(query("still_there"))
        self._floods.cut_off({*self._broker.inbox.cut_off, *self._set_aside_now()})
        if self._floods.record(conn):
            self._alerts.check_now()
        self._alerts.publish_due(conn)

    def _acknowledge_again(self, conn: Connection) -> None:
        """Once for each connection: a broker that crashed has lost the retained acknowledgements."""
        if self._acknowledged_connect == (connects := self._broker.connects):
            return
        for row in conn.execute(query("newest_watermarks"), {"venue": self._config.venue}).fetchall():
            ack = Ack(epoch=row["epoch"], seq=row["seq"])
            self._broker.publish(self._topics.ack(row["gate_id"]), encode(ack), retain=True)
        self._acknowledged_connect = connects

    def _read_absences(self, conn: Connection) -> None:
        if (now := self._now()) < self._absences_at:
            return
        rows = conn.execute(query("complete_gates"), {"venue": self._config.venue}).fetchall()
        self._venue_gates.names = frozenset(row["gate_id"] for row in rows)
        self._budgets.set_absences({row["gate_id"]: row["away_s"] for row in rows})
        self._absences_at = now + ABSENCES_S

    def _take(self, wait_s: float) -> bool:
        """Wait for a message, then take the others that are there already, each gate in turn."""
        turned_away: list[Delivery] = []
        with contextlib.suppress(queue.Empty):
            if not self._reading.messages:
                self._sort(self._next(wait_s), turned_away)
        if not self._ahead.messages:
            self._take_more(turned_away)
        return bool(self._reading.messages)

    def _take_more(self, turned_away: list[Delivery]) -> None:
        """Take what is there already, up to a batch. `turned_away`: as `_sort`; acknowledged here."""
        with contextlib.suppress(queue.Empty):
            for _ in range(MESSAGES_READ):
                if self._reading.records >= BATCH_RECORDS or self._undecided is not None:
                    break
                self._sort(self._next(), turned_away)
        if turned_away:
            self._broker.acknowledge(*turned_away)

    def _next(self, wait_s: float | None = None) -> Delivery:
        if self._undecided is not None:
            message, self._undecided = self._undecided, None
            return message
        inbox = self._broker.inbox
        return inbox.get_nowait() if wait_s is None else inbox.get(timeout=wait_s)

    def _sort(self, message: Delivery, turned_away: list[Delivery]) -> None:
        """Keep a message, or turn it away if its gate has exceeded a budget: the gate sends it again."""
        gate_id = self._topics.gate_of(message.topic) or ""
        if self._now() < self._aside_until.get(gate_id, 0.0):
            self._floods.turned_away(gate_id)
            turned_away.append(message)
        elif not self._budgets.is_spent(gate_id):
            self._add(gate_id, message)
        elif gate_id in self._reading.gates or gate_id in self._writing.gates:
            # its messages in these batches may be repeats, which cost less; the commit will tell
            self._undecided = message
        else:
            self._floods.turned_away(gate_id)
            turned_away.append(message)

    def _add(self, gate_id: str, message: Delivery) -> None:
        batch = read_batch(message, self._topics)
        for kind, count in cost_of(batch, len(message.payload)).items():
            self._budgets.take(gate_id, kind, count)
        self._reading.add(gate_id, message, batch)

    def _commit(self, conn: Connection) -> None:
        self._writing, self._reading, self._ahead = self._reading, self._ahead, _Reading()
        try:
            batch = merge(self._writing.contents)
            result = self._write(conn, batch)
        except BaseException:
            self._writing, self._reading, self._ahead = _Reading(), self._writing, self._reading
            raise
        self._broker.acknowledge(*self._writing.messages)
        self.note_awake()  # Postgres answered in this session: no other hub has become active
        self._set_aside(result)
        self._give_back(result)
        self._log_result(result)
        self._writing = _Reading()
        for gate_id, ack in result.acks:
            self._broker.publish(self._topics.ack(gate_id), encode(ack), retain=True)
        if any(record.record == "event" for record in batch.records):
            self._alerts.check_now()

    def _write(self, conn: Connection, batch: Batch) -> BatchResult:
        if self._writer is None:
            return write_batch(conn, batch)
        written = self._writer.submit(write_batch, conn, batch)
        try:
            self._take_more([])
        finally:
            # nothing else may use the connection before that
            wait([written])
        return written.result()

    def _set_aside(self, result: BatchResult) -> None:
        """Ignore a gate whose scans were not committed, so that the others go on. It sends them again."""
        for gate_id, why in result.failed.items():
            self._aside_until[gate_id] = self._now() + SET_ASIDE_S
            self._floods.turned_away(gate_id)
            _log.error(
                "gate set aside",
                gate_id=gate_id,
                error=why,
                again_in_s=round(SET_ASIDE_S),
                advice="Postgres refuses its scans, or did not finish in time. Nothing is lost, the other "
                "gates go on. Look at what this gate sends; if need be, revoke it.",
            )

    def _set_aside_now(self) -> list[str]:
        return [gate_id for gate_id, until in self._aside_until.items() if self._now() < until]

    def _log_result(self, result: BatchResult) -> None:
        for gate_id, found in groupby(sorted(result.quarantined, key=_gate_of), key=_gate_of):
            first, *others = found
            about = {"topic": first.topic[:LOGGED], "seq": first.seq, "error": first.error[:LOGGED]}
            self._seldom.say(_log.warning, "quarantined", 1 + len(others), gate_id=gate_id, **about)
        for gate_id, why in result.refused.items():
            event = "record refused by database; stored one by one"
            self._seldom.say(_log.warning, event, gate_id=gate_id, error=why)

    def _give_back(self, result: BatchResult) -> None:
        """Charge repeats as repeats: a whole journal may come again."""
        for message, batch in zip(self._writing.messages, self._writing.contents, strict=True):
            gate_id = self._topics.gate_of(message.topic) or ""
            if known := result.known.get(gate_id):
                charged, right = (cost_of(batch, len(message.payload), ids) for ids in (frozenset(), known))
                for kind, count in right.items():
                    self._budgets.take(gate_id, kind, count - charged[kind])


def _gate_of(found: Quarantined) -> str:
    return found.gate_id or ""
