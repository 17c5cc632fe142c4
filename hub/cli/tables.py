"""``maguey-hub table`` and ``reservation``: VIP tables, and who has them."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import typer

from hub.cli.common import (
    EXIT_FAILED,
    EXIT_USAGE,
    ConfigOption,
    DecidedByOption,
    JsonOption,
    ReasonOption,
    decided_by,
    fail,
    open_database,
)
from hub.cli.event import NightArgument
from hub.cli.output import print_rows, say_json
from hub.cli.ticket_lists import CodesOption, cell_mistakes
from hub.db.audit import Author
from hub.db.connection import Connection
from hub.errors import NOTHING_CHANGED, UsageError
from hub.gates.home_gates import find_night
from hub.gates.orders import reason_mistakes
from hub.ticketing.codes import ticket_code
from hub.ticketing.imports import night_on_sale
from hub.ticketing.night_plan import cents_of, money
from hub.vip.by_hand import (
    TABLE_NOT_ADDED,
    TIERS,
    HandReservation,
    HandTicket,
    NewTable,
    add_table,
    codes_of_reservation,
    confirm_by_hand,
    give_up_by_hand,
    list_tables,
    reserve_by_hand,
    table_mistakes,
)
from hub.vip.tables import Purchaser

_WRONG_CALLS = {
    "INVALID_ARGUMENT",
    "INVALID_AMOUNT",
    "TABLE_NOT_FOUND",
    "TICKET_NOT_FOUND",
    "RESERVATION_NOT_FOUND",
}
TableArgument = Annotated[int, typer.Argument(metavar="TABLE", help="The table's number.")]

table_app = typer.Typer(name="table", help="VIP tables of a night: add, list.", no_args_is_help=True)
reservation_app = typer.Typer(
    name="reservation", help="Tables reserved by hand: add, confirm, cancel.", no_args_is_help=True
)


@table_app.command("add")
def table_add(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    event: NightArgument,
    number: TableArgument,
    seats: Annotated[int, typer.Option(help="For the host and all guests.")],
    name: Annotated[str, typer.Option(help="As screens call it.")] = "",
    tier: Annotated[str, typer.Option(help=f"{', '.join(TIERS)}.")] = "standard",
    price: Annotated[str, typer.Option(help="What it costs: 1500 or 1500.00.")] = "0",
    bottles: Annotated[int, typer.Option(help="Bottles included.")] = 0,
    section: Annotated[str | None, typer.Option(help="Where it stands.")] = None,
    actor: DecidedByOption = "",
) -> None:
    """Add a table to a night."""
    by = Author(actor=decided_by(actor))
    table = NewTable(
        number=number,
        seats=seats,
        name=name.strip(),
        tier=tier,
        price_cents=cents_of(price) or 0,
        bottles=bottles,
        section=section,
    )
    wrong = [*table_mistakes(table), *cell_mistakes({"price": price}), *reason_mistakes("new", by.actor)]
    with open_database(config, wrong, TABLE_NOT_ADDED) as (_, conn):
        night = find_night(conn, event, "EVENT")
        add_table(conn, str(night["event_id"]), table, by)
    typer.echo(f"{night['name']}: table {number}, {seats} seats, {money(table.price_cents)}")


@table_app.command("list")
def table_list(config: ConfigOption, event: NightArgument, as_json: JsonOption = False) -> None:
    """List a night's tables: free, pending (reserved, not paid), confirmed, checked_in, completed."""
    with open_database(config) as (_, conn):
        rows = list_tables(conn, str(find_night(conn, event, "EVENT")["event_id"]))
    if as_json:
        say_json(rows)
        return
    headings = ("table", "name", "tier", "price", "state", "host", "passes", "linked", "in", "seats")
    print_rows(headings, list(map(_table_row, rows)), "this night has no tables: maguey-hub table add")


def _table_row(row: dict[str, Any]) -> tuple[object, ...]:
    names = ("number", "name", "tier", "price", "state", "host", "passes", "linked", "arrived", "seats")
    return tuple(map((row | {"price": money(row["price_cents"])}).get, names))


@reservation_app.command("add")
def reservation_add(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    event: NightArgument,
    number: TableArgument,
    name: Annotated[str, typer.Option(help="The host, who buys the table.")],
    email: Annotated[str, typer.Option(help="Their address.")] = "",
    phone: Annotated[str, typer.Option(help="Their telephone number.")] = "",
    guests: Annotated[int, typer.Option(min=0, help="Besides the host; each gets a pass.")] = 0,
    ticket: Annotated[
        str, typer.Option(help="The code of a ticket the host has already. Default: a new ticket.")
    ] = "",
    kind: Annotated[str, typer.Option("--type", help="The new ticket's type, if there are several.")] = "",
    price: Annotated[str, typer.Option(help="What it costs. Default: the type's price.")] = "",
    codes: CodesOption = False,
    reason: Annotated[str, typer.Option(help="A note for the audit log.")] = "by hand",
    actor: DecidedByOption = "",
) -> None:
    """Hold a table for somebody who pays by hand, until `reservation confirm` or `cancel`.

    The host's own ticket is the one code they need: it lets them in, marks the table as arrived, and they may
    come back. Each guest gets a pass. Until the table is confirmed no pass opens a gate, and the host enters
    as general admission. Their pictures: maguey-hub tickets export.
    """
    by = Author(actor=decided_by(actor), reason=reason.strip())
    cells = {"name": name, "email": email, "phone": phone, "price": price, "code": ticket}
    host = Purchaser(name=name.strip(), email=email.strip() or None, phone=phone.strip() or None)
    wrong = [*cell_mistakes(cells), *reason_mistakes(reason, by.actor)]
    with open_database(config, wrong) as (_, conn):
        event_id = str(find_night(conn, event, "EVENT")["event_id"])
        own = _host_ticket(conn, event_id, ticket.strip(), kind.strip(), price.strip())
        made = reserve_by_hand(conn, event_id, number, host, guests, own, by)
        _refuse_unless_done(made)
        opens = codes_of_reservation(conn, made.reservation_id or "")
    typer.echo(
        f"table {number} is held for {host.name}: {len(made.pass_ids)} guest passes and a ticket. "
        f"When it is paid: maguey-hub reservation confirm {event} {number}"
    )
    for code in [f"invite code {made.invite_code}", *opens] if codes else ():
        typer.echo(code)


def _host_ticket(conn: Connection, event_id: str, code: str, kind: str, price: str) -> HandTicket:
    if code:
        return HandTicket(code=code)
    night = night_on_sale(conn, event_id)
    type_name = night.type_of(kind)
    if type_name is None:
        names = ", ".join(str(one.get("name")) for one in night.ticket_types)
        raise UsageError(NOTHING_CHANGED, [f"--type {kind[:40]!r}: {night.code} has {names[:300]}."])
    cents = cents_of(price) if price else None
    return HandTicket(
        code=ticket_code(night.code, night.event_date, secrets.SystemRandom()),
        price_cents=night.price_of(type_name) if cents is None else cents,
        ticket_type=type_name,
    )


@reservation_app.command("confirm")
def reservation_confirm(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    event: NightArgument,
    number: TableArgument,
    paid: Annotated[str, typer.Option(help="What was paid for the table. Default: its price.")] = "",
    reason: Annotated[str, typer.Option(help="How it was paid; it is recorded.")] = "paid by hand",
    actor: DecidedByOption = "",
) -> None:
    """Say that a table was paid: its guests may come in, and come back. Gates know within a second."""
    by = Author(actor=decided_by(actor), reason=reason.strip())
    wrong = [
        *(f"--paid{one[7:]}" for one in cell_mistakes({"price": paid})),
        *reason_mistakes(reason, by.actor),
    ]
    with open_database(config, wrong) as (_, conn):
        event_id = str(find_night(conn, event, "EVENT")["event_id"])
        prices = {row["number"]: row["price_cents"] for row in list_tables(conn, event_id)}
        cents = prices.get(number, 0) if not paid else cents_of(paid) or 0
        done = confirm_by_hand(conn, event_id, number, cents, by)
        _refuse_unless_done(done)
    if done.already:
        typer.echo(f"table {number} is {done.status} already; nothing was changed")
    else:
        typer.echo(f"table {number} is confirmed, {money(cents)} paid")


@reservation_app.command("cancel")
def reservation_cancel(
    config: ConfigOption,
    event: NightArgument,
    number: TableArgument,
    reason: ReasonOption,
    actor: DecidedByOption = "",
) -> None:
    """Give up a reservation that was never paid, before the night starts: the table is free again.

    Its passes are cancelled. The host's own ticket stays, as general admission. A table that is paid is not
    cancelled: all sales are final.
    """
    by = Author(actor=decided_by(actor), reason=reason.strip())
    with open_database(config, reason_mistakes(reason, by.actor)) as (_, conn):
        event_id = str(find_night(conn, event, "EVENT")["event_id"])
        _refuse_unless_done(give_up_by_hand(conn, event_id, number, by))
    typer.echo(f"table {number} is free again")


def _refuse_unless_done(answer: HandReservation) -> None:
    """Exit with the database's own words if it refused: 2 for a wrong call, 1 if it cannot be done now."""
    if not answer.success:
        code = EXIT_USAGE if answer.error in _WRONG_CALLS else EXIT_FAILED
        fail(f"{answer.message} {NOTHING_CHANGED}. [{answer.error}]", code)
