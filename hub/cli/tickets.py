"""Commands of ``maguey-hub`` about single tickets: free, conflicts, acknowledge."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from hub.claims.double_admissions import acknowledge as mark_acknowledged
from hub.claims.double_admissions import double_admission_in_words, open_double_admissions
from hub.claims.free_grant import FreeRequest
from hub.claims.free_grant import free as free_ticket
from hub.cli.common import (
    EXIT_USAGE,
    ActorOption,
    ConfigOption,
    EventOption,
    JsonOption,
    ReasonOption,
    fail,
    open_database,
)
from hub.gates.orders import reason_mistakes

app = typer.Typer()


@app.command()
def free(  # noqa: PLR0913, PLR0917 – a command line's options
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="Its ticket_id.")],
    config: ConfigOption,
    event: EventOption,
    reason: ReasonOption,
    actor: ActorOption,
    gate_is_off: Annotated[
        bool, typer.Option("--gate-is-off", help="The gate that holds it is switched off for the night.")
    ] = False,
) -> None:
    """Free a ticket held by a gate that died before its guest came in.

    Only when its scan can no longer come: the gate was revoked, or has a new card and has sent all it has, or
    is retired or off, and silent for a minute; and everything it has sent since could be read. First look
    whether the guest is already in: the gate that knew is dead.
    """
    request = FreeRequest(event=event, ticket=ticket, is_off=gate_is_off, actor=actor, reason=reason)
    with open_database(config, reason_mistakes(reason, actor)) as (_, conn):
        answer = free_ticket(conn, request, datetime.now(UTC))
    typer.echo(answer)


@app.command()
def conflicts(config: ConfigOption, as_json: JsonOption = False) -> None:
    """List double admissions nobody has acknowledged: tickets admitted by two gates that could not ask."""
    with open_database(config) as (_, conn):
        found = open_double_admissions(conn)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    lines = map(double_admission_in_words, found)
    typer.echo("\n".join(lines) or "no double admission that nobody has acknowledged")


@app.command()
def acknowledge(
    config: ConfigOption,
    actor: ActorOption,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As 'conflicts' lists them.")
    ] = None,
    night: Annotated[str, typer.Option(help="All of a night: its code, for example PF.")] = "",
) -> None:
    """Say that you have looked at double admissions: they are no longer listed, and may be archived."""
    if not ids and not night:
        fail("Give the ids that 'maguey-hub conflicts' lists, or --night.", EXIT_USAGE)
    with open_database(config, reason_mistakes("looked at", actor)) as (_, conn):
        done = mark_acknowledged(conn, ids or (), night, actor, datetime.now(UTC))
    if not done:
        typer.echo("somebody else has just acknowledged that")
    for one in done:
        typer.echo(f"acknowledged: {double_admission_in_words(one)}")
