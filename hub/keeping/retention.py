"""How long data is kept: scans by the month, personal data until it is erased (data model 3.1)."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection
from hub.db.statements import query


class ArchivedMonth(msgspec.Struct, frozen=True, kw_only=True):
    """An archived month, as 2025-01, and how many of its scans were counted and dropped."""

    month: str
    scans: int


class KeptMonth(msgspec.Struct, frozen=True, kw_only=True):
    """A month that is old enough but stays, and why."""

    month: str
    why: str


class ArchiveResult(FunctionAnswer, frozen=True, kw_only=True):
    """What became of each month that is old enough."""

    months: tuple[ArchivedMonth, ...] = ()
    kept: tuple[KeptMonth, ...] = ()


class ErasureResult(FunctionAnswer, frozen=True, kw_only=True):
    """How many rows of each kind lost their personal data.

    `already`: it was done before; the numbers are of what has come since. `error`: ``EVENT_NOT_FOUND``,
    ``EVENT_NOT_OVER``, ``INVALID_ARGUMENT``.
    """

    already: bool = False
    event_id: str | None = None
    orders: int = 0
    tickets: int = 0
    reservations: int = 0
    guest_passes: int = 0
    mails: int = 0
    feed_rows: int = 0


def months_before(now: datetime, months: int) -> date:
    """The first day of the month that was so many months before that of `now`.

    :param now: in UTC.
    """
    number = now.year * 12 + now.month - 1 - months
    return date(number // 12, number % 12 + 1, 1)


def archive(conn: Connection, before: date, now: datetime, *, dry: bool = False) -> ArchiveResult:
    """Count the scans of every whole month before `before`, and drop them.

    Never of the last 60 days, of a month with a double admission that nobody has acknowledged, or of a night
    that is not over. With the service's rights only.

    :param dry: change nothing, only return what would be done.
    """
    with conn.transaction():
        conn.execute(query("wait_briefly"))
        return ask(conn, "archive_scans", ArchiveResult, before=before, is_dry=dry, now=now)


def erase_event(conn: Connection, event_id: str, actor: str) -> ErasureResult:
    """Erase the personal data of a night that is over; money, counts, ids and hashes stay."""
    return ask(conn, "erase_personal_data", ErasureResult, event_id=event_id, actor=actor)


def erase_person(conn: Connection, email: str, actor: str) -> ErasureResult:
    """Erase one person from every night, unless one they have a ticket for is not over."""
    return ask(conn, "erase_person", ErasureResult, email=email, actor=actor)
