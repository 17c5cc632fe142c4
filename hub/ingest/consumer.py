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
from itertools import groupby

import psycopg
import structlog

from gate.common.outage import Outage
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
"""About as many records as one transaction takes; more gain nothing (measured, quality 7.3)."""
LOOKED_AT = 1000
"""Messages looked at before what was found is committed, however many of them are turned away."""
KNOW_EVERY_S = 5.0
"""So often is asked which gates are away, and since when."""
APART_S = 600.0
"""So long nothing is taken in of a gate whose scans never came to an end."""
_POLL_SECONDS = 0.5
FROZEN_SECONDS = 5
"""A hub that says nothing to Postgres for so long is the active one no more; it looks twice a second."""

_log = structlog.get_logger()


class Consumer:
    """Runs in its own thread until `stop`; survives the broker's and the database's absence.

    :param now: seconds, of a clock that never jumps.
    :param company: is told which gates the venue has.
    """

    def __init__(
        self,
        config: HubConfig,
        broker: HubLink,
        now: Callable[[], float] = time.monotonic,
        company: VenueGates | None = None,
    ) -> None:
        self._config = config
        self._broker = broker
        self._topics = Topics(venue=config.venue)
        self._alerts = AlertPublisher(broker, self._topics, now)
        self._company = company or VenueGates()
        self._pending: list[Delivery] = []
        self._contents: list[Batch] = []
        self._count = 0
        self._gates: set[str] = set()
        self._undecided: Delivery | None = None
        self._shares = GateBudgets(rates_of_scans(config.watch.guests_per_second), now)
        self._floods = GateFloods(config.venue, "scans", now)
        self._seldom = Seldom(now)
        self._apart_until: dict[str, float] = {}
        self._knows_until = now()
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
                continue  # what was not committed is kept; `hub.db.lock_waits` says who is in the way
            outage.over()

    def turn(self, conn: Connection, wait_s: float) -> None:
        """Once round: messages, alerts, and a look after both connections.

        :param wait_s: how long to wait for a message.
        :raises psycopg.Error: as `serve`.
        """
        self._broker.tend()
        self._acknowledge_again(conn)
        self._know_who_is_away(conn)
        if self._take(wait_s):
            self._commit(conn)
        else:
            # a lock held by a dead connection is no lock: notice while idle, too
            conn.execute(query("still_there"))
        self._floods.cut_off({*self._broker.inbox.cut_off, *self._apart()})
        if self._floods.tell(conn):
            self._alerts.hurry()
        self._alerts.tell(conn)

    def _acknowledge_again(self, conn: Connection) -> None:
        """After each connect: a broker that crashed has lost the retained acknowledgements."""
        if self._greeted == (connects := self._broker.connects):
            return
        for row in conn.execute(query("newest_watermarks"), {"venue": self._config.venue}).fetchall():
            ack = Ack(epoch=row["epoch"], seq=row["seq"])
            self._broker.publish(self._topics.ack(row["gate_id"]), encode(ack), retain=True)
        self._greeted = connects

    def _know_who_is_away(self, conn: Connection) -> None:
        if (now := self._now()) < self._knows_until:
            return
        rows = conn.execute(query("complete_gates"), {"venue": self._config.venue}).fetchall()
        self._company.names = frozenset(row["gate_id"] for row in rows)
        self._shares.know({row["gate_id"]: row["away_s"] for row in rows})
        self._knows_until = now + KNOW_EVERY_S

    def _take(self, wait_s: float) -> bool:
        """Wait for a message, then take what else is there, each gate in turn; no lingering for more."""
        turned_away: list[Delivery] = []
        with contextlib.suppress(queue.Empty):
            if not self._pending:
                self._look_at(self._next(wait_s), turned_away)
            for _ in range(LOOKED_AT):
                if self._count >= BATCH_RECORDS or self._undecided is not None:
                    break
                self._look_at(self._next(), turned_away)
        if turned_away:
            self._broker.acknowledge(*turned_away)
        return bool(self._pending)

    def _next(self, wait_s: float | None = None) -> Delivery:
        if self._undecided is not None:
            message, self._undecided = self._undecided, None
            return message
        inbox = self._broker.inbox
        return inbox.get_nowait() if wait_s is None else inbox.get(timeout=wait_s)

    def _look_at(self, message: Delivery, turned_away: list[Delivery]) -> None:
        """What is beyond its gate's share is forgotten here: the gate has it, and sends it again."""
        gate_id = self._topics.gate_of(message.topic) or ""
        if self._now() < self._apart_until.get(gate_id, 0.0):
            self._floods.turned_away(gate_id)
            turned_away.append(message)
        elif not self._shares.spent(gate_id):
            self._add(gate_id, message)
        elif gate_id in self._gates:
            # what waits of it here may be nothing new, which is known after the commit
            self._undecided = message
        else:
            self._floods.turned_away(gate_id)
            turned_away.append(message)

    def _add(self, gate_id: str, message: Delivery) -> None:
        batch = read_batch(message, self._topics)
        for kind, count in cost_of(batch, len(message.payload)).items():
            self._shares.take(gate_id, kind, count)
        self._pending.append(message)
        self._contents.append(batch)
        self._count += len(batch.records)
        self._gates.add(gate_id)

    def _commit(self, conn: Connection) -> None:
        batch = merge(self._contents)
        written = write_batch(conn, batch)
        self._broker.acknowledge(*self._pending)
        self.trying()  # Postgres answered over this very session: nobody else became the active one
        self._set_apart(written)
        self._give_back(written)
        self._say(written)
        self._pending, self._contents, self._count, self._gates = [], [], 0, set()
        for gate_id, ack in written.acks:
            self._broker.publish(self._topics.ack(gate_id), encode(ack), retain=True)
        if any(record.record == "event" for record in batch.records):
            self._alerts.hurry()

    def _set_apart(self, written: BatchResult) -> None:
        """What was not committed is the gate's still, which sends it again; until then others go on."""
        for gate_id, why in written.failed.items():
            self._apart_until[gate_id] = self._now() + APART_S
            self._floods.turned_away(gate_id)
            _log.error(
                "Postgres does not take what a gate sent, or not in time. Nothing is lost: it is set aside, "
                "so that others go on, and tried again. Look what this gate sends; if need be, revoke it",
                gate_id=gate_id,
                error=why,
                again_in_s=round(APART_S),
            )

    def _apart(self) -> list[str]:
        """Whose scans are set aside right now."""
        return [gate_id for gate_id, until in self._apart_until.items() if self._now() < until]

    def _say(self, written: BatchResult) -> None:
        for gate_id, bads in groupby(sorted(written.bad, key=_gate_of), key=_gate_of):
            first, *others = bads
            about = {"topic": first.topic[:LOGGED], "seq": first.seq, "error": first.error[:LOGGED]}
            self._seldom.say(_log.warning, "quarantined", 1 + len(others), gate_id=gate_id, **about)
        for gate_id, why in written.refused.items():
            refused = "the database refuses a record of a gate; took its records one by one"
            self._seldom.say(_log.warning, refused, gate_id=gate_id, error=why)

    def _give_back(self, written: BatchResult) -> None:
        """What the hub had already was nothing new: a journal may come again, all of it."""
        for message, batch in zip(self._pending, self._contents, strict=True):
            gate_id = self._topics.gate_of(message.topic) or ""
            if known := written.known.get(gate_id):
                taken, right = (cost_of(batch, len(message.payload), ids) for ids in (frozenset(), known))
                for kind, count in right.items():
                    self._shares.take(gate_id, kind, count - taken[kind])


def _gate_of(bad: Quarantined) -> str:
    return bad.gate_id or ""
