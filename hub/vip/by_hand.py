"""Tables and reservations that a person makes at the hub, paid without the payment service.

What may be sold and who may sit where, the database says (`sql/objects/42`, `43`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from hub.db.audit import Author, write_audit
from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection
from hub.db.statements import query
from hub.errors import UsageError
from hub.vip.tables import Purchaser

TIERS = ("premium", "front_row", "standard")
MOST_SEATS = 1000
MOST_TABLES = 9999
TABLE_NOT_ADDED = "The table was not added"


class NewTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table of one night."""

    number: int
    seats: int
    name: str = ""
    tier: str = "standard"
    price_cents: int = 0
    bottles: int = 0
    section: str | None = None


class HandTicket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The host's ticket: with a price, a new one of this code; without, the one that has it. A secret."""

    code: str
    price_cents: int | None = None
    ticket_type: str | None = None

    def __repr__(self) -> str:
        return "HandTicket(code=…)"


class HandReservation(FunctionAnswer, frozen=True, kw_only=True):
    """A reservation by hand; `already`: as it was asked for, from before.

    `error`: those of `hub.vip.tables.Reservation` and of `hub.vip.guests.SeatedTicket`; of a cancellation
    also ``EVENT_STARTED``.
    """

    already: bool = False
    reservation_id: str | None = None
    status: str | None = None
    invite_code: str | None = None
    pass_ids: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the codes, because they open the door."""
        return f"HandReservation(success={self.success}, error={self.error})"


def table_mistakes(table: NewTable) -> Iterator[str]:
    """What is wrong with a table by itself."""
    if not 1 <= table.number <= MOST_TABLES:
        yield f"TABLE: expected a number from 1 to {MOST_TABLES}, not {table.number}."
    if not 1 <= table.seats <= MOST_SEATS:
        yield f"--seats: expected 1 to {MOST_SEATS}, not {table.seats}."
    if not 0 <= table.bottles <= 100:
        yield f"--bottles: expected 0 to 100, not {table.bottles}."
    if table.tier not in TIERS:
        yield f"--tier {table.tier[:40]!r}: expected one of {', '.join(TIERS)}."
    for option, text in (("--name", table.name), ("--section", table.section or "")):
        if len(text) > 120 or not text.isprintable():
            yield f"{option}: expected at most 120 characters that can be printed."


def add_table(conn: Connection, event_id: str, table: NewTable, by: Author) -> None:
    """Add a table to a night that is not over.

    :raises UsageError: it is over, or has this table already.
    """
    with conn.transaction():
        night = conn.execute(query("night_for_sale"), {"event_id": event_id}).fetchone()
        assert night is not None  # nights are never deleted
        if night["is_over"] or night["status"] != "scheduled":
            raise UsageError(TABLE_NOT_ADDED, [f"EVENT: {night['name']} is over or cancelled."])
        row = msgspec.structs.asdict(table) | {"event_id": event_id}
        if conn.execute(query("add_table"), row).fetchone() is None:
            raise UsageError(TABLE_NOT_ADDED, [f"TABLE {table.number}: {night['name']} has it already."])
        write_audit(
            conn, by, "add table", night["code"], {"table_number": table.number, "seats": table.seats}
        )


def reserve_by_hand(  # noqa: PLR0913, PLR0917 – what a reservation consists of
    conn: Connection,
    event_id: str,
    table: int,
    host: Purchaser,
    guests: int,
    ticket: HandTicket,
    by: Author,
) -> HandReservation:
    """Hold a table for somebody, with a pass for each guest and a ticket of the host's own; not paid yet."""
    return ask(
        conn,
        "reserve_table_by_hand",
        HandReservation,
        event_id=event_id,
        table_number=table,
        purchaser=_as_json(host),
        guest_passes=guests,
        ticket=_as_json(ticket),
        actor=by.actor,
        reason=by.reason,
    )


def confirm_by_hand(
    conn: Connection, event_id: str, table: int, amount_cents: int, by: Author
) -> HandReservation:
    """The table was paid."""
    return ask(
        conn,
        "confirm_table_by_hand",
        HandReservation,
        event_id=event_id,
        table_number=table,
        amount_cents=amount_cents,
        actor=by.actor,
        reason=by.reason,
    )


def give_up_by_hand(conn: Connection, event_id: str, table: int, by: Author) -> HandReservation:
    """Nobody pays the table: it is free again."""
    return ask(
        conn,
        "cancel_table_by_hand",
        HandReservation,
        event_id=event_id,
        table_number=table,
        actor=by.actor,
        reason=by.reason,
    )


def codes_of_reservation(conn: Connection, reservation_id: str) -> list[str]:
    """The host's code, then those of the guest passes. Secrets."""
    rows = conn.execute(query("codes_of_reservation"), {"id": reservation_id}).fetchall()
    return [row["code"] for row in rows]


def list_tables(conn: Connection, event_id: str) -> list[dict[str, Any]]:
    """A night's tables, each with its reservation."""
    return conn.execute(query("list_tables"), {"event_id": event_id}).fetchall()


def _as_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
