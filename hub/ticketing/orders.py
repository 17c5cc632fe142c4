"""Orders of tickets, failed payments, and the payment service's messages, each handled once.

Nothing here talks to the payment service. Its messages are passed to these functions as often as they come.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection

PaymentType = Literal["ga_ticket", "vip_reservation"]


class SoldTicket(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket of an order. `price_cents`: its price without fees."""

    ticket_id: str
    qr_code_data: str
    ticket_type: str
    price_cents: int
    qr_signature: str | None = None
    guest_name: str | None = None
    guest_email: str | None = None
    guest_phone: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid. `total_amount_cents`: with fees. Repetitions are known by payment or session."""

    event_id: str
    total_amount_cents: int
    currency: str = "usd"
    stripe_payment_intent_id: str | None = None
    stripe_session_id: str | None = None
    stripe_customer_id: str | None = None
    customer_email: str | None = None
    customer_name: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class RecordedOrder(FunctionAnswer, frozen=True, kw_only=True):
    """A recorded order; `already`: by an earlier call. `ticket_ids`: uuids, in the lines' order.

    `error`: ``EVENT_NOT_FOUND``, ``EVENT_CANCELLED``, ``EVENT_COMPLETED``, ``EVENT_OVER``, ``SOLD_OUT``,
    ``ALREADY_PROCESSED`` (the payment bought something else), ``INVALID_AMOUNT``, ``INVALID_ARGUMENT``.
    After any of them there is a payment without a ticket: it has to be refunded.
    """

    already: bool = False
    order_id: str | None = None
    payment_id: str | None = None
    ticket_ids: tuple[str, ...] = ()
    ticket_count: int = 0
    total_amount_cents: int = 0
    currency: str = ""
    status: str = ""


class PaymentFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A failed payment, as the payment service reported it."""

    payment_type: PaymentType
    amount_cents: int
    error_message: str
    error_code: str | None = None
    stripe_event_id: str | None = None
    stripe_payment_intent_id: str | None = None
    customer_email: str | None = None
    event_id: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class RecordedFailure(FunctionAnswer, frozen=True, kw_only=True):
    """`error`: ``INVALID_ARGUMENT``, ``INVALID_AMOUNT``, ``EVENT_NOT_FOUND``."""

    already: bool = False
    failure_id: str | None = None


class Webhook(FunctionAnswer, frozen=True, kw_only=True):
    """`already`: the message was handled before, with this `outcome`. `error`: ``INVALID_ARGUMENT``."""

    already: bool = False
    outcome: str | None = None


def record_ticket_order(conn: Connection, order: Order, lines: tuple[SoldTicket, ...]) -> RecordedOrder:
    """Record order, payment and tickets in one transaction, once for each payment."""
    return ask(
        conn,
        "record_ticket_order",
        RecordedOrder,
        order=msgspec.json.encode(order).decode(),
        lines=msgspec.json.encode(lines).decode(),
    )


def record_payment_failure(conn: Connection, failure: PaymentFailure) -> RecordedFailure:
    """Record it for the owner, once for each message of the payment service."""
    wanted = msgspec.structs.asdict(failure) | {"metadata": msgspec.json.encode(failure.metadata).decode()}
    return ask(conn, "record_payment_failure", RecordedFailure, **wanted)


def webhook_begin(conn: Connection, stripe_event_id: str, kind: str) -> Webhook:
    """Begin to handle a message, in one transaction with the work and its end; skip it if `already`."""
    return ask(conn, "webhook_begin", Webhook, stripe_event_id=stripe_event_id, kind=kind)


def webhook_done(conn: Connection, stripe_event_id: str, outcome: str) -> Webhook:
    """The message is handled; `outcome`: the result, in a word or more."""
    return ask(conn, "webhook_done", Webhook, stripe_event_id=stripe_event_id, outcome=outcome)
