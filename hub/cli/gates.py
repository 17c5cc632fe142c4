"""``maguey-hub gates`` and ``orders``: how the gates are, and what became of the orders to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from psycopg.rows import DictRow
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hub.cli.common import EXIT_FAILED, ConfigOption, plain_errors
from hub.config import read_hub_config
from hub.gates.health import GateHealth, health_of, order_line
from hub.gates.isolation import NightRules, nights_of

_WIDE = 200
"""Characters of a line that goes to a file or a pipe: one line a gate."""

FLOODING_LATELY_S = 3600
"""A gate that sent more than its share is named for so long; as long as it does, anew every ten minutes."""

app = typer.Typer()


@app.command()
def gates(
    config: ConfigOption,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """How every gate is: heard or not, what it has not sent, whether it holds what the hub has, its clock.

    Below, of each night: what a gate does that cannot ask, the homes of its tickets, and who is on its own.
    Exit code 1 if somebody should look at something.
    """
    from hub.db.connection import connect
    from hub.db.statements import query
    from hub.gates.alerts import unused_grants_limits

    now = datetime.now(UTC)
    with plain_errors():
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            rows = conn.execute(query("gate_health"), {"venue": settings.venue}).fetchall()
            wanted = unused_grants_limits(settings.venue, settings.watch, now)
            unused = conn.execute(query("unused_grants"), wanted).fetchall()
            lately = {"venue": settings.venue, "lately_s": FLOODING_LATELY_S}
            floods = conn.execute(query("flooding_lately"), lately).fetchall()
            cancelled = {row["event_id"] for row in conn.execute(query("cancelled_nights")).fetchall()}
            too_long = conn.execute(query("too_long")).fetchall()
    grants = {row["gate_id"]: row["unused"] for row in unused}
    since = {row["gate_id"]: row["flooding_at"] for row in floods}
    rows = [
        row | {"unused_grants": grants.get(row["gate_id"], 0), "flooding_at": since.get(row["gate_id"])}
        for row in rows
    ]
    lines, nights = [health_of(row, now) for row in rows], nights_of(rows, now, cancelled)
    if as_json:
        told = [row | {"worry": line.worry} for row, line in zip(rows, lines, strict=True)]
        typer.echo(msgspec.json.encode(told).decode())
    else:
        _print(lines, nights, settings.venue)
        _print_too_long(too_long)
    if too_long or any(line.worry for line in lines) or any(night.troubles for night in nights):
        raise typer.Exit(EXIT_FAILED)


@app.command()
def orders(
    config: ConfigOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines.")] = False,
) -> None:
    """What became of the newest orders to gates: done, refused and why, or never answered."""
    from hub.db.connection import connect
    from hub.db.statements import query

    with plain_errors():
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            wanted = {"venue": settings.venue, "limit": limit}
            rows = conn.execute(query("command_outcomes"), wanted).fetchall()
    if as_json:
        typer.echo(msgspec.json.encode(rows).decode())
        return
    for row in rows:
        typer.echo(order_line(row))
    if not rows:
        typer.echo(f"no orders in venue '{settings.venue}'")


def _print(lines: Sequence[GateHealth], nights: Sequence[NightRules], venue: str) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDE)
    if not lines:
        console.print(f"no gates in venue '{venue}'")
        return
    console.print(_table(lines))
    for line in lines:
        for trouble in line.troubles:
            _say(console, f"{line.gate}: {trouble}")
    if _is_nobody_heard(lines):
        # nobody said goodbye at once: more likely the hub hears no gate
        _say(console, "Not one gate is heard: does maguey-hub ingest run, and reach the broker?")
    for night in nights:
        _say(console, night.title)
        for fact in night.facts:
            _say(console, fact, indent=4)
        for trouble in night.troubles:
            _say(console, trouble, indent=4, style="bold")


def _print_too_long(rows: Sequence[DictRow]) -> None:
    for row in rows:
        typer.echo(
            f"  {row['code']}, {row['what']} of {row['id']}: {row['characters']} characters, at most "
            f"{row['most']}. Gates are told its beginning. Correct it."
        )


def _table(lines: Sequence[GateHealth]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for heading in ("gate", "link", "scans", "tickets", "clock", "door", "version"):
        table.add_column(heading)
    for line in lines:
        words = (line.gate, line.link, line.scans, line.nights, line.clock, line.door, line.version)
        # as text: what a gate says of itself is not to be taken for colours
        table.add_row(*map(Text, words), style="bold" if line.worry else None)
    return table


def _is_nobody_heard(lines: Sequence[GateHealth]) -> bool:
    links = [line.link.split()[0] for line in lines]
    return "silent" in links and not any(link.startswith("online") for link in links)


def _say(console: Console, words: str, *, indent: int = 2, style: str = "") -> None:
    console.print(Padding(Text(words, style=style), (0, 0, 0, indent), expand=False))
