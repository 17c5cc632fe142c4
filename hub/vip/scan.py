"""The VIP scan contract from Python: domain 2.5, same fields, typed.

A database error is a result too, because nobody at a door can do anything with an exception.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
import psycopg
import structlog

from hub.db.call import RPC_ERROR, FunctionAnswer, ask, call
from hub.db.connection import Connection, one_line

_log = structlog.get_logger()


class VipScanResult(FunctionAnswer, frozen=True, kw_only=True):
    """The result of one scan of a guest pass.

    `error`: ``PASS_NOT_FOUND``, ``PASS_CANCELLED``, ``RESERVATION_NOT_FOUND``,
    ``RESERVATION_NOT_CONFIRMED`` or ``RPC_ERROR``; None on success. `last_entry_time`: the
    previous entry of either kind, only for a re-entry.
    """

    entry_type: Literal["first_entry", "reentry"] | None = None
    pass_id: str | None = None
    reservation_id: str | None = None
    guest_number: int | None = None
    checked_in_guests: int | None = None
    total_guests: int | None = None
    last_entry_time: datetime | None = None


class LinkedTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a ticket belongs to a VIP table, and whether its guest may therefore come back."""

    is_vip_linked: bool
    allow_reentry: bool = False
    vip_reservation_id: str | None = None
    table_number: int | None = None
    table_name: str | None = None
    reservation_status: str | None = None
    error: str | None = None
    message: str = ""


def process_vip_scan_with_reentry(
    conn: Connection, pass_id: str, scanned_by: str = "system"
) -> VipScanResult:
    """Scan a guest pass: first entry, re-entry, or why not. Commits.

    :param pass_id: uuid of the pass.
    :param scanned_by: gate id or a staff member's name, for the log.
    """
    return ask(conn, "process_vip_scan_with_reentry", VipScanResult, pass_id=pass_id, scanned_by=scanned_by)


def check_vip_linked_ticket_reentry(conn: Connection, ticket_id: str) -> LinkedTicket:
    """Whether a ticket is linked to a table whose guests may come back.

    :param ticket_id: uuid of the ticket. A database error reads as "not linked", with `error` set.
    """
    try:
        with conn.transaction():
            found = call(conn, "check_vip_linked_ticket_reentry", ticket_id=ticket_id)
        return msgspec.convert(found, LinkedTicket)
    except (psycopg.Error, msgspec.ValidationError, UnicodeError) as error:
        _log.error("link check failed", ticket_id=ticket_id, error=one_line(error))
        return LinkedTicket(is_vip_linked=False, error=RPC_ERROR, message=one_line(error))
