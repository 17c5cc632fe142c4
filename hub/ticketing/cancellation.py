"""Cancelling a night before it starts, and giving the money back (domain 2.2, Cancellation)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection
from hub.db.statements import query


class CancelledNight(msgspec.Struct, frozen=True, kw_only=True):
    """The night it is about."""

    event_id: str
    code: str
    name: str
    starts_at: datetime


class RefundShare(msgspec.Struct, frozen=True, kw_only=True):
    """How many refunds of one kind, and how much."""

    count: int = 0
    cents: int = 0


class RefundsByKind(msgspec.Struct, frozen=True, kw_only=True):
    """`tables`: with all that was paid with them. `tickets`: sold without an order."""

    orders: RefundShare = RefundShare()
    tables: RefundShare = RefundShare()
    tickets: RefundShare = RefundShare()


class _Numbers(FunctionAnswer, frozen=True, kw_only=True):
    event: CancelledNight | None = None
    orders: int = 0
    tickets: int = 0
    reservations: int = 0
    guest_passes: int = 0
    refunds: int = 0
    refund_total_cents: int = 0
    by_kind: RefundsByKind = RefundsByKind()
    by_hand_cents: int = 0
    currency: str | None = None


class CancellationPreview(_Numbers, frozen=True, kw_only=True):
    """What cancelling would do. `by_hand_cents`: paid, but not through the payment service.

    `error` if `can_cancel` is false: ``EVENT_STARTED``, ``EVENT_CANCELLED``, ``EVENT_COMPLETED``; without
    `success`: ``EVENT_NOT_FOUND``, ``NOT_ALLOWED``.
    """

    can_cancel: bool = False


class CancellationResult(_Numbers, frozen=True, kw_only=True):
    """What a cancellation did; `already`: somebody else did it before, with these numbers.

    `error`: those of `CancellationPreview`, ``INVALID_ARGUMENT``, and ``INVALID_AMOUNT`` when the refunds are
    not what was expected; `refund_total_cents` is then what they are.
    """

    already: bool = False
    cancelled_at: datetime | None = None
    cancelled_by: str = ""
    reason: str = ""


class RefundedOrder(FunctionAnswer, frozen=True, kw_only=True):
    """`refund_id`: None if no payment service knows of it.

    `error`: ``ORDER_NOT_FOUND``, ``NOT_ALLOWED``, ``INVALID_ARGUMENT``.
    """

    already: bool = False
    order_id: str | None = None
    refund_id: str | None = None
    ticket_ids: tuple[str, ...] = ()


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """Money to be given back. `refund_id` is its idempotency key at the payment service."""

    refund_id: str
    stripe_payment_intent_id: str
    amount_cents: int
    currency: str
    attempts: int
    event_id: str | None = None
    order_id: str | None = None
    reservation_id: str | None = None


class RefundOutcome(FunctionAnswer, frozen=True, kw_only=True):
    """`error`: ``REFUND_NOT_FOUND``, ``ALREADY_PROCESSED``."""

    already: bool = False
    refund_id: str | None = None
    status: str = ""
    attempts: int = 0


def preview_event_cancellation(conn: Connection, event_id: str) -> CancellationPreview:
    """What cancelling this night would do and cost; changes nothing."""
    return ask(conn, "preview_event_cancellation", CancellationPreview, event_id=event_id)


def cancel_event(
    conn: Connection, event_id: str, actor: str, reason: str, expected_total_cents: int | None = None
) -> CancellationResult:
    """Cancel a night that has not started, everything of it, and queue each payment's refund once.

    :param expected_total_cents: the refunds whoever confirmed was shown; nothing is done if they changed.
    """
    return ask(
        conn,
        "cancel_event",
        CancellationResult,
        event_id=event_id,
        actor=actor,
        reason=reason,
        expected=expected_total_cents,
    )


def refund_order(conn: Connection, order_id: str, reason: str, actor: str) -> RefundedOrder:
    """Give one order's money back; its tickets are good for nothing from then on."""
    return ask(conn, "refund_order", RefundedOrder, order_id=order_id, reason=reason, actor=actor)


def next_refunds(conn: Connection, limit: int = 10) -> list[Refund]:
    """Refunds that are due, now this worker's for ten minutes.

    :raises psycopg.Error: the database is to blame; the worker asks again later.
    """
    with conn.transaction():
        rows = conn.execute(query("next_refunds"), {"limit": limit}).fetchall()
    return [msgspec.convert(row, Refund) for row in rows]


def refund_done(conn: Connection, refund_id: str, stripe_refund_id: str) -> RefundOutcome:
    """The payment service has given the money back."""
    return ask(conn, "refund_done", RefundOutcome, refund_id=refund_id, stripe_refund_id=stripe_refund_id)


def refund_failed(conn: Connection, refund_id: str, error: str) -> RefundOutcome:
    """It has not: tried again later, five times in all. `error`: the payment service's words."""
    return ask(conn, "refund_failed", RefundOutcome, refund_id=refund_id, reason=error)
