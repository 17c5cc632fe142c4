"""``maguey-hub tickets``: added, imported, listed, printed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from hub.cli.common import ConfigOption, DecidedByOption, JsonOption, decided_by, open_database, plain_errors
from hub.cli.event import NightArgument
from hub.cli.orders import print_key
from hub.cli.output import local, print_rows, say_json
from hub.db.audit import Author, write_audit
from hub.db.statements import query
from hub.errors import UsageError
from hub.gates.home_gates import find_night
from hub.gates.orders import reason_mistakes
from hub.gates.signing_key import ticket_signer
from hub.ticketing.imports import NOT_IMPORTED, MadeTickets, import_tickets, refuse_list
from hub.ticketing.night_plan import cents_of, money
from hub.ticketing.qr_folder import PrintableCode, open_qr_folder, write_codes
from hub.ticketing.ticket_csv import COLUMNS, LARGEST_FILE, TicketLine, mask_code, read_ticket_list

MOST_AT_ONCE = 1000
CodesOption = Annotated[bool, typer.Option("--codes", help="Print whole codes. Each lets somebody in.")]

KeyFileOption = Annotated[
    Path, typer.Option(help="Where the private key goes, mode 0600; never overwritten.")
]

ticket_app = typer.Typer(name="tickets", help="Tickets: add, import, list, export.", no_args_is_help=True)


@ticket_app.command("add")
def tickets_add(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    event: NightArgument,
    kind: Annotated[str, typer.Option("--type", help="Its type, if the night has several.")] = "",
    name: Annotated[str, typer.Option(help="Whose it is.")] = "",
    email: Annotated[str, typer.Option(help="Their address.")] = "",
    phone: Annotated[str, typer.Option(help="Their telephone number.")] = "",
    price: Annotated[str, typer.Option(help="What was paid. Default: the type's price.")] = "",
    count: Annotated[int, typer.Option(min=1, max=MOST_AT_ONCE, help="How many of them.")] = 1,
    codes: CodesOption = False,
    actor: DecidedByOption = "",
) -> None:
    """Add tickets: sold by hand, or given away. Their pictures: maguey-hub tickets export."""
    by = Author(actor=decided_by(actor))
    cells = {"type": kind, "name": name, "email": email, "phone": phone, "price": price}
    wrong = [*cell_mistakes(cells), *reason_mistakes("new", by.actor)]
    line = TicketLine(
        line=0,
        event=event.upper() if len(event) <= 6 else event.lower(),
        type=kind.strip(),
        name=name.strip() or None,
        email=email.strip() or None,
        phone=phone.strip() or None,
        price_cents=cents_of(price) if price else None,
    )
    with open_database(config, wrong) as (_, conn):
        find_night(conn, event, "EVENT")
        made = import_tickets(conn, [line] * count, by, secrets.SystemRandom(), again=False)
    typer.echo(_made_in_words(made))
    for code in made.codes if codes else ():
        typer.echo(code)


def cell_mistakes(cells: dict[str, str]) -> Iterator[str]:
    """What is wrong with values that have a column of this name in a list too."""
    for name, cell in cells.items():
        column = COLUMNS[name]
        if cell.strip() and column.read(cell.strip()) is None:
            yield f"--{name} {cell[:40]!r}: {column.expected}."


@ticket_app.command("import")
def tickets_import(
    config: ConfigOption,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Its columns are listed above.")],
    event: Annotated[str, typer.Option(help="The night of lines that name none.")] = "",
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    actor: DecidedByOption = "",
) -> None:
    """Make tickets of a list: all of it, or nothing if anything is wrong with it.

    The first line names the columns, in any order: event (its code), type, name, email, phone, code (if there
    is one already; else one is made), price (else the type's), reference (the seller's own number of the
    ticket). UTF-8; commas, semicolons or tabs. At most 50000 tickets.

    Import a list again, and only what is new becomes a ticket. A line is known by its reference; without one
    by its code; else by everything in it.
    """
    by = Author(actor=decided_by(actor), reason=f"list {file.name}"[:200])
    with plain_errors():
        found = read_ticket_list(_read(file), event)
        refuse_list(found.complaints)
    with open_database(config, reason_mistakes("new", by.actor)) as (_, conn):
        made = import_tickets(conn, found.lines, by, secrets.SystemRandom(), dry=dry)
    typer.echo(("would be: " if dry else "") + _made_in_words(made))


def _read(file: Path) -> bytes:
    """At most a byte more than is allowed."""
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UsageError(NOT_IMPORTED, [f"{file}: {error.strerror}"]) from None


def _made_in_words(made: MadeTickets) -> str:
    added = ", ".join(f"{count} for {night}" for night, count in made.added.items())
    said = f"added {added}" if added else "added none"
    if known := sum(made.known.values()):
        said += f"; {known} of the list are tickets already"
        said += f", {made.out_of_use} of them cancelled or refunded" if made.out_of_use else ""
    return said


@ticket_app.command("list")
def tickets_list(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    event: NightArgument,
    kind: Annotated[str | None, typer.Option("--type", help="Only of this type.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only issued, checked_in, cancelled or refunded ones.")
    ] = None,
    holder: Annotated[str | None, typer.Option(help="Part of a name, an address or a number.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=50_000, help="How many, the newest first.")] = 50,
    codes: CodesOption = False,
    as_json: JsonOption = False,
) -> None:
    """List a night's tickets, the newest first."""
    with open_database(config) as (settings, conn):
        night = find_night(conn, event, "EVENT")
        wanted = {"event_id": night["event_id"], "type": kind, "status": status, "wanted": holder}
        rows = conn.execute(query("list_tickets"), wanted | {"limit": limit}).fetchall()
    for row in rows if not codes else ():
        row["code"] = mask_code(row["code"])
    if as_json:
        say_json(rows)
        return
    print_rows(
        ("code", "type", "status", "name", "email", "phone", "price", "table", "came in"),
        [
            (
                row["code"],
                row["type"],
                row["status"],
                row["name"],
                row["email"],
                row["phone"],
                money(row["price_cents"] or 0),
                row["table_number"],
                local(row["checked_in_at"], settings.zone, "%a %H:%M"),
            )
            for row in rows
        ],
        "no such tickets",
    )


@ticket_app.command("export")
def tickets_export(
    config: ConfigOption,
    event: NightArgument,
    folder: Annotated[
        Path, typer.Option("--qr", metavar="DIR", help="Empty or new, or made by this for the same night.")
    ],
    actor: DecidedByOption = "",
) -> None:
    """Draw the QR code of every ticket and guest pass of a night that may still enter, and list them.

    A picture each, and index.csv, which says whose it is. Whoever has them can enter: only you may read them.
    Export again, and what is no longer valid goes. Signed if hub.toml names a key in [tickets].
    """
    by = Author(actor=decided_by(actor), reason="QR pictures")
    with open_database(config, reason_mistakes("new", by.actor)) as (settings, conn):
        key = ticket_signer(settings.tickets)
        night = find_night(conn, event, "EVENT")
        found = conn.execute(query("printable_codes"), {"event_id": night["event_id"]}).fetchall()
        codes = msgspec.convert(found, tuple[PrintableCode, ...])
        place = open_qr_folder(folder, str(night["event_id"]))
        write_audit(conn, by, "export codes", night["code"], {"count": len(codes)})
        removed = write_codes(place, _watched(codes), key)
    gone = f"; {removed} that are no longer valid were removed" if removed else ""
    typer.echo(f"{night['name']}: {len(codes)} pictures and index.csv in {folder}{gone}")


def _watched(codes: Sequence[PrintableCode]) -> Iterator[PrintableCode]:
    """The same, with a bar for whoever waits at a terminal."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(codes, description="drawing")


@ticket_app.command("key")
def tickets_key(
    out: KeyFileOption,
    key_id: Annotated[str, typer.Option("--id", help="The name of the key at the gates.")] = "K1",
    show: Annotated[
        bool, typer.Option("--show", help="Make no key: print the lines of the one in --out.")
    ] = False,
) -> None:
    """Make the key that signs printed tickets, and print its lines for gate.toml and hub.toml."""
    print_key(out, key_id, show, "[keys]", "[tickets]")
