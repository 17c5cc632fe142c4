"""Commands for whoever looks after a gate over SSH: doctor, test-relay, test-screen, test-lights, replay."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gate import bootstrap
from gate.clock import SystemClock
from gate.config import read
from gate.doctor import diagnose
from gate.findings import needs_attention, table
from gate.log import configure

app = typer.Typer()
Config = Annotated[Path, typer.Option(help="The gate's configuration; see config/gate.toml.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@app.command()
def doctor(config: Config, as_json: Json = False) -> None:
    """Look at everything before a night: devices, disk, clock, certificates, hub. Exit code 1: act.

    Moves no relay. While the door runs, it is asked how its devices are; else they are tried.
    """
    settings = read(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    found = diagnose(
        settings,
        config,
        SystemClock(),
        lambda is_running: bootstrap.device_checks(settings, is_running=is_running),
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        typer.echo("\n".join(table(found)))
    if needs_attention(found):
        raise typer.Exit(1)
