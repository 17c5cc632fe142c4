"""Stores the gates' statuses: MQTT → Postgres (protocol 4.2).

It keeps the newest status of every gate (`gate_status`), and its replies to orders. The views `gate_health`
and `gate_nights` compare that with what the hub itself has. A lost status does no harm, because each gate
sends another in ten seconds; so nothing here waits for one.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import psycopg
import structlog
from psycopg.rows import DictRow

from gate.common.allowance import Rate
from gate.common.outage import SharedOutage
from gate.common.seldom import Seldom
from gate.rules.command import OrderReply
from hub.config import WATCH, HubConfig, Watch
from hub.db.connection import Connection, is_conflict, is_outage, one_line
from hub.db.statements import query
from hub.db.worker import RETRY_S, DatabaseWorker
from hub.gates.alerts import UnusedGrantsCheck
from hub.gates.budgets import GateBudgets, GateFloods
from hub.gates.orders import UnansweredOrders, decode_reply, take_reply
from hub.gates.status_message import KnownStatus, decode_status, is_older
from hub.mqtt.inbox import Delivery
from hub.mqtt.link import BrokerLink, HubLink, client_id
from hub.mqtt.subscriptions import VenueGates
from sync.wire.messages import GateStatus, WireError
from sync.wire.scans import BATCH_LIMIT
from sync.wire.topics import Topics

DIGEST_SECONDS = 10
"""Least time between two digests of a night, because a digest reads all of it."""
_DIGESTS_KEPT = 20
RATES = {"status": Rate(per_s=2, at_once=60), "replies": Rate(per_s=1, at_once=60)}
"""Of each gate, which sends a status every ten seconds, and replies to orders."""
_GATES_LIMIT = 1000
_REPLIES_LIMIT = 1000
_AT_ONCE = 1000
_POLL_SECONDS = 0.5
_FROZEN_SECONDS = 5

_log = structlog.get_logger()


class StatusListener:
    """What the gates sent, until it is in Postgres. Used from one thread."""

    def __init__(self, broker: HubLink, topics: Topics, watch: Watch = WATCH) -> None:
        self._broker = broker
        self._topics = topics
        self._statuses: dict[tuple[str, bool], tuple[GateStatus, datetime | None]] = {}
        self._replies: deque[OrderReply] = deque(maxlen=_REPLIES_LIMIT)
        self._unanswered = UnansweredOrders(topics.venue)
        self._unused_grants = UnusedGrantsCheck(topics.venue, watch)
        self._now_s = 0.0
        self._budgets = GateBudgets(RATES, self._seconds)
        self._floods = GateFloods(topics.venue, "statuses", self._seconds)
        self._seldom = Seldom(self._seconds)
        self._rejected = _LoggedOnce()
        self._differs = _LoggedOnce()

    def turn(self, conn: Connection, wait_s: float, now: datetime) -> None:
        """One round: receive, then write what was received.

        :param conn: in autocommit.
        :param wait_s: how long to wait for a message.
        :param now: the hub's clock.
        :raises psycopg.Error: the database is away; what was received is kept for the next turn.
        """
        self.hear(wait_s, now)
        self.write(conn, now)

    def hear(self, wait_s: float, now: datetime) -> None:
        """Take what has arrived. Also while Postgres is away, to know when each status was heard."""
        self._broker.tend()
        self._now_s = now.timestamp()
        with contextlib.suppress(queue.Empty):
            self._take(self._broker.inbox.get(timeout=wait_s), now)
            for _ in range(_AT_ONCE):
                self._take(self._broker.inbox.get_nowait(), now)

    def write(self, conn: Connection, now: datetime) -> None:
        """Write what was received. Raises `psycopg.Error`: the database is away."""
        while self._replies:
            take_reply(conn, self._replies[0], now)
            self._replies.popleft()
        self._unanswered.log_expired(conn, now)
        self._unused_grants.check(conn, now)
        self._floods.cut_off(self._broker.inbox.cut_off)
        self._floods.record(conn)
        gates = sorted({gate_id for gate_id, _ in self._statuses})
        while self._statuses:
            key = next(iter(self._statuses))
            self._write_one(conn, *self._statuses[key])
            del self._statuses[key]
        if gates:
            self._compare(conn, gates, now)
        else:
            conn.execute(query("still_there"))

    def _take(self, message: Delivery, now: datetime) -> None:
        # acknowledged at once: a lost status is followed by another, and a reply is also in the journal
        self._broker.acknowledge(message)
        gate_id = self._topics.gate_of(message.topic)
        try:
            if gate_id is None:
                raise WireError("not a topic of this venue's gates")
            if self._exceeds_budget(gate_id, message.topic):
                return
            if message.topic == self._topics.replies(gate_id):
                self._replies.append(decode_reply(message, self._topics))
                return
            status = decode_status(message.payload, gate_id)
        except WireError as error:
            self._reject(gate_id or "", str(error))
            return
        self._keep(status, _heard_at(message, now))

    def _seconds(self) -> float:
        return self._now_s

    def _exceeds_budget(self, gate_id: str, topic: str) -> bool:
        """Whether to drop a message: a status is followed by another, and more replies answer nobody."""
        kind = topic.rpartition("/")[2]
        if not self._budgets.is_spent(gate_id, kind):
            self._budgets.take(gate_id, kind)
            return False
        self._floods.turned_away(gate_id)
        return True

    def _keep(self, status: GateStatus, heard_at: datetime | None) -> None:
        """Keep the newest status of each gate, and its newest goodbye, in the order they came."""
        key = (status.gate_id, status.online)
        before = self._statuses.get(key)
        if status.online and before is not None and is_older(status, KnownStatus.from_status(before[0])):
            return
        self._statuses.pop(key, None)
        if len(self._statuses) < _GATES_LIMIT:
            self._statuses[key] = (status, heard_at)

    def _write_one(self, conn: Connection, status: GateStatus, heard_at: datetime | None) -> None:
        try:
            with conn.transaction():
                wrong = _write_status(conn, self._topics.venue, status, heard_at)
        except psycopg.Error as error:
            if is_outage(error):
                raise
            wrong = one_line(error)
        if wrong is None:
            self._rejected.end(status.gate_id)
            _note_clock(conn, status)
        else:
            self._reject(status.gate_id, wrong)

    def _reject(self, gate_id: str, why: str) -> None:
        if self._rejected.is_new(gate_id, why):
            self._seldom.say(_log.warning, "status rejected", gate_id=gate_id, error=why)

    def _compare(self, conn: Connection, gates: list[str], now: datetime) -> None:
        wanted = {"gates": gates, "now": now, "every_s": DIGEST_SECONDS, "keep": _DIGESTS_KEPT}
        for row in conn.execute(query("digests_wanted"), wanted).fetchall():
            conn.execute(query("compute_digest"), wanted | row)
            conn.execute(query("forget_digests"), wanted | row)
        for row in conn.execute(query("nights_of"), wanted).fetchall():
            self._log_difference(row)

    def _log_difference(self, row: DictRow) -> None:
        place = f"{row['gate_id']} {row['event_id']}"
        about = {"gate": row["gate_id"], "night": row["code"], "version": row["version"]}
        if row["state"] == "differs":
            if self._differs.is_new(place, "differs"):
                advice = (
                    "Its tickets are not the hub's. Let it load them again: maguey-hub command GATE refetch"
                )
                _log.error("gate differs", **about, advice=advice)
        elif row["state"] == "in sync" and self._differs.end(place):
            _log.info("gate in sync again", **about)


class _LoggedOnce:
    """What was logged last about each key, so that it is logged once; for `_GATES_LIMIT` keys at most."""

    def __init__(self) -> None:
        self._logged: dict[str, str] = {}

    def is_new(self, key: str, what: str) -> bool:
        """Whether to log this about `key`; it counts as logged then."""
        before = self._logged.get(key)
        if before is None and len(self._logged) >= _GATES_LIMIT:
            return False
        self._logged[key] = what
        return before != what

    def end(self, key: str) -> bool:
        """Returns whether something had been logged about `key`."""
        return self._logged.pop(key, None) is not None


def _heard_at(message: Delivery, now: datetime) -> datetime | None:
    """None for a retained message: also a gate that is long gone has one."""
    if message.retained:
        return None
    return datetime.fromtimestamp(message.at_us / 1e6, UTC) if message.at_us else now


def _write_status(conn: Connection, venue: str, status: GateStatus, heard_at: datetime | None) -> str | None:
    """Returns why it is rejected, None if it is not."""
    row = conn.execute(query("kept_status"), {"gate_id": status.gate_id, "venue": venue}).fetchone()
    if row is None:
        return "this venue has no such gate"
    if row["revoked"]:
        return "the gate was revoked: its statuses do not count"
    wanted = {
        "gate_id": status.gate_id,
        "version": status.version,
        "epoch": status.epoch,
        "heard_at": heard_at,
    }
    if not status.online:
        conn.execute(query("take_goodbye"), wanted)
    elif not is_older(status, KnownStatus.of(row), heard_at):
        encoded = msgspec.json.encode(status).decode()
        conn.execute(query("take_status"), wanted | {"status": encoded, "said_at": status.at})
        conn.execute(query("note_complete"), wanted | {"slack": BATCH_LIMIT})
        conn.execute(query("gate_seen"), wanted)
    return None


def _note_clock(conn: Connection, status: GateStatus) -> None:
    """The clock of a gate that knows the time dates its earlier records of the same boot."""
    known = (status.boot_id, status.monotonic_ms, status.at, status.clock_uncertainty_ms)
    if not status.online or status.clock != "synced" or None in known or not status.boot_id:
        return
    wanted = {name: getattr(status, name) for name in ("gate_id", "boot_id", "monotonic_ms", "at")}
    try:
        conn.execute(query("note_boot_clock"), wanted | {"uncertainty_ms": status.clock_uncertainty_ms})
    except psycopg.Error as error:
        if is_outage(error) and not is_conflict(error):
            raise
        _log.info("boot clock not noted; the gate sends it again", error=one_line(error))


@contextlib.contextmanager
def status_worker(
    config: HubConfig,
    outage: SharedOutage | None = None,
    broker_outage: SharedOutage | None = None,
    venue_gates: VenueGates | None = None,
) -> Iterator[None]:
    """Receives statuses while the block runs, over connections of its own.

    Its own, so that gates are heard while a night's backlog is ingested. It has no session at the broker,
    because statuses kept for it would be of no use later.

    :param outage: of Postgres.
    """
    topics = Topics(venue=config.venue)
    name = client_id(config.venue, "status")
    broker = BrokerLink(
        config.mqtt,
        name,
        topics.status(),
        topics.replies(),
        session_s=0,
        outage=broker_outage,
        venue_gates=venue_gates,
    )
    statuses = StatusListener(broker, topics, config.watch)

    def turn(conn: Connection, _stop: threading.Event) -> None:
        # another session may hold a lock: nothing is lost, and `hub.db.lock_waits` logs whose it is
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            statuses.turn(conn, _POLL_SECONDS, datetime.now(UTC))

    worker = DatabaseWorker(
        "statuses",
        config.postgres.dsn,
        turn,
        begin=lambda conn: conn.execute(query("end_when_frozen"), {"frozen_s": str(_FROZEN_SECONDS)}),
        outage=outage,
        pause=lambda: statuses.hear(RETRY_S, datetime.now(UTC)),
    )
    with contextlib.closing(broker), worker:
        yield
