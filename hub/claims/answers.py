"""First scan wins: answer the gates' claims from Postgres (domain 2.3; protocol 4.2; ADR 15).

`ClaimAnswers` decides nothing itself: one call of the SQL function ``claim_entry`` answers a claim under the
lock of the ticket's row. It has its own connections to the broker and to Postgres, so that it answers while a
backlog of scans is taken in.
"""

from __future__ import annotations

import contextlib
import queue
import re
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import structlog

from gate.common.allowance import Rate
from gate.common.outage import Outage
from gate.common.seldom import Seldom
from gate.common.uuids import is_uuid
from gate.rules.first_entry import Claim, Grant, Returned
from hub.config import WATCH, HubConfig
from hub.db.connection import Connection, is_outage, one_line
from hub.db.statements import query
from hub.db.worker import DatabaseWorker
from hub.gates.budgets import GateBudgets, GateFloods
from hub.gates.status_message import decode_status
from hub.mqtt.inbox import Delivery
from hub.mqtt.link import BrokerLink, HubLink, client_id
from hub.mqtt.shared_outage import SharedOutage
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
"""A gate that said nothing for so long is not asked to lend (domain 2.3: half of `isolated_after`)."""
STALE_US = 1_000_000
"""A claim that lay here for so long is not answered: its guest was let in or sent away long ago."""
KEPT = timedelta(days=7)
"""Claims and lends are of one night; they are kept a while, for whoever asks what happened."""
FORGET_PORTION = 1000
"""Rows that are deleted at once: a claim waits for that no longer than a guest would notice."""
_DOUBT_US = 5_000_000
"""After a claim failed, probes are not answered for so long: doors would ask again at once, and in vain."""
MOST_A_SECOND = 200
"""Messages of one gate that are looked at, of all kinds: it answers for the tickets of others, too."""
BURST_S = 30.0
"""So long may a gate claim twice as fast as people can walk through it; then it has to keep quiet for as long
as `gate.common.allowance` says. What is dropped of returns, the sweep finds."""
TAKEN_BACK = timedelta(minutes=10)
"""Of a gate that claims too fast, what it was granted since then and has not used is taken back."""
RETURNS_HELD = 500
"""While Postgres is away; half of what the broker may have outstanding here, so that claims still arrive."""
_FORGET_US = 3_600_000_000
_AT_ONCE = 1000
_POLL_SECONDS = 0.5
_RETRY_SECONDS = 0.5
_HASH = re.compile(r"[0-9a-f]{64}")

_KINDS: dict[type[object], str] = {Claim: "claims", Returned: "returns", GateStatus: "statuses"}

_log = structlog.get_logger()
Wanted = dict[str, Any]
_IN_THE_WAY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.UniqueViolation,
)
"""Somebody else holds what the claim needs; the connection is sound."""
_OF_ONE_TICKET = (psycopg.errors.LockNotAvailable, psycopg.errors.UniqueViolation)
"""Says nothing of other tickets: their claims are answered, and every door goes on asking."""


def rates_of_claims(guests_per_second: float) -> dict[str, Rate]:
    """Budgets of what a gate asks and says, beside which it may not harm the others."""
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
        self._heard_now: list[Delivery] = []
        self._seldom = Seldom(self._seconds)
        self._shares = GateBudgets(rates_of_claims(guests_per_second), self._seconds)
        self._floods = GateFloods(venue, "claims", self._seconds)
        self._flooding: set[str] = set()
        self._doubt_until = 0
        self._forget_at = 0

    def turn(self, conn: Connection, wait_s: float) -> None:
        """Once round: everything that has arrived is answered.

        :param conn: in autocommit.
        :param wait_s: how long to wait for a message.
        :raises psycopg.Error: Postgres is away. Who has claimed gets no answer; what was returned is kept
            for the next turn, and the broker has it until it is written down.
        """
        self.hear(wait_s)
        self._give_back(conn)
        while self._asked:
            self._answer(conn, *self._asked.popleft())
        self._acknowledge_heard()
        self._take_back(conn)
        self._floods.cut_off(self._line.inbox.cut_off)
        self._floods.tell(conn)
        self._forget_old(conn)

    def hear(self, wait_s: float) -> None:
        """Take what has arrived; also while Postgres is away, or the broker would drop what is returned."""
        self._line.tend()
        self._acknowledge_heard()  # what a failed turn left
        with contextlib.suppress(queue.Empty):
            self._take(self._line.inbox.get(timeout=wait_s))
            for _ in range(_AT_ONCE):
                self._take(self._line.inbox.get_nowait())

    def _take(self, message: Delivery) -> None:
        gate_id = self._topics.gate_of(message.topic)
        try:
            if gate_id is None:
                raise WireError("not a topic of this venue's gates")
            said = None if self._is_beyond(gate_id, "messages") else _read(message, self._topics, gate_id)
        except WireError as error:
            self._line.acknowledge(message)
            self._say(gate_id or "", str(error))
            return
        if said is None or self._is_beyond(gate_id, _KINDS.get(type(said))):
            self._line.acknowledge(message)
            return
        if isinstance(said, Returned) and len(self._returned) < RETURNS_HELD:
            # the only one that must not get lost: the broker has it until it is in Postgres
            earlier = self._returned.get((gate_id, said.scan_id))
            if earlier is not None:
                self._line.acknowledge(earlier)  # said again: one of them is enough
            self._returned[gate_id, said.scan_id] = message
            return
        self._heard_now.append(message)
        self._note_heard(gate_id, said, message)
        self._asked.append((gate_id, said, message.at_us or self._clock()))

    def _acknowledge_heard(self) -> None:
        """After the answers: the thread that writes it would be in the way of who waits at a door."""
        if self._heard_now:
            self._line.acknowledge(*self._heard_now)
            self._heard_now = []

    def _answer(self, conn: Connection, gate_id: str, said: ToHub | GateStatus, at_us: int) -> None:
        match said:
            case Claim() | Probe() if self._shares.spent(gate_id, "claims"):
                pass  # there is no hub for a gate that claims too fast: it goes by its policy
            case Claim() if self._clock() - at_us <= STALE_US:
                self._claim(conn, gate_id, said)
            case LendAnswer():
                self._settle(conn, gate_id, said)
            case Probe() if self._clock() - at_us <= STALE_US:
                self._tell_time(conn, gate_id, said, at_us)
            case GateStatus():
                self._sweep(conn, said)

    def _seconds(self) -> float:
        return self._clock() / 1_000_000

    def _is_beyond(self, gate_id: str, kind: str | None) -> bool:
        """Whether a message goes beyond its gate's share, and is not looked at any further."""
        if kind is None:
            return False
        if not self._shares.spent(gate_id, kind):
            self._shares.take(gate_id, kind)
            return False
        self._shares.insist(gate_id, kind)
        self._floods.turned_away(gate_id)
        if kind == "claims":
            self._flooding.add(gate_id)
        return True

    def _take_back(self, conn: Connection) -> None:
        """Guests at other gates are not refused for what nobody came in with."""
        for gate_id in list(self._flooding):
            wanted = self._always() | {"gate_id": gate_id, "since": self._always()["now"] - TAKEN_BACK}
            with contextlib.suppress(*_IN_THE_WAY):  # the next turn, then
                conn.execute(query("take_back_grants"), wanted)
                self._flooding.discard(gate_id)

    def _note_heard(self, gate_id: str, said: ToHub | GateStatus, message: Delivery) -> None:
        if isinstance(said, GateStatus) and not said.online:
            self._heard.pop(gate_id, None)
        elif not message.retained:
            self._heard[gate_id] = message.at_us or self._clock()

    def _present(self) -> list[str]:
        """The gates that can be asked something, and no memory of the others."""
        now = self._clock()
        # what was heard in the future was heard before the hub's clock was set back
        self._heard = {gate_id: at for gate_id, at in self._heard.items() if 0 <= now - at <= HEARD_US}
        return list(self._heard)

    def _claim(self, conn: Connection, gate_id: str, claim: Claim) -> None:
        wanted: Wanted = {"gate_id": gate_id, "scan_id": claim.scan_id, "code_hash": claim.code_hash}
        wanted |= {"event_id": claim.event_id, "epoch": claim.epoch, "heard": self._present()}
        self._tell(gate_id, claim, self._ask(conn, "claim_entry", wanted))

    def _settle(self, conn: Connection, gate_id: str, lent: LendAnswer) -> None:
        wanted: Wanted = {"gate_id": gate_id, "scan_id": lent.scan_id, "code_hash": lent.code_hash}
        wanted |= {"lent": lent.lent, "used": lent.used, "heard": self._present()}
        self._tell(gate_id, lent, self._ask(conn, "settle_lend", wanted))

    def _tell(self, gate_id: str, said: Claim | LendAnswer, told: Wanted | None) -> None:
        """Say what ``claim_entry`` returned to whom it concerns, if anybody."""
        if told is None:
            return
        if "refused" in told:
            self._say(gate_id, told["refused"])
        elif "lend" in told:
            lend = LendRequest(
                scan_id=said.scan_id, code_hash=said.code_hash, event_id=told["event_id"], to=told["to"]
            )
            self._publish(told["lend"], lend)
        else:
            self._publish(told["to"], msgspec.convert(told["grant"] | {"scan_id": said.scan_id}, Grant))

    def _tell_time(self, conn: Connection, gate_id: str, probe: Probe, at_us: int) -> None:
        """After a trip to where claims are answered, or not at all."""
        row = conn.execute(query("claims_ready")).fetchone()
        # a doubt that would last longer than any is one from before the hub's clock was set back
        in_doubt = 0 < self._doubt_until - self._clock() <= _DOUBT_US
        if row is not None and row["ready"] and not in_doubt:
            self._publish(gate_id, HubTime(id=probe.id, received_us=at_us, sent_us=self._clock()))

    def _sweep(self, conn: Connection, status: GateStatus) -> None:
        """A gate that has all its journal here does not use its older grants any more (``sweep_claims``)."""
        if status.online and status.boot_id and None not in (status.epoch, status.monotonic_ms):
            names = ("gate_id", "epoch", "last_seq", "acked", "boot_id", "monotonic_ms")
            wanted: Wanted = {name: getattr(status, name) for name in names}
            self._ask(conn, "sweep_claims", wanted | {"door": status.door is True})

    def _give_back(self, conn: Connection) -> None:
        for key, message in list(self._returned.items()):
            wanted = {"gate_id": key[0], "scan_id": key[1]} | self._always()
            try:
                conn.execute(query("give_back"), wanted)
            except _IN_THE_WAY as error:
                self._say(key[0], one_line(error))
                continue
            self._line.acknowledge(message)
            del self._returned[key]

    def _ask(self, conn: Connection, name: str, wanted: Wanted) -> Wanted | None:
        """The one column of a query's row; None also if somebody was in the way twice."""
        for _ in range(2):
            try:
                row = conn.execute(query(name), wanted | self._always()).fetchone()
            except psycopg.Error as error:
                if not isinstance(error, _OF_ONE_TICKET):
                    self._doubt_until = self._clock() + _DOUBT_US
                if is_outage(error) and not isinstance(error, _IN_THE_WAY):
                    raise
                self._say(wanted["gate_id"], one_line(error))
                if isinstance(error, (psycopg.errors.DeadlockDetected, psycopg.errors.UniqueViolation)):
                    continue
                return None
            return None if row is None else next(iter(row.values()))
        return None

    def _always(self) -> Wanted:
        now = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=self._clock())
        return {"venue": self._topics.venue, "now": now}

    def _publish(self, gate_id: str, message: Grant | HubTime | LendRequest) -> None:
        """Not while the broker is away: an answer that comes later is of no use."""
        if self._line.is_up:
            self._line.publish(self._topics.grants(gate_id), encode(message))

    def _forget_old(self, conn: Connection) -> None:
        """A portion a turn, until nothing is left of it; then again in an hour."""
        now_us = self._clock()
        # what is further away than that is of before the hub's clock was set back
        if 0 < self._forget_at - now_us <= _FORGET_US:
            return
        wanted = {"before": self._always()["now"] - KEPT, "portion": FORGET_PORTION}
        gone = [conn.execute(query(name), wanted).rowcount for name in ("forget_claims", "forget_lends")]
        if max(gone) < FORGET_PORTION:
            self._forget_at = now_us + _FORGET_US

    def _say(self, gate_id: str, why: str) -> None:
        self._seldom.say(_log.warning, "a gate's claim is not answered", gate_id=gate_id, error=why)


def _read(message: Delivery, topics: Topics, gate_id: str) -> ToHub | GateStatus:
    """Raises `WireError`: it cannot be read, or not be looked up."""
    if message.topic == topics.status(gate_id):
        return decode_status(message.payload, gate_id)
    said = to_hub(message.payload)
    if isinstance(said, Claim | LendAnswer) and not _HASH.fullmatch(said.code_hash):
        raise WireError("its code_hash is no SHA-256 in lower-case hex")
    if isinstance(said, Claim) and not EPOCH.fullmatch(said.epoch):
        raise WireError("its epoch is none")
    for name in ("scan_id", "event_id"):
        if (found := getattr(said, name, None)) is not None and not is_uuid(found):
            raise WireError(f"its {name} is no UUID")
    return said


@contextlib.contextmanager
def claims_worker(
    config: HubConfig, outage: SharedOutage | None = None, company: VenueGates | None = None
) -> Iterator[None]:
    """Answers claims while the block runs, over connections of its own."""
    topics = Topics(venue=config.venue)
    name = client_id(config.venue, "claims")
    broker = BrokerLink(config.mqtt, name, topics.claims(), topics.status(), outage=outage, company=company)
    guests = config.watch.guests_per_second
    claims = ClaimAnswers(config.venue, broker, lambda: time.time_ns() // 1000, guests)
    worker = DatabaseWorker(
        "claims",
        config.postgres.dsn,
        lambda conn, _stop: claims.turn(conn, _POLL_SECONDS),
        begin=lambda conn: conn.execute(query("claims_patience")),
        outage=Outage("Postgres (claims)"),
        pause=lambda: claims.hear(_RETRY_SECONDS),
    )
    with contextlib.closing(broker), worker:
        yield
