"""``maguey-hub broker-list``: the file by which the broker knows the gates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.common import ConfigOption, plain_errors
from hub.config import read_hub_config

app = typer.Typer()


@app.command("broker-list")
def broker_list(
    config: ConfigOption,
    out: Annotated[Path, typer.Option(help="The file maguey.conf names: /etc/mosquitto/maguey/gates.json.")],
    group: Annotated[str, typer.Option(help="Who else reads it: the group Mosquitto runs as.")] = "mosquitto",
) -> None:
    """Write the broker's list of the gates: each that is not revoked, and what it may say and hear.

    After a gate was added or revoked. Mosquitto reads it when it starts: systemctl restart mosquitto. A gate
    that is not in it may do nothing there, whatever its certificate.
    """
    from hub.db.connection import connect
    from hub.db.statements import query
    from hub.gates.atomic_file import write_atomically
    from hub.gates.broker_list import broker_list_text

    with plain_errors():
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            rows = conn.execute(query("listed_gates"), {"venue": settings.venue}).fetchall()
        gates = [row["gate_id"] for row in rows]
        is_new = write_atomically(out, broker_list_text(settings.venue, gates), group)
    count = "1 gate" if len(gates) == 1 else f"{len(gates)} gates"
    if is_new:
        typer.echo(
            f"{count} written to {out}. Mosquitto reads it when it starts: systemctl restart mosquitto"
        )
    else:
        typer.echo(f"{count}, as before: {out} says nothing new")
