"""How the commands of ``maguey-hub`` print lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import Any

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hub.gates.health import printable

_WIDE = 200
"""Characters a line may have in a file or a pipe, so that a row is one line."""


def wide_console() -> Console:
    """A console on stdout that does not break rows where nobody reads them on a screen."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


def print_rows(headings: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print a table, or `empty` if there are no rows. Foreign text is no markup, and controls nothing."""
    listed = list(rows)
    if not listed:
        typer.echo(empty)
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in listed:
        table.add_row(*(Text(printable("" if cell is None else str(cell))) for cell in row))
    wide_console().print(table)


def say_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(msgspec.json.encode(value).decode())


def local(at: datetime | None, zone: tzinfo | None, form: str = "%a %d %b %Y %H:%M") -> str:
    """An instant by the venue's clocks; nothing if there is none."""
    return "" if at is None else f"{at.astimezone(zone):{form}}"
