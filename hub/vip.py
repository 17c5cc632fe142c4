"""The VIP scan contract from Python: domain 2.5, same fields, typed.

Nobody at a door can do anything with an exception: a database error is a result too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec
import psycopg
import structlog

from hub.database import Connection, one_line
from hub.queries import query

_log = structlog.get_logger()

RPC_ERROR = "RPC_ERROR"
"""`VipScanResult.error` when the database itself failed."""


class VipScanResult(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of one scan of a guest pass.

    `error`: ``PASS_NOT_FOUND``, ``PASS_CANCELLED``, ``RESERVATION_NOT_FOUND``,
    ``RESERVATION_NOT_CONFIRMED`` or ``RPC_ERROR``; None on success. `last_entry_time`: the
    previous entry of either kind, only for a re-entry.
    """

    success: bool
    message: str = ""
    error: str | None = None
    entry_type: Literal["first_entry", "reentry"] | None = None
    pass_id: str | None = None
    reservation_id: str | None = None
    guest_number: int | None = None
    checked_in_guests: int | None = None
    total_guests: int | None = None
    last_entry_time: datetime | None = None


class LinkedTicket(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a ticket belongs to a VIP table, and whether that gives it the right to come back."""

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
    :param scanned_by: gate id or a staff member's name, as it shall stand in the log.
    """
    wanted = {"pass_id": pass_id, "scanned_by": scanned_by}
    try:
        return msgspec.convert(_call(conn, "process_vip_scan_with_reentry", wanted), VipScanResult)
    except (psycopg.Error, msgspec.ValidationError, UnicodeError) as error:
        _log.error("vip scan failed", pass_id=pass_id, error=one_line(error))
        return VipScanResult(success=False, error=RPC_ERROR, message=one_line(error))


def check_vip_linked_ticket_reentry(conn: Connection, ticket_id: str) -> LinkedTicket:
    """Whether a ticket is linked to a table whose guests may come back.

    :param ticket_id: uuid of the ticket. A database error reads as "not linked", with `error` set.
    """
    try:
        found = _call(conn, "check_vip_linked_ticket_reentry", {"ticket_id": ticket_id})
        return msgspec.convert(found, LinkedTicket)
    except (psycopg.Error, msgspec.ValidationError, UnicodeError) as error:
        _log.error("vip link check failed", ticket_id=ticket_id, error=one_line(error))
        return LinkedTicket(is_vip_linked=False, error=RPC_ERROR, message=one_line(error))


def _call(conn: Connection, name: str, wanted: dict[str, str]) -> Any:
    """The JSON a function answers with, in a transaction of its own (or a savepoint of yours)."""
    with conn.transaction():
        row = conn.execute(query(name), wanted).fetchone()
    assert row is not None  # a function call always gives one row
    return next(iter(row.values()))
