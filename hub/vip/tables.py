"""Tables sold: reservations, and the joint checkout of a table and its host's ticket.

Each function is one transaction and commits. A repeated payment gets the answer of the first time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection


class Purchaser(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The host, who buys the table. `email`: by which the shop knows them afterwards."""

    name: str
    email: str | None = None
    phone: str | None = None
    special_requests: str | None = None


class HostTicket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The host's own ticket, whose code is the only one they show. `price_cents`: its part of the payment."""

    ticket_id: str
    price_cents: int
    qr_code_data: str | None = None
    qr_signature: str | None = None
    ticket_type: str | None = None


class Reservation(FunctionAnswer, frozen=True, kw_only=True):
    """A reserved table; `already`: by an earlier call. `pass_ids`: uuids by guest number.

    `error`: ``INVALID_ARGUMENT``, ``INVALID_AMOUNT``, ``EVENT_NOT_FOUND``, ``EVENT_CANCELLED``,
    ``EVENT_COMPLETED``, ``EVENT_OVER``, ``TABLE_NOT_FOUND``, ``TABLE_NOT_AVAILABLE``, ``CAPACITY_EXCEEDED``,
    ``ALREADY_PROCESSED``; of a confirmation also ``RESERVATION_NOT_FOUND`` and
    ``RESERVATION_NOT_CONFIRMED`` (paid too late: the payment has to be refunded).
    """

    already: bool = False
    reservation_id: str | None = None
    qr_code_token: str | None = None
    invite_code: str | None = None
    status: Literal["pending", "confirmed", "checked_in", "completed", "cancelled"] | None = None
    pass_ids: tuple[str, ...] = ()


class Checkout(FunctionAnswer, frozen=True, kw_only=True):
    """A table with its host's ticket; `already`: by an earlier call. `qr_code`: the host's only code.

    `error`: those of `Reservation`, and ``SOLD_OUT``.
    """

    already: bool = False
    order_id: str | None = None
    reservation_id: str | None = None
    ticket_id: str | None = None
    link_id: str | None = None
    invite_code: str | None = None
    qr_code: str | None = None

    def __repr__(self) -> str:
        """Without the codes, because they open the door."""
        return f"Checkout(success={self.success}, error={self.error}, order_id={self.order_id})"


def create_vip_reservation_atomic(  # noqa: PLR0913 – what a reservation consists of
    conn: Connection,
    event_id: str,
    table_id: str,
    purchaser: Purchaser,
    amount_cents: int,
    *,
    stripe_payment_intent_id: str | None = None,
    package: Mapping[str, Any] | None = None,
    guest_passes: int = 0,
) -> Reservation:
    """Reserve a table with its guest passes: confirmed if a payment is named, else pending."""
    return ask(
        conn,
        "create_vip_reservation_atomic",
        Reservation,
        event_id=event_id,
        table_id=table_id,
        purchaser=_json(purchaser),
        amount_cents=amount_cents,
        stripe_payment_intent_id=stripe_payment_intent_id,
        package=_json(package or {}),
        guest_passes=guest_passes,
    )


def confirm_vip_reservation(
    conn: Connection, reservation_id: str, stripe_payment_intent_id: str, amount_cents: int
) -> Reservation:
    """Confirm a pending reservation that was paid."""
    return ask(
        conn,
        "confirm_vip_reservation",
        Reservation,
        reservation_id=reservation_id,
        stripe_payment_intent_id=stripe_payment_intent_id,
        amount_cents=amount_cents,
    )


def create_unified_vip_checkout(  # noqa: PLR0913, PLR0917 – what a checkout consists of
    conn: Connection,
    event_id: str,
    table_id: str,
    purchaser: Purchaser,
    amount_cents: int,
    ticket: HostTicket,
    *,
    stripe_payment_intent_id: str | None,
    stripe_session_id: str | None = None,
    package: Mapping[str, Any] | None = None,
    guest_passes: int = 0,
) -> Checkout:
    """Buy a table and the host's own ticket together: both or nothing.

    :param amount_cents: the payment for both.
    """
    return ask(
        conn,
        "create_unified_vip_checkout",
        Checkout,
        event_id=event_id,
        table_id=table_id,
        purchaser=_json(purchaser),
        amount_cents=amount_cents,
        ticket=_json(ticket),
        stripe_payment_intent_id=stripe_payment_intent_id,
        stripe_session_id=stripe_session_id,
        package=_json(package or {}),
        guest_passes=guest_passes,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
