"""Staff's orders to gates: signed here, verified at the door (domain 2.3, "Overrides"; ADR 0017).

An order is recorded, with who gave it and why, before it is sent. The gate's reply says what became of it;
the record that comes from its journal with the scans is the proof.
"""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, get_args

import msgspec
import structlog
from psycopg.rows import DictRow

from gate.common.uuids import is_written_uuid
from gate.rules.command import (
    LONGEST_ENVELOPE,
    LONGEST_LIFE_S,
    LONGEST_TEXT,
    Action,
    Command,
    OrderReply,
    seal,
)
from hub.db.connection import Connection
from hub.db.statements import query
from hub.errors import HubError, UsageError
from hub.gates.home_gates import find_gate
from hub.gates.signing_key import Signer
from hub.mqtt.inbox import Delivery
from sync.wire.messages import WireError, decode
from sync.wire.topics import GATE_ID, Topics

if TYPE_CHECKING:
    from hub.mqtt.link import BrokerLink

ACTIONS: tuple[str, ...] = get_args(Action)
NOT_GIVEN = "The order was not given"
CHECK_EVERY = timedelta(seconds=10)
LATE = timedelta(seconds=5)
"""How long after an order expires its reply may still be on its way."""

_log = structlog.get_logger()


class CommandError(HubError):
    """The order was not given."""


class GateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants of a gate. `text`: to be shown, for ``show_text``. `valid_s`: seconds."""

    gate_id: str
    action: str
    reason: str
    actor: str
    text: str = ""
    valid_s: int = 30


def make_command(order: GateOrder, now: datetime) -> Command:
    """The command for an order, valid from `now` on.

    :raises UsageError: no gate would follow it.
    """
    wrong = list(order_mistakes(order))
    if wrong:
        raise UsageError(NOT_GIVEN, wrong)
    return Command(
        id=str(uuid.uuid4()),
        gate_id=order.gate_id,
        action=msgspec.convert(order.action, Action),
        reason=order.reason.strip(),
        actor=order.actor.strip(),
        issued_at=now,
        expires_at=now + timedelta(seconds=order.valid_s),
        text=order.text.strip(),
    )


def order_mistakes(order: GateOrder) -> Iterator[str]:
    """What is wrong with an order by itself."""
    if not GATE_ID.fullmatch(order.gate_id):
        yield f"GATE: {order.gate_id[:64]!r} is no gate's id; maguey-hub gate list lists them."
    if order.action not in ACTIONS:
        yield f"ACTION: there is no {order.action[:40]!r}; expected one of {', '.join(ACTIONS)}."
    if bool(order.text.strip()) != (order.action == "show_text"):
        yield "--text: show_text needs a text, and no other action has one."
    yield from _wording("--text", order.text)
    yield from reason_mistakes(order.reason, order.actor)
    if not 0 < order.valid_s <= LONGEST_LIFE_S:
        yield f"--valid: expected 1 to {LONGEST_LIFE_S} s, not {order.valid_s}; an order is for now."


def reason_mistakes(reason: str, actor: str) -> Iterator[str]:
    """What is wrong with the reason and the name recorded with every order."""
    for name, said, question in (("--reason", reason, "why"), ("--actor", actor, "who you are")):
        if not said.strip():
            yield f"{name}: say {question}; it is recorded."
        yield from _wording(name, said)


def _wording(name: str, said: str) -> Iterator[str]:
    if len(said) > LONGEST_TEXT:
        yield f"{name}: expected at most {LONGEST_TEXT} characters, not {len(said)}."
    if not said.isprintable():
        yield f"{name}: has characters that cannot be printed."


class OrderSender:
    """Gives orders to the gates of one venue.

    :param broker: connected, and subscribed to the replies to wait for.
    """

    def __init__(self, broker: BrokerLink, venue: str, signer: Signer) -> None:
        self._broker = broker
        self._venue = venue
        self._signer = signer

    def give(self, conn: Connection, order: GateOrder, now: datetime) -> Command:
        """Record an order, then send it.

        :raises UsageError: the order is wrong, or there is no such gate; nothing was sent.
        :raises CommandError: there is no broker, or the gate was revoked; nothing was sent.
        :raises psycopg.Error: it could not be recorded; nothing was sent.
        """
        command = make_command(order, now)
        if not self._broker.is_up:
            raise CommandError(f"{NOT_GIVEN}: the MQTT broker does not answer. Check [mqtt].")
        if find_gate(conn, self._venue, command.gate_id, NOT_GIVEN)["revoked"]:
            raise CommandError(f"{NOT_GIVEN}: {command.gate_id} was revoked; it gets no orders any more.")
        self._record(conn, command)
        sealed = seal(command, self._signer.key_id, self._signer.key)
        topic = Topics(venue=self._venue).commands(command.gate_id)
        self._broker.publish(topic, sealed, expires_s=order.valid_s)
        return command

    def gate(self, conn: Connection, gate_id: str) -> DictRow | None:
        """What is known of a gate of this venue, by `gate_health`."""
        wanted = {"venue": self._venue, "gate_id": gate_id}
        return conn.execute(query("gate_to_order"), wanted).fetchone()

    def wait(self, command: Command, seconds: float) -> OrderReply | None:
        """The gate's reply; None if there is none in time. Other messages are dropped."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            reply = self._next_reply(left)
            if reply is not None and (reply.id, reply.gate_id) == (command.id, command.gate_id):
                return reply
        return None

    def _next_reply(self, seconds: float) -> OrderReply | None:
        try:
            message = self._broker.inbox.get(timeout=seconds)
            self._broker.acknowledge(message)
            return decode_reply(message, Topics(venue=self._venue))
        except (queue.Empty, WireError):
            return None

    def _record(self, conn: Connection, command: Command) -> None:
        row = msgspec.structs.asdict(command) | {"venue": self._venue, "key_id": self._signer.key_id}
        details = {"command": command.id, "text": command.text, "expires_at": command.expires_at}
        audit = {
            "actor": command.actor,
            "action": f"command {command.action}",
            "target": command.gate_id,
            "reason": command.reason,
            "details": msgspec.json.encode(details).decode(),
        }
        with conn.transaction():
            conn.execute(query("write_command"), row)
            conn.execute(query("write_audit"), audit)


class UnansweredOrders:
    """Logs, once, that an order expired without a reply."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._logged_until: datetime | None = None

    def log_expired(self, conn: Connection, now: datetime) -> None:
        """Look every ten seconds. After a start it logs again what expired in the last ten minutes.

        :raises psycopg.Error: the database is away; it is logged later.
        """
        until = now - LATE
        after = self._logged_until or until - timedelta(seconds=LONGEST_LIFE_S)
        if until < after + CHECK_EVERY:
            return
        wanted = {"venue": self._venue, "after": after, "until": until}
        for row in conn.execute(query("orders_unanswered"), wanted).fetchall():
            advice = "If it was followed, the gate's scans will tell: maguey-hub orders"
            _log.warning("order expired unanswered", **row, advice=advice)
        self._logged_until = until


def decode_reply(message: Delivery, topics: Topics) -> OrderReply:
    """Read a reply. Raises `WireError`: it cannot be read, or is not from the gate whose topic it came on."""
    if len(message.payload) > LONGEST_ENVELOPE:
        raise WireError(f"a reply of {len(message.payload)} bytes")
    reply = decode(message.payload, OrderReply)
    if reply.gate_id != topics.gate_of(message.topic):
        raise WireError(f"a reply of gate {reply.gate_id[:64]!r} on the topic {message.topic[:200]}")
    return reply


def take_reply(conn: Connection, reply: OrderReply, now: datetime) -> None:
    """Store a gate's reply to an order. A second reply, or one to an order nobody gave, changes nothing."""
    if is_written_uuid(reply.id):
        why = reply.why[:LONGEST_TEXT].replace("\0", "")
        wanted = {"id": reply.id, "gate_id": reply.gate_id, "outcome": reply.outcome, "why": why, "now": now}
        conn.execute(query("take_reply"), wanted)
