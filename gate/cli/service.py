"""Commands for whoever looks after a gate over SSH: doctor, the tests of single devices, replay."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
import typer

from gate.cli.options import Config
from gate.clock import SystemClock
from gate.common.findings import needs_attention, table
from gate.common.log import configure
from gate.config import GateFile, read_gate_config
from gate.diagnostics import device_tests as trials
from gate.diagnostics.doctor import diagnose_gate
from gate.diagnostics.recorded_night import replay_night
from gate.diagnostics.replay import Replayed
from gate.store.live_file import read_live

app = typer.Typer()
Each = Annotated[float, typer.Option(min=0.05, help="Seconds for each.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@app.command()
def doctor(config: Config, as_json: Json = False) -> None:
    """Look at everything before a night: devices, disk, clock, certificates, hub. Exit code 1: act.

    Moves no relay. While the door runs, it is asked how its devices are; else they are tried.
    """
    from gate import bootstrap

    settings = read_gate_config(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    found = diagnose_gate(
        settings,
        config,
        bootstrap.clock(settings),
        lambda is_running: bootstrap.device_checks(settings, is_running=is_running),
    )
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        typer.echo("\n".join(table(found)))
    if needs_attention(found):
        raise typer.Exit(1)


def _alone(config: Path) -> GateFile:
    """The configuration, once it is sure that the door does not have the devices."""
    settings = read_gate_config(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    trials.refuse_beside(read_live(settings.live, SystemClock().now()))
    return settings


@app.command("test-relay")
def test_relay(
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Give one pulse, as for one guest, recorded first and sent to the hub. Not while the door runs."""
    from gate import bootstrap

    settings = _alone(config)
    if settings.turnstile.driver == "none":
        raise trials.nothing_wired("turnstile", "turnstile")
    if not yes:
        typer.confirm("The turnstile will open once. Is it free, and do you watch it?", abort=True)
    journal = bootstrap.journal(settings)
    try:
        turnstile = bootstrap.turnstile(settings)
        try:
            record = trials.test_pulse(
                journal, turnstile, bootstrap.clock(settings), settings.gate_id, os.urandom
            )
        finally:
            turnstile.close()
    finally:
        journal.close()
    typer.echo(f"one pulse of {settings.turnstile.pulse_ms} ms, recorded as number {record.seq}")


@app.command("test-screen")
def test_screen(config: Config, each: Each = 1.5) -> None:
    """Show every pixel and a page of each kind, saying which. Not while the door runs."""
    from gate import bootstrap

    settings = _alone(config)
    if settings.screen.driver == "none":
        raise trials.nothing_wired("screen", "screen")
    count = bootstrap.try_screen(settings, each, typer.echo)
    typer.echo(f"{count} pictures shown")


@app.command("test-lights")
def test_lights(config: Config, each: Each = 3.0) -> None:
    """Play every signal of lights and buzzer, saying which. Not while the door runs."""
    from gate import bootstrap

    settings = _alone(config)
    lights = settings.lights
    if lights.green_pin is None and lights.red_pin is None and lights.buzzer_pin is None:
        raise trials.nothing_wired("lights", "lights")
    voice = bootstrap.voice(settings)
    try:
        trials.play_signals(voice, each, typer.echo, threading.Event().wait)
    finally:
        voice.close()


@app.command("test-scanner")
def test_scanner(
    config: Config,
    seconds: Annotated[float, typer.Option(min=0.05, help="How long.")] = 30.0,
) -> None:
    """Tell what the hand scanner reads, with dots for letters and digits. Not while the door runs.

    Signs that differ from those printed below the code mean another `scanner.layout`.
    """
    from gate import bootstrap

    settings = _alone(config)
    if settings.scanner.driver == "none":
        raise trials.nothing_wired("scanner", "scanner")
    scanner = bootstrap.scanner(settings)
    try:
        count = trials.read_codes(scanner, seconds, typer.echo, threading.Event().wait)
    finally:
        scanner.close()
    typer.echo(f"{count} codes read")


@app.command()
def journal(
    config: Config,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on without the history that is lost.")
    ] = False,
) -> None:
    """Tell of the journal: its numbering, whether history is lost, what was set aside.

    Lost history ends by itself once the hub has made up for it. Where no hub will be heard, it is ended
    by `--accept-loss`: first entries are then no longer flagged, nor is it said on the screen.
    """
    from gate import bootstrap

    settings = read_gate_config(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    opened = bootstrap.journal(settings)
    try:
        if accept_loss:
            opened.end_history_lost()
        lost = opened.history_lost() is not None
        typer.echo(f"epoch {opened.epoch}, {opened.last_seq()} records")
    finally:
        opened.close()
    typer.echo("history: some is LOST" if lost else "history: complete, or its loss accepted")
    for path in sorted(settings.journal.parent.glob(f"{settings.journal.stem}.damaged-*")):
        typer.echo(f"set aside: {path.name}, {path.stat().st_size} bytes")
    if lost:
        raise typer.Exit(1)


@app.command()
def replay(
    config: Config,
    journal: Annotated[Path | None, typer.Option(help="A journal; left out: this gate's own.")] = None,
    event: Annotated[str | None, typer.Option(help="Only scans of this night, by code or id.")] = None,
    as_json: Json = False,
) -> None:
    """Decide a recorded night again with the cache as it is now; tell what would differ. Writes nothing.

    Exit code 1 if anything does: a ticket refunded or linked since, another configuration, another version.
    """
    settings = read_gate_config(config)
    found = replay_night(settings, journal or settings.journal, event)
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        typer.echo("\n".join(_replay_lines(found, ZoneInfo(settings.timezone))))
    if found.differences:
        raise typer.Exit(1)


def _replay_lines(found: Replayed, zone: ZoneInfo) -> Iterator[str]:
    for one in found.differences:
        at = one.at.astimezone(zone)
        yield f"{one.seq:6}  {at:%Y-%m-%d %H:%M:%S}  {one.code}  was {one.was}, would be {one.would_be}"
        yield f"        {one.why}"
    skipped = (
        f", {found.skipped} not judged (the gate was locked against guessing, or had no leave of the hub)"
        if found.skipped
        else ""
    )
    yield f"{found.scans} scans decided again{skipped}: {len(found.differences)} differences"
