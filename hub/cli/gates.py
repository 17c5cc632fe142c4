"""``maguey-hub gate add|list|rename|revoke`` and ``broker-list``: the gates of the venue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from psycopg.rows import DictRow
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hub.authority.ends import certificate_warnings
from hub.authority.lock_out import begin_to_follow, lock_out_row, lock_out_steps, what_is_missing
from hub.cli.common import (
    EXIT_FAILED,
    ConfigOption,
    DecidedByOption,
    GateArgument,
    JsonOption,
    ReasonOption,
    decided_by,
    fail,
    open_database,
)
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.gates.alerts import unused_grants_limits
from hub.gates.atomic_file import write_atomically
from hub.gates.broker_list import broker_list_text
from hub.gates.health import GateHealth, health_of
from hub.gates.isolation import NightRules, nights_of
from hub.gates.orders import reason_mistakes
from hub.gates.revocation import leave_home
from hub.gates.revocation import revoke as revoke_gate
from hub.gates.roster import GateEntry, add_gate, entry_mistakes, name_mistakes, rename_gate

_WIDE = 200
"""Characters a line may have in a file or a pipe, so that a gate is one line."""

FLOODING_LATELY_S = 3600
"""How long a gate that exceeded its budgets is still named; each ten minutes of flooding begin it again."""

_WAIT_S = 5.0
_LONGEST_WAIT_S = 60

app = typer.Typer()
_group = typer.Typer(help="The gates of the venue.", no_args_is_help=True)
app.add_typer(_group, name="gate")

NameOption = Annotated[str, typer.Option("--name", help="What screens call it, for example 'GATE 1'.")]


@_group.command()
def add(
    gate: GateArgument,
    config: ConfigOption,
    name: NameOption = "",
    event: Annotated[
        list[str] | None, typer.Option(help="A night it serves: its code or its id; may be repeated.")
    ] = None,
    actor: DecidedByOption = "",
) -> None:
    """Add a gate, or let one that is there serve further nights. The broker learns of it by itself.

    Its machine then has to be enrolled: maguey-hub enrol.
    """
    entry = GateEntry(gate_id=gate, name=name, events=tuple(event or ()))
    with open_database(config, entry_mistakes(entry)) as (settings, conn):
        is_new, served = add_gate(conn, settings.venue, entry, decided_by(actor))
    nights = f"{served} night{'' if served == 1 else 's'}"
    if is_new:
        typer.echo(f"{gate} ({entry.shown_name}) is added, for {nights}")
    else:
        typer.echo(
            f"{gate} was there already; it serves {nights} more" if served else f"{gate} is there already"
        )


@_group.command()
def rename(gate: GateArgument, config: ConfigOption, name: NameOption, actor: DecidedByOption = "") -> None:
    """Give a gate another name. Its id, which certificates and scans bear, stays for ever."""
    with open_database(config, name_mistakes(name)) as (settings, conn):
        is_new = rename_gate(conn, settings.venue, gate, name, decided_by(actor))
    typer.echo(f"{gate} is {name} now" if is_new else f"{gate} has that name already")


@_group.command("list")
def list_gates(config: ConfigOption, as_json: JsonOption = False) -> None:
    """How every gate is: heard or not, what it has yet to send, whether its tickets are the hub's, its clock.

    Below, of each night: what a gate does that cannot ask, the home gates, and which gates are on their own.
    Exit code 1 if somebody should look at something.
    """
    now = datetime.now(UTC)
    with open_database(config) as (settings, conn):
        rows = _read_gates(conn, settings, now)
        cancelled = {row["event_id"] for row in conn.execute(query("cancelled_nights")).fetchall()}
        too_long = conn.execute(query("too_long")).fetchall()
        ending = certificate_warnings(conn, settings.venue, now)
    lines, nights = [health_of(row, now) for row in rows], nights_of(rows, now, cancelled)
    if as_json:
        found = [row | {"worry": line.worry} for row, line in zip(rows, lines, strict=True)]
        typer.echo(msgspec.json.encode(found).decode())
    else:
        _print(lines, nights, settings.venue)
        _print_too_long(too_long)
        for line in ending:
            typer.echo(f"  {line}")
    if too_long or ending or any(line.worry for line in lines) or any(night.troubles for night in nights):
        raise typer.Exit(EXIT_FAILED)


def _read_gates(conn: Connection, settings: HubConfig, now: datetime) -> list[DictRow]:
    """The rows of `gate_health`, each with what `health_of` needs besides."""
    venue = settings.venue
    unused = conn.execute(query("unused_grants"), unused_grants_limits(venue, settings.watch, now)).fetchall()
    lately = {"venue": venue, "lately_s": FLOODING_LATELY_S}
    flooding = conn.execute(query("flooding_lately"), lately).fetchall()
    grants, flooding_at = _by_gate(unused, "unused"), _by_gate(flooding, "flooding_at")
    return [
        row
        | {
            "unused_grants": grants.get(row["gate_id"], 0),
            "flooding_at": flooding_at.get(row["gate_id"]),
        }
        for row in conn.execute(query("gate_health"), {"venue": venue}).fetchall()
    ]


def _by_gate(rows: Iterable[DictRow], column: str) -> dict[str, Any]:
    return {row["gate_id"]: row[column] for row in rows}


@app.command("broker-list")
def broker_list(
    config: ConfigOption,
    out: Annotated[Path, typer.Option(help="The file maguey.conf names: /etc/mosquitto/maguey/gates.json.")],
    group: Annotated[str, typer.Option(help="The group that may read it: Mosquitto's.")] = "mosquitto",
) -> None:
    """Write the broker's list of gates: each that is not revoked, and what it may publish and subscribe to.

    Needed after a gate was added or revoked. Mosquitto reads the list when it starts: systemctl restart
    mosquitto. The broker denies everything to a gate that is not on it, whatever its certificate.
    """
    with open_database(config) as (settings, conn):
        rows = conn.execute(query("listed_gates"), {"venue": settings.venue}).fetchall()
        text = broker_list_text(settings.venue, [row["gate_id"] for row in rows])
        is_new = write_atomically(out, text, group)
    count = "1 gate" if len(rows) == 1 else f"{len(rows)} gates"
    if is_new:
        typer.echo(
            f"{count} written to {out}. Mosquitto reads it when it starts: systemctl restart mosquitto"
        )
    else:
        typer.echo(f"{count}, as before: {out} did not change")


@_group.command()
def revoke(  # noqa: PLR0913, PLR0917 – a command line's options
    gate: GateArgument,
    config: ConfigOption,
    reason: ReasonOption,
    actor: DecidedByOption = "",
    stolen: Annotated[
        bool, typer.Option("--stolen", help="Tell it to erase its key and its guests' names.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, max=_LONGEST_WAIT_S, help="Seconds for the broker.")
    ] = _WAIT_S,
) -> None:
    """Revoke a gate for good: nothing it sends counts from now on, and the broker throws it out.

    Its scans are kept as evidence; its claims, statuses and replies are ignored, its token is refused, and
    the other gates hear of it at once. What it was granted and has not used is free. Prints each step when it
    is proved. There is no way back: a gate that is found becomes a new gate, with another id. Exit code 1 if
    it was revoked but the broker has not proved that it is locked out.
    """
    who, now = decided_by(actor), datetime.now(UTC)
    with open_database(config, reason_mistakes(reason, who)) as (settings, conn):
        begin_to_follow(conn)
        said = revoke_gate(conn, settings.venue, gate, actor=who, reason=reason, now=now, stolen=stolen)
        _say_step(said, _since(now))
        for step in lock_out_steps(conn, gate, now, wait):
            _say_step(*step)
        for line in leave_home(conn, gate, who, reason, now):
            _say_step(line, _since(now))
        row = lock_out_row(conn, gate)
    if row is None or row["refused_at"] is None:
        fail(what_is_missing(row))


def _since(begun: datetime) -> float:
    return (datetime.now(UTC) - begun).total_seconds()


def _say_step(words: str, seconds: float) -> None:
    typer.echo(f"{seconds * 1000:6.0f} ms  {words}")


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
        # all gates gone without a goodbye: more likely it is the hub that hears nothing
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
            f"{row['most']}. Gates get only its beginning. Correct it."
        )


def _table(lines: Sequence[GateHealth]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    for heading in ("gate", "link", "scans", "tickets", "clock", "door", "version"):
        table.add_column(heading)
    for line in lines:
        words = (line.gate, line.link, line.scans, line.nights, line.clock, line.door, line.version)
        # as text, so that rich does not take a gate's own words for markup
        table.add_row(*map(Text, words), style="bold" if line.worry else None)
    return table


def _is_nobody_heard(lines: Sequence[GateHealth]) -> bool:
    links = [line.link.split()[0] for line in lines]
    return "silent" in links and not any(link.startswith("online") for link in links)


def _say(console: Console, words: str, *, indent: int = 2, style: str = "") -> None:
    console.print(Padding(Text(words, style=style), (0, 0, 0, indent), expand=False))
