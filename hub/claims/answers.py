"""First scan wins: answers the gates' claims from Postgres (domain 2.3; protocol 4.2; ADR 15).

`ClaimAnswers` decides nothing itself: one call of the SQL function ``claim_entry`` answers a claim under the
lock of the ticket's row. It has its own connections to the broker and to Postgres, so that it answers while a
backlog of scans is ingested.
"""

from __future__ import annotations

import contextlib
import queue
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import structlog

from gate.common.allowance import Rate
from gate.common.outage import SharedOutage
from gate.common.seldom import Seldom
from gate.common.uuids import is_uuid
from gate.rules.first_entry import Claim, Grant, Returned
from hub.config import WATCH, HubConfig
from hub.db.call import call
from hub.db.connection import Connection, is_outage, one_line
from hub.db.statements import query
from hub.db.worker import DatabaseWorker
from hub.gates.budgets import GateBudgets, GateFloods
from hub.gates.status_message import decode_status
from hub.mqtt.inbox import Delivery
from hub.mqtt.link import BrokerLink, HubLink, client_id
from hub.mqtt.subscriptions import VenueGates
from sync.wire.messages import (
    EPOCH,
    GateStatus,
    HubTime,
    LendAnswer,
    LendRequest,
    Probe,
    ToHub,
    WireError,
    encode,
    to_hub,
)
from sync.wire.topics import Topics

HEARD_US = 5_000_000
"""A gate silent for so long is not asked to lend (domain 2.3: half of `isolated_after`)."""
STALE_US = 1_000_000
"""A claim that waited here for so long is not answered: its guest was let in or sent away long ago."""
KEPT = timedelta(days=7)
"""Claims and lends matter for one night; they are kept longer in case somebody asks what happened."""
FORGET_PORTION = 1000
"""Rows deleted at once: the delay of a claim behind that is too short for a guest to notice."""
_DOUBT_US = 5_000_000
"""After a failed claim, probes are not answered for so long: doors would claim again at once, and in vain."""
MOST_A_SECOND = 200
"""Messages of one gate, of all kinds: a home gate also answers for the tickets of others."""
BURST_S = 30.0
"""How long a gate may claim twice as fast as people can walk through it. Then it has to pause, as
`gate.common.allowance` says. The sweep finds returns that were dropped."""
RECALLED_FOR = timedelta(minutes=10)
"""From a gate that claims too fast, grants of this time that it has not used are taken back."""
RETURNS_HELD = 500
"""While Postgres is away. Half of what the broker may have outstanding here, so that claims still arrive."""
_FORGET_US = 3_600_000_000
_AT_ONCE = 1000
_POLL_SECONDS = 0.5
_RETRY_SECONDS = 0.5
_HASH = re.compile(r"[0-9a-f]{64}")

_KINDS: dict[type[object], str] = {Claim: "claims", Returned: "returns", GateStatus: "statuses"}

_log = structlog.get_logger()
_CONTENTION = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.UniqueViolation,
)
"""Another session holds what the claim needs; the connection is sound."""
_OF_ONE_TICKET = (psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation)
"""Errors about this ticket alone: claims of others can still be answered."""


def rates_of_claims(guests_per_second: float) -> dict[str, Rate]:
    """Budgets of what a gate sends here, so that it cannot harm the others."""
    at_once = BURST_S * guests_per_second
    return {
        "messages": Rate(per_s=MOST_A_SECOND, at_once=MOST_A_SECOND),
        "claims": Rate(per_s=guests_per_second, at_once=at_once),
        "returns": Rate(per_s=guests_per_second, at_once=at_once),
        "statuses": Rate(per_s=2, at_once=20),
    }


class ClaimAnswers:
    """Answers one venue's claims. Used from one thread.

    :param clock: the hub's time in microseconds since 1970.
    :param guests_per_second: the most that can walk through one gate.
    """

    def __init__(
        self,
        venue: str,
        line: HubLink,
        clock: Callable[[], int],
        guests_per_second: float = WATCH.guests_per_second,
    ) -> None:
        self._topics = Topics(venue=venue)
        self._line = line
        self._clock = clock
        self._heard: dict[str, int] = {}
        self._asked: deque[tuple[str, ToHub | GateStatus, int]] = deque(maxlen=_AT_ONCE)
        self._returned: dict[tuple[str, str], Delivery] = {}
        self._unacknowledged: list[Delivery] = []
        self._seldom = Seldom(self._seconds)
        self._budgets = GateBudgets(rates_of_claims(guests_per_second), self._seconds)
        self._floods = GateFloods(venue, "claims", self._seconds)
        self._flooding: set[str] = set()
        self._doubt_until = 0
        self._forget_at = 0

    def turn(self, conn: Connection, wait_s: float) -> None:
        """One round: answer everything that has arrived.

        :param conn: in autocommit.
        :param wait_s: how long to wait for a message.
        :raises psycopg.Error: Postgres is away. Waiting claims get no answer; returns are kept for the next
            turn, and acknowledged only when they are stored.
        """
        self.hear(wait_s)
        if not (self._asked or self._returned):
            # a connection that died while nobody asked would cost the next guest an answer
            conn.execute(query("still_there"))
        self._give_back(conn)
        while self._asked:
            self._answer(conn, *self._asked.popleft())
        self._acknowledge_answered()
        self._take_back(conn)
        self._floods.cut_off(self._line.inbox.cut_off)
        self._floods.record(conn)
        self._forget_old(conn)

    def hear(self, wait_s: float) -> None:
        """Take what has arrived. Also while Postgres is away, or the broker would drop returns."""
        self._line.tend()
        self._acknowledge_answered()  # what a failed turn left
        with contextlib.suppress(queue.Empty):
            self._take(self._line.inbox.get(timeout=wait_s))
            for _ in range(_AT_ONCE):
                self._take(self._line.inbox.get_nowait())

    def _take(self, message: Delivery) -> None:
        gate_id = self._topics.gate_of(message.topic)
        try:
            if gate_id is None:
                raise WireError("not a topic of this venue's gates")
            said = (
                None if self._exceeds_budget(gate_id, "messages") else _read(message, self._topics, gate_id)
            )
        except WireError as error:
            self._line.acknowledge(message)
            self._log_unanswered(gate_id or "", str(error))
            return
        if said is None or self._exceeds_budget(gate_id, _KINDS.get(type(said))):
            self._line.acknowledge(message)
            return
        if isinstance(said, Returned) and len(self._returned) < RETURNS_HELD:
            # the only message that must not be lost: the broker has it until it is in Postgres
            earlier = self._returned.get((gate_id, said.scan_id))
            if earlier is not None:
                self._line.acknowledge(earlier)  # a repetition: one of them is enough
            self._returned[gate_id, said.scan_id] = message
            return
        self._unacknowledged.append(message)
        self._note_heard(gate_id, said, message)
        self._asked.append((gate_id, said, message.at_us or self._clock()))

    def _acknowledge_answered(self) -> None:
        """After the answers, because the thread that sends it would delay guests at a door."""
        if self._unacknowledged:
            self._line.acknowledge(*self._unacknowledged)
            self._unacknowledged = []

    def _answer(self, conn: Connection, gate_id: str, said: ToHub | GateStatus, at_us: int) -> None:
        match said:
            case Claim() | Probe() if self._budgets.is_spent(gate_id, "claims"):
                pass  # a gate that claims too fast is left to its policy, as if there were no hub
            case Claim() if self._clock() - at_us <= STALE_US:
                self._claim(conn, gate_id, said)
            case LendAnswer():
                self._take_lend_answer(conn, gate_id, said)
            case Probe() if self._clock() - at_us <= STALE_US:
                self._tell_time(conn, gate_id, said, at_us)
            case GateStatus():
                self._sweep(conn, said)

    def _seconds(self) -> float:
        return self._clock() / 1_000_000

    def _exceeds_budget(self, gate_id: str, kind: str | None) -> bool:
        """Whether to drop a message because its gate has used up its budget."""
        if kind is None:
            return False
        if not self._budgets.is_spent(gate_id, kind):
            self._budgets.take(gate_id, kind)
            return False
        self._budgets.insist(gate_id, kind)
        self._floods.turned_away(gate_id)
        if kind == "claims":
            self._flooding.add(gate_id)
        return True

    def _take_back(self, conn: Connection) -> None:
        """So that guests at other gates are not refused for grants that nobody used."""
        for gate_id in list(self._flooding):
            wanted = {"gate_id": gate_id, "now": self._now(), "since": self._now() - RECALLED_FOR}
            with contextlib.suppress(*_CONTENTION):  # tried again in the next turn
                conn.execute(query("take_back_grants"), wanted)
                self._flooding.discard(gate_id)

    def _note_heard(self, gate_id: str, said: ToHub | GateStatus, message: Delivery) -> None:
        if isinstance(said, GateStatus) and not said.online:
            self._heard.pop(gate_id, None)
        elif not message.retained:
            self._heard[gate_id] = message.at_us or self._clock()

    def _present(self) -> list[str]:
        """The gates that can be asked to lend; forgets the others."""
        now_us = self._clock()
        # a time in the future is from before the hub's clock was set back
        self._heard = {gate_id: at for gate_id, at in self._heard.items() if 0 <= now_us - at <= HEARD_US}
        return list(self._heard)

    def _claim(self, conn: Connection, gate_id: str, claim: Claim) -> None:
        wanted: dict[str, Any] = {
            "venue": self._topics.venue,
            "gate": gate_id,
            "scan": claim.scan_id,
            "epoch": claim.epoch,
        }
        wanted |= {"code_hash": claim.code_hash, "event": claim.event_id, "heard": self._present()}
        self._pass_on(gate_id, claim, self._ask(conn, gate_id, "claim_entry", wanted))

    def _take_lend_answer(self, conn: Connection, gate_id: str, lent: LendAnswer) -> None:
        wanted: dict[str, Any] = {
            "venue": self._topics.venue,
            "home": gate_id,
            "scan": lent.scan_id,
            "lent": lent.lent,
        }
        wanted |= {"code_hash": lent.code_hash, "used": lent.used, "heard": self._present()}
        self._pass_on(gate_id, lent, self._ask(conn, gate_id, "take_lend_answer", wanted))

    def _pass_on(self, gate_id: str, said: Claim | LendAnswer, answer: dict[str, Any] | None) -> None:
        """Send what ``claim_entry`` returned to the gate it is for, if to any."""
        if answer is None:
            return
        if "refused" in answer:
            self._log_unanswered(gate_id, answer["refused"])
        elif "lend" in answer:
            event_id, to = answer["event_id"], answer["to"]
            lend = LendRequest(scan_id=said.scan_id, code_hash=said.code_hash, event_id=event_id, to=to)
            self._publish(answer["lend"], lend)
        else:
            grant = msgspec.convert(answer["grant"] | {"scan_id": said.scan_id}, Grant)
            self._publish(answer["to"], grant)

    def _tell_time(self, conn: Connection, gate_id: str, probe: Probe, at_us: int) -> None:
        """Only if claims can be answered, which a query finds out."""
        row = conn.execute(query("claims_ready")).fetchone()
        # a doubt that would last too long is from before the hub's clock was set back
        in_doubt = 0 < self._doubt_until - self._clock() <= _DOUBT_US
        if row is not None and row["ready"] and not in_doubt:
            self._publish(gate_id, HubTime(id=probe.id, received_us=at_us, sent_us=self._clock()))

    def _sweep(self, conn: Connection, status: GateStatus) -> None:
        """A gate whose whole journal is here no longer uses its older grants (``sweep_claims``)."""
        if status.online and status.boot_id and None not in (status.epoch, status.monotonic_ms):
            names = ("epoch", "last_seq", "acked", "boot_id", "monotonic_ms")
            wanted = {name: getattr(status, name) for name in names}
            wanted |= {"gate": status.gate_id, "door": status.door is True}
            self._ask(conn, status.gate_id, "sweep_claims", wanted)

    def _give_back(self, conn: Connection) -> None:
        for (gate_id, scan_id), message in list(self._returned.items()):
            try:
                call(conn, "give_back", venue=self._topics.venue, gate=gate_id, scan=scan_id, now=self._now())
            except _CONTENTION as error:
                self._log_unanswered(gate_id, one_line(error))
                continue
            self._line.acknowledge(message)
            del self._returned[gate_id, scan_id]

    def _ask(self, conn: Connection, gate_id: str, function: str, wanted: Mapping[str, Any]) -> Any:
        """What a function returns of a gate's message; None also if another session was in the way twice."""
        for _ in range(2):
            try:
                return call(conn, function, now=self._now(), **wanted)
            except psycopg.Error as error:
                if not isinstance(error, _OF_ONE_TICKET):
                    self._doubt_until = self._clock() + _DOUBT_US
                if is_outage(error) and not isinstance(error, _CONTENTION):
                    raise
                self._log_unanswered(gate_id, one_line(error))
                if isinstance(error, (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation)):
                    continue
                return None
        return None

    def _now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._clock())

    def _publish(self, gate_id: str, message: Grant | HubTime | LendRequest) -> None:
        """Drop it while the broker is away, because a late answer is of no use."""
        if self._line.is_up:
            self._line.publish(self._topics.grants(gate_id), encode(message))

    def _forget_old(self, conn: Connection) -> None:
        """Delete a portion a turn until nothing is left; then again in an hour."""
        now_us = self._clock()
        # a time further ahead is from before the hub's clock was set back
        if 0 < self._forget_at - now_us <= _FORGET_US:
            return
        wanted = {"before": self._now() - KEPT, "portion": FORGET_PORTION}
        gone = [conn.execute(query(name), wanted).rowcount for name in ("forget_claims", "forget_lends")]
        if max(gone) < FORGET_PORTION:
            self._forget_at = now_us + _FORGET_US

    def _log_unanswered(self, gate_id: str, why: str) -> None:
        self._seldom.say(_log.warning, "claim not answered", gate_id=gate_id, error=why)


def _read(message: Delivery, topics: Topics, gate_id: str) -> ToHub | GateStatus:
    """Raises `WireError`: it cannot be read, or names what cannot be looked up."""
    if message.topic == topics.status(gate_id):
        return decode_status(message.payload, gate_id)
    said = to_hub(message.payload)
    if isinstance(said, Claim | LendAnswer) and not _HASH.fullmatch(said.code_hash):
        raise WireError("code_hash is no SHA-256 in lower-case hex")
    if isinstance(said, Claim) and not EPOCH.fullmatch(said.epoch):
        raise WireError("epoch is malformed")
    for name in ("scan_id", "event_id"):
        if (found := getattr(said, name, None)) is not None and not is_uuid(found):
            raise WireError(f"{name} is no UUID")
    return said


@contextlib.contextmanager
def claims_worker(
    config: HubConfig,
    outage: SharedOutage | None = None,
    broker_outage: SharedOutage | None = None,
    venue_gates: VenueGates | None = None,
) -> Iterator[None]:
    """Answers claims while the block runs, over connections of its own.

    :param outage: of Postgres.
    """
    topics = Topics(venue=config.venue)
    name = client_id(config.venue, "claims")
    broker = BrokerLink(
        config.mqtt, name, topics.claims(), topics.status(), outage=broker_outage, venue_gates=venue_gates
    )
    guests = config.watch.guests_per_second
    claims = ClaimAnswers(config.venue, broker, lambda: time.time_ns() // 1000, guests)
    worker = DatabaseWorker(
        "claims",
        config.postgres.dsn,
        lambda conn, _stop: claims.turn(conn, _POLL_SECONDS),
        begin=lambda conn: conn.execute(query("claim_timeouts")),
        outage=outage,
        pause=lambda: claims.hear(_RETRY_SECONDS),
    )
    with contextlib.closing(broker), worker:
        yield
