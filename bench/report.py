"""The results as a table for people and as JSON for programs. Pure, apart from printing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.figures import Row

STYLES = {"ok": "green", "missed": "bold red", "not measured": "yellow", "": "dim"}

Results = Mapping[str, Sequence[Row]]
"""Rows by subject, in the order they were measured."""

WIDTH = 140
"""Columns of the table if the output is not a terminal."""
_LEFT, _RIGHT = ("what", "floor"), ("figure", "floor's", "ratio", "fifths", "aim")


def table(results: Results) -> Table:
    """All rows, with a section per subject."""
    made = Table(
        caption="ratio: how many times the floor, in the middle one of five parts; fifths: lowest and highest"
    )
    for name in _LEFT:
        made.add_column(name)
    for name in _RIGHT:
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("", no_wrap=True)
    for rows in results.values():
        for row in rows:
            made.add_row(*cells(row), Text(row.state, STYLES[row.state]))
        made.add_section()
    return made


def notes(results: Results) -> list[str]:
    """The notes on single rows, a line each."""
    return [f"{row.what}: {row.note}" for rows in results.values() for row in rows if row.note]


def cells(row: Row) -> tuple[str, ...]:
    """The columns of a row, without its state."""
    return (
        row.what,
        row.floor,
        number(row.figure, row.unit),
        number(row.floor_figure, row.unit),
        "" if row.ratio is None else f"{row.ratio:.2f}×",
        f"{row.fifths[0]:.2f}–{row.fifths[-1]:.2f}" if row.fifths else "",
        str(row.aim or ""),
    )


def number(figure: float | None, unit: str) -> str:
    """Three significant digits and the unit; whole numbers stay whole."""
    if figure is None:
        return ""
    if figure == int(figure) and abs(figure) < 1e6:
        return f"{int(figure)} {unit}".strip()
    digits = max(0, 2 - len(str(int(abs(figure)))) + 1)
    return f"{figure:.{digits}f} {unit}".strip()


def markdown(results: Results) -> str:
    """The table for docs/performance.md."""
    lines = [f"| {' | '.join((*_LEFT, *_RIGHT))} | |", "|---|---|--:|--:|--:|--:|--:|---|"]
    for rows in results.values():
        lines += [f"| {' | '.join(cells(row))} | {row.state} |" for row in rows]
    return "\n".join(lines)


def document(results: Results, machine: Mapping[str, Any]) -> bytes:
    """The JSON: facts of the machine, and each row with its ratio and state."""
    rows = [
        {"subject": subject, **msgspec.to_builtins(row), "ratio": row.ratio, "state": row.state}
        for subject, rows in results.items()
        for row in rows
    ]
    return msgspec.json.format(msgspec.json.encode({"machine": dict(machine), "rows": rows}), indent=2)


def show(results: Results, machine: Mapping[str, Any]) -> None:
    """Print the table and the facts of the machine."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(table(results))
    console.print("\n".join(notes(results)), style="dim")
    console.print(" · ".join(f"{name} {value}" for name, value in machine.items()), style="dim")
