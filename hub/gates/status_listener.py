"""Hear what the gates say of themselves: MQTT → Postgres (protocol 4.2).

Of every gate the newest status is kept (`gate_status`), and what became of the orders it was given. The views
`gate_health` and `gate_nights` compare that with what the hub itself has. A status is never waited for and
never repeated: each gate speaks again in ten seconds, so nothing here holds anything up.
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
from gate.common.outage import Outage
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
from hub.mqtt.shared_outage import SharedOutage
from hub.mqtt.subscriptions import VenueGates
from sync.wire.messages import GateStatus, WireError
from sync.wire.scans import BATCH_LIMIT
from sync.wire.topics import Topics

DIGEST_SECONDS = 10
"""How often at most the digest of one night is computed: it reads all of it."""
_DIGESTS_KEPT = 20
RATES = {"status": Rate(per_s=2, at_once=60), "replies": Rate(per_s=1, at_once=60)}
"""Of each gate, which says how it is every ten seconds, and what became of an order."""
_GATES_LIMIT = 1000
_REPLIES_LIMIT = 1000
_AT_ONCE = 1000
_POLL_SECONDS = 0.5
_FROZEN_SECONDS = 5

_log = structlog.get_logger()


class StatusListener:
    """What was heard, and what is in Postgres of it. Used from one thread."""

    def __init__(self, broker: HubLink, topics: Topics, watch: Watch = WATCH) -> None:
        self._broker = broker
        self._topics = topics
        self._said: dict[tuple[str, bool], tuple[GateStatus, datetime | None]] = {}
        self._replies: deque[OrderReply] = deque(maxlen=_REPLIES_LIMIT)
        self._unanswered = UnansweredOrders(topics.venue)
        self._greedy = UnusedGrantsCheck(topics.venue, watch)
        self._now_s = 0.0
        self._shares = GateBudgets(RATES, self._seconds)
        self._floods = GateFloods(topics.venue, "statuses", self._seconds)
        self._seldom = Seldom(self._seconds)
        self._refused = _Told()
        self._differs = _Told()

    def turn(self, conn: Connection, wait_s: float, now: datetime) -> None:
        """Once round: hear, and write down what was heard.

        :param conn: in autocommit.
        :param wait_s: how long to wait for a message.
        :param now: the hub's clock.
        :raises psycopg.Error: the database is away; what was heard is kept for the next turn.
        """
        self.hear(wait_s, now)
        self.write(conn, now)

    def hear(self, wait_s: float, now: datetime) -> None:
        """Take what has arrived; also while Postgres is away, so that it is known when it was heard."""
        self._broker.tend()
        self._now_s = now.timestamp()
        with contextlib.suppress(queue.Empty):
            self._take(self._broker.inbox.get(timeout=wait_s), now)
            for _ in range(_AT_ONCE):
                self._take(self._broker.inbox.get_nowait(), now)

    def write(self, conn: Connection, now: datetime) -> None:
        """Write down what was heard. Raises `psycopg.Error`: the database is away."""
        while self._replies:
            take_reply(conn, self._replies[0], now)
            self._replies.popleft()
        self._unanswered.tell(conn, now)
        self._greedy.look(conn, now)
        self._floods.cut_off(self._broker.inbox.cut_off)
        self._floods.tell(conn)
        gates = sorted({gate_id for gate_id, _ in self._said})
        while self._said:
            key = next(iter(self._said))
            self._write_one(conn, *self._said[key])
            del self._said[key]
        if gates:
            self._compare(conn, gates, now)
        else:
            conn.execute(query("still_there"))

    def _take(self, message: Delivery, now: datetime) -> None:
        # at once: what is lost is said again, or is in the journal
        self._broker.acknowledge(message)
        gate_id = self._topics.gate_of(message.topic)
        try:
            if gate_id is None:
                raise WireError("not a topic of this venue's gates")
            if self._is_beyond(gate_id, message.topic):
                return
            if message.topic == self._topics.replies(gate_id):
                self._replies.append(decode_reply(message, self._topics))
                return
            status = decode_status(message.payload, gate_id)
        except WireError as error:
            self._refuse(gate_id or "", str(error))
            return
        self._keep(status, _heard_at(message, now))

    def _seconds(self) -> float:
        return self._now_s

    def _is_beyond(self, gate_id: str, topic: str) -> bool:
        """Whether this is more than its share: it says the rest again, or nobody asked."""
        kind = topic.rpartition("/")[2]
        if not self._shares.spent(gate_id, kind):
            self._shares.take(gate_id, kind)
            return False
        self._floods.turned_away(gate_id)
        return True

    def _keep(self, status: GateStatus, heard_at: datetime | None) -> None:
        """The newest of each gate, and its newest goodbye, in the order they came."""
        key = (status.gate_id, status.online)
        before = self._said.get(key)
        if status.online and before is not None and is_older(status, KnownStatus.from_status(before[0])):
            return
        self._said.pop(key, None)
        if len(self._said) < _GATES_LIMIT:
            self._said[key] = (status, heard_at)

    def _write_one(self, conn: Connection, status: GateStatus, heard_at: datetime | None) -> None:
        try:
            with conn.transaction():
                wrong = _write_status(conn, self._topics.venue, status, heard_at)
        except psycopg.Error as error:
            if is_outage(error):
                raise
            wrong = one_line(error)
        if wrong is None:
            self._refused.over(status.gate_id)
            _note_clock(conn, status)
        else:
            self._refuse(status.gate_id, wrong)

    def _refuse(self, gate_id: str, why: str) -> None:
        if self._refused.is_new(gate_id, why):
            refused = "what a gate says of itself is refused"
            self._seldom.say(_log.warning, refused, gate_id=gate_id, error=why)

    def _compare(self, conn: Connection, gates: list[str], now: datetime) -> None:
        wanted = {"gates": gates, "now": now, "every_s": DIGEST_SECONDS, "keep": _DIGESTS_KEPT}
        for row in conn.execute(query("digests_wanted"), wanted).fetchall():
            conn.execute(query("compute_digest"), wanted | row)
            conn.execute(query("forget_digests"), wanted | row)
        for row in conn.execute(query("nights_of"), wanted).fetchall():
            self._tell_of_difference(row)

    def _tell_of_difference(self, row: DictRow) -> None:
        place = f"{row['gate_id']} {row['event_id']}"
        about = {"gate": row["gate_id"], "night": row["code"], "version": row["version"]}
        if row["state"] == "differs":
            if self._differs.is_new(place, "differs"):
                _log.error(
                    "a gate holds something else than the hub has. Let it load all anew: "
                    "maguey-hub command GATE refetch",
                    **about,
                )
        elif row["state"] == "in sync" and self._differs.over(place):
            _log.info("the gate is in sync again", **about)


class _Told:
    """What was told already, so that it is told once; of so many things at most."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def is_new(self, key: str, what: str) -> bool:
        """Whether this was not told of `key` yet. It is now."""
        before = self._told.get(key)
        if before is None and len(self._told) >= _GATES_LIMIT:
            return False
        self._told[key] = what
        return before != what

    def over(self, key: str) -> bool:
        """Whether something had been told of `key`."""
        return self._told.pop(key, None) is not None


def _heard_at(message: Delivery, now: datetime) -> datetime | None:
    """None of a retained one: a gate that is long gone has one, too."""
    if message.retained:
        return None
    return datetime.fromtimestamp(message.at_us / 1e6, UTC) if message.at_us else now


def _write_status(conn: Connection, venue: str, status: GateStatus, heard_at: datetime | None) -> str | None:
    """Returns why it is refused, None if it is not."""
    row = conn.execute(query("kept_status"), {"gate_id": status.gate_id, "venue": venue}).fetchone()
    if row is None:
        return "this venue has no such gate"
    if row["revoked"]:
        return "the gate was revoked: what it says of itself does not count"
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
    """A gate that knows the time in this boot tells when its earlier records of it were made."""
    known = (status.boot_id, status.monotonic_ms, status.at, status.clock_uncertainty_ms)
    if not status.online or status.clock != "synced" or None in known or not status.boot_id:
        return
    wanted = {name: getattr(status, name) for name in ("gate_id", "boot_id", "monotonic_ms", "at")}
    try:
        conn.execute(query("note_boot_clock"), wanted | {"uncertainty_ms": status.clock_uncertainty_ms})
    except psycopg.Error as error:
        if is_outage(error) and not is_conflict(error):
            raise
        _log.info("a boot's clock was not noted; the gate says it again", error=one_line(error))


@contextlib.contextmanager
def status_worker(
    config: HubConfig, outage: SharedOutage | None = None, company: VenueGates | None = None
) -> Iterator[None]:
    """Hears the gates while the block runs, over connections of its own.

    Its own, so that a gate is heard while a night's backlog is ingested. Without a session at the broker,
    because what it would have kept is of no use later.
    """
    topics = Topics(venue=config.venue)
    name = client_id(config.venue, "status")
    broker = BrokerLink(
        config.mqtt, name, topics.status(), topics.replies(), session_s=0, outage=outage, company=company
    )
    statuses = StatusListener(broker, topics, config.watch)

    def turn(conn: Connection, _stop: threading.Event) -> None:
        # somebody may be in the way: what was heard is kept, `hub.db.lock_waits` says who it is
        with contextlib.suppress(psycopg.errors.LockNotAvailable):
            statuses.turn(conn, _POLL_SECONDS, datetime.now(UTC))

    worker = DatabaseWorker(
        "statuses",
        config.postgres.dsn,
        turn,
        begin=lambda conn: conn.execute(query("end_when_frozen"), {"frozen_s": str(_FROZEN_SECONDS)}),
        outage=Outage("Postgres (gates' status)"),
        pause=lambda: statuses.hear(RETRY_S, datetime.now(UTC)),
    )
    with contextlib.closing(broker), worker:
        yield
