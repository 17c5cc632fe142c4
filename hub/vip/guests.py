"""A table's guest list and its seats (domain 2.1, 2.2).

The purchaser may change the list until the night starts, staff until it is over. Every function commits, and
answers with an `error` of docs/data-model.md instead of raising.
"""

from __future__ import annotations

from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection


class SeatedTicket(FunctionAnswer, frozen=True, kw_only=True):
    """A ticket on a guest list. `linked` of `capacity` seats have linked tickets.

    `error`: ``RESERVATION_NOT_FOUND``, ``TICKET_NOT_FOUND``, ``NOT_ALLOWED``, ``EVENT_CANCELLED``,
    ``EVENT_COMPLETED``, ``EVENT_OVER``, ``GUEST_LIST_FROZEN``, ``RESERVATION_NOT_CONFIRMED``,
    ``OTHER_EVENT``, ``TICKET_NOT_VALID``, ``TICKET_ALREADY_LINKED``, ``CAPACITY_EXCEEDED``; of an
    invite also ``INVITE_NOT_FOUND``.
    """

    link_id: str | None = None
    vip_reservation_id: str | None = None
    ticket_id: str | None = None
    linked: int | None = None
    capacity: int | None = None


class UnlinkedTicket(FunctionAnswer, frozen=True, kw_only=True):
    """A ticket taken off its guest list: general admission again.

    `error`: ``TICKET_NOT_FOUND``, ``TICKET_NOT_LINKED``, ``NOT_ALLOWED`` (also for the host's own
    ticket), ``EVENT_CANCELLED``, ``EVENT_COMPLETED``, ``EVENT_OVER``, ``GUEST_LIST_FROZEN``.
    """

    ticket_id: str | None = None
    vip_reservation_id: str | None = None


class TableSeats(FunctionAnswer, frozen=True, kw_only=True):
    """A table's seats: taken by passes that are not cancelled, by linked tickets, and left.

    `error`: ``RESERVATION_NOT_FOUND``, ``NOT_ALLOWED``.
    """

    capacity: int = 0
    passes: int = 0
    linked: int = 0
    remaining: int = 0


def link_ticket_to_vip(
    conn: Connection,
    reservation_id: str,
    ticket_id: str,
    linked_by: str | None = None,
    by_staff: bool = False,
) -> SeatedTicket:
    """Put a ticket on a table's guest list; a repetition changes nothing.

    :param linked_by: who did it, for the audit log; None for the login of the connection.
    :param by_staff: allowed at the door after the night has started, with an audit row.
    """
    return ask(
        conn,
        "link_ticket_to_vip",
        SeatedTicket,
        reservation_id=reservation_id,
        ticket_id=ticket_id,
        linked_by=linked_by,
        by_staff=by_staff,
    )


def unlink_ticket_from_vip(conn: Connection, ticket_id: str, actor: str | None = None) -> UnlinkedTicket:
    """Take a ticket off its table's guest list, and count the table's guests again."""
    return ask(conn, "unlink_ticket_from_vip", UnlinkedTicket, ticket_id=ticket_id, actor=actor)


def check_vip_capacity(conn: Connection, reservation_id: str) -> TableSeats:
    """A table's seats, and how many are left."""
    return ask(conn, "check_vip_capacity", TableSeats, reservation_id=reservation_id)


def join_vip_by_invite(conn: Connection, invite_code: str, ticket_id: str) -> SeatedTicket:
    """A guest joins the table of this invite code with their own ticket, until the night starts."""
    return ask(conn, "join_vip_by_invite", SeatedTicket, invite_code=invite_code, ticket_id=ticket_id)
