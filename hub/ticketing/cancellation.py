"""Cancels a night before it starts, and refunds what was paid (domain 2.2, Cancellation)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection
from hub.db.statements import query


class CancelledNight(msgspec.Struct, frozen=True, kw_only=True):
    """The night to cancel."""

    event_id: str
    code: str
    name: str
    starts_at: datetime


class RefundShare(msgspec.Struct, frozen=True, kw_only=True):
    """Number and sum of the refunds of one kind."""

    count: int = 0
    cents: int = 0


class RefundsByKind(msgspec.Struct, frozen=True, kw_only=True):
    """`tables`: with everything paid together with them. `tickets`: sold without an order."""

    orders: RefundShare = RefundShare()
    tables: RefundShare = RefundShare()
    tickets: RefundShare = RefundShare()


class _CancellationFigures(FunctionAnswer, frozen=True, kw_only=True):
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


class CancellationPreview(_CancellationFigures, frozen=True, kw_only=True):
    """What a cancellation would do. `by_hand_cents`: paid, but not through the payment service.

    `error` if `can_cancel` is false: ``EVENT_STARTED``, ``EVENT_CANCELLED``, ``EVENT_COMPLETED``; without
    `success`: ``EVENT_NOT_FOUND``, ``NOT_ALLOWED``.
    """

    can_cancel: bool = False


class CancellationResult(_CancellationFigures, frozen=True, kw_only=True):
    """What a cancellation did; `already`: an earlier one did, with these figures.

    `error`: those of `CancellationPreview`, ``INVALID_ARGUMENT``, and ``INVALID_AMOUNT`` if the refunds are
    not as expected; `refund_total_cents` then has their sum.
    """

    already: bool = False
    cancelled_at: datetime | None = None
    cancelled_by: str = ""
    reason: str = ""


class RefundedOrder(FunctionAnswer, frozen=True, kw_only=True):
    """`refund_id`: None if it was not paid through the payment service.

    `error`: ``ORDER_NOT_FOUND``, ``NOT_ALLOWED``, ``INVALID_ARGUMENT``.
    """

    already: bool = False
    order_id: str | None = None
    refund_id: str | None = None
    ticket_ids: tuple[str, ...] = ()


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A payment to refund. `refund_id` is its idempotency key at the payment service."""

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
    """What cancelling a night would do and cost; changes nothing."""
    return ask(conn, "preview_event_cancellation", CancellationPreview, event_id=event_id)


def cancel_event(
    conn: Connection, event_id: str, actor: str, reason: str, expected_total_cents: int | None = None
) -> CancellationResult:
    """Cancel everything of a night that has not started, and queue the refund of each payment once.

    :param expected_total_cents: the refunds that were shown and confirmed; nothing is done if they changed.
    """
    return ask(
        conn,
        "cancel_event",
        CancellationResult,
        event_id=event_id,
        actor=actor,
        reason=reason,
        expected_total_cents=expected_total_cents,
    )


def refund_order(conn: Connection, order_id: str, reason: str, actor: str) -> RefundedOrder:
    """Refund one order; its tickets are no longer valid."""
    return ask(conn, "refund_order", RefundedOrder, order_id=order_id, reason=reason, actor=actor)


def next_refunds(conn: Connection, limit: int = 10) -> list[Refund]:
    """Refunds that are due, reserved for this worker for ten minutes.

    :raises psycopg.Error: the database failed; the worker asks again later.
    """
    with conn.transaction():
        rows = conn.execute(query("next_refunds"), {"limit": limit}).fetchall()
    return [msgspec.convert(row, Refund) for row in rows]


def refund_done(conn: Connection, refund_id: str, stripe_refund_id: str) -> RefundOutcome:
    """The payment service has made the refund."""
    return ask(conn, "refund_done", RefundOutcome, refund_id=refund_id, stripe_refund_id=stripe_refund_id)


def refund_failed(conn: Connection, refund_id: str, error: str) -> RefundOutcome:
    """The refund failed; it is tried again later, five times in all. `error`: the payment service's words."""
    return ask(conn, "refund_failed", RefundOutcome, refund_id=refund_id, error=error)
