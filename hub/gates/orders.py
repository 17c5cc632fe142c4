"""Orders of staff to gates: signed here, verified at the door (domain 2.3, "Overrides"; ADR 0017).

Written down with who and why before it is sent; what became of it is the gate's reply, and for good the
record that comes out of its journal with the scans.
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
LOOK_AGAIN = timedelta(seconds=10)
LATE = timedelta(seconds=5)
"""So much later than an order expires its answer may still be on its way."""

_log = structlog.get_logger()


class CommandError(HubError):
    """The order was not given."""


class GateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants of a gate. `text`: what to show, of ``show_text``. `valid_s`: seconds."""

    gate_id: str
    action: str
    reason: str
    actor: str
    text: str = ""
    valid_s: int = 30


def make_command(order: GateOrder, now: datetime) -> Command:
    """The command of an order, from `now` on.

    :raises UsageError: it makes no sense; no gate would follow it.
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
    """What is wrong with an order, as far as itself tells."""
    if not GATE_ID.fullmatch(order.gate_id):
        yield f"GATE: {order.gate_id[:64]!r} is no gate's id; maguey-hub gates lists them."
    if order.action not in ACTIONS:
        yield f"ACTION: there is no {order.action[:40]!r}; expected one of {', '.join(ACTIONS)}."
    if bool(order.text.strip()) != (order.action == "show_text"):
        yield "--text: show_text needs a text, and nothing else has one."
    yield from _wording("--text", order.text)
    yield from reason_mistakes(order.reason, order.actor)
    if not 0 < order.valid_s <= LONGEST_LIFE_S:
        yield f"--valid: expected 1 to {LONGEST_LIFE_S} s, not {order.valid_s}; an order is for now."


def reason_mistakes(reason: str, actor: str) -> Iterator[str]:
    """What is wrong with who did something and why, as it is recorded of every order."""
    for name, said, question in (("--reason", reason, "why"), ("--actor", actor, "who you are")):
        if not said.strip():
            yield f"{name}: say {question}; it is recorded."
        yield from _wording(name, said)


def _wording(name: str, said: str) -> Iterator[str]:
    if len(said) > LONGEST_TEXT:
        yield f"{name}: expected at most {LONGEST_TEXT} characters, not {len(said)}."
    if not said.isprintable():
        yield f"{name}: holds characters that cannot be printed."


class OrderSender:
    """Gives orders to the gates of one venue.

    :param broker: connected, and subscribed to the replies that are to be waited for.
    """

    def __init__(self, broker: BrokerLink, venue: str, signer: Signer) -> None:
        self._broker = broker
        self._venue = venue
        self._signer = signer

    def give(self, conn: Connection, order: GateOrder, now: datetime) -> Command:
        """Write an order down, then send it.

        :raises UsageError: it makes no sense, or there is no such gate; nothing was sent.
        :raises CommandError: there is no broker, or the gate was revoked; nothing was sent.
        :raises psycopg.Error: it could not be written down; nothing was sent.
        """
        command = make_command(order, now)
        if not self._broker.is_up:
            raise CommandError(f"{NOT_GIVEN}: the MQTT broker does not answer. Check [mqtt].")
        if find_gate(conn, self._venue, command.gate_id, NOT_GIVEN)["revoked"]:
            raise CommandError(f"{NOT_GIVEN}: {command.gate_id} was revoked, and is told nothing any more.")
        self._write_down(conn, command)
        sealed = seal(command, self._signer.key_id, self._signer.key)
        topic = Topics(venue=self._venue).commands(command.gate_id)
        self._broker.publish(topic, sealed, expires_s=order.valid_s)
        return command

    def gate(self, conn: Connection, gate_id: str) -> DictRow | None:
        """What is known of a gate of this venue: `gate_health`."""
        wanted = {"venue": self._venue, "gate_id": gate_id}
        return conn.execute(query("gate_to_order"), wanted).fetchone()

    def wait(self, command: Command, seconds: float) -> OrderReply | None:
        """What the gate says became of it; None if it says nothing in time. Other messages are dropped."""
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

    def _write_down(self, conn: Connection, command: Command) -> None:
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
    """Says in the log, once, that an order expired and nobody answered it."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._told: datetime | None = None

    def tell(self, conn: Connection, now: datetime) -> None:
        """Look every ten seconds. One that started says again what expired within the last ten minutes.

        :raises psycopg.Error: the database is away; what expired is told later.
        """
        until = now - LATE
        after = self._told or until - timedelta(seconds=LONGEST_LIFE_S)
        if until < after + LOOK_AGAIN:
            return
        wanted = {"venue": self._venue, "after": after, "until": until}
        for row in conn.execute(query("orders_unanswered"), wanted).fetchall():
            _log.warning(
                "an order expired and was never answered; if it was followed, the gate's scans will tell: "
                "maguey-hub orders",
                **row,
            )
        self._told = until


def decode_reply(message: Delivery, topics: Topics) -> OrderReply:
    """Read a reply. Raises `WireError`: it cannot be read, or is not of the gate whose topic it came on."""
    if len(message.payload) > LONGEST_ENVELOPE:
        raise WireError(f"a reply of {len(message.payload)} bytes")
    reply = decode(message.payload, OrderReply)
    if reply.gate_id != topics.gate_of(message.topic):
        raise WireError(f"a reply of gate {reply.gate_id[:64]!r} on the topic {message.topic[:200]}")
    return reply


def take_reply(conn: Connection, reply: OrderReply, now: datetime) -> None:
    """Note what a gate says became of an order; of orders nobody gave, and again, nothing happens."""
    if is_written_uuid(reply.id):
        why = reply.why[:LONGEST_TEXT].replace("\0", "")
        wanted = {"id": reply.id, "gate_id": reply.gate_id, "outcome": reply.outcome, "why": why, "now": now}
        conn.execute(query("take_reply"), wanted)
