"""``maguey-hub conflicts`` and ``acknowledge``: tickets that came in twice."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from hub.cli.common import EXIT_USAGE, ConfigOption, fail, plain_errors
from hub.cli.nights import Actor
from hub.config import read_hub_config
from hub.errors import UsageError

app = typer.Typer()


@app.command()
def conflicts(
    config: ConfigOption,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of lines.")] = False,
) -> None:
    """Tickets that two gates let in while they could not ask, and that nobody has acknowledged yet."""
    from hub.claims.double_admissions import double_admission_in_words, open_double_admissions
    from hub.db.connection import connect

    with plain_errors():
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            found = open_double_admissions(conn)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        typer.echo(
            "\n".join(map(double_admission_in_words, found))
            or "no double admission that nobody has acknowledged"
        )


@app.command()
def acknowledge(
    config: ConfigOption,
    actor: Actor,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="As 'conflicts' lists them.")
    ] = None,
    night: Annotated[str, typer.Option(help="All of a night: its code, for example PF.")] = "",
) -> None:
    """Say that you have looked at double admissions: they are listed no more, and may be archived."""
    from hub.claims.double_admissions import acknowledge as look_at
    from hub.claims.double_admissions import double_admission_in_words
    from hub.db.connection import connect
    from hub.gates.orders import reason_mistakes

    if not ids and not night:
        fail("Give the ids that 'maguey-hub conflicts' lists, or --night.", EXIT_USAGE)
    with plain_errors():
        wrong = list(reason_mistakes("looked at", actor))
        if wrong:
            raise UsageError("Nothing was changed", wrong)
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            done = look_at(conn, ids or (), night, actor, datetime.now(UTC))
    if not done:
        typer.echo("somebody else acknowledged that just now")
    for one in done:
        typer.echo(f"acknowledged: {double_admission_in_words(one)}")
