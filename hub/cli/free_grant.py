"""``maguey-hub free``: a ticket that a dead gate holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from hub.cli.common import ConfigOption, plain_errors
from hub.cli.nights import Actor, ReasonOption
from hub.config import read_hub_config
from hub.errors import UsageError

app = typer.Typer()


@app.command()
def free(  # noqa: PLR0913, PLR0917 – a command line's options
    ticket: Annotated[str, typer.Argument(metavar="TICKET", help="Its ticket_id.")],
    config: ConfigOption,
    event: Annotated[str, typer.Option(help="The night: its code, for example PF, or its id.")],
    reason: ReasonOption,
    actor: Actor,
    gate_is_off: Annotated[
        bool, typer.Option("--gate-is-off", help="The gate that holds it is switched off for the night.")
    ] = False,
) -> None:
    """Free a ticket that is taken by a gate which died before its guest came in.

    Only when its scan can come no more: the gate was revoked, has a new card and has sent all it has, or is
    retired or off, and silent for a minute; and nothing it has sent since was unreadable. Look first
    whether the guest is not in already: the gate that knew is dead.
    """
    from hub.claims.free_grant import FreeRequest
    from hub.claims.free_grant import free as set_free
    from hub.db.connection import connect
    from hub.gates.orders import reason_mistakes

    wish = FreeRequest(event=event, ticket=ticket, is_off=gate_is_off, actor=actor, reason=reason)
    with plain_errors():
        wrong = list(reason_mistakes(reason, actor))
        if wrong:
            raise UsageError("Nothing was changed", wrong)
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            answer = set_free(conn, wish, datetime.now(UTC))
    typer.echo(answer)
