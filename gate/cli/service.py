"""Commands for looking after a gate over SSH: doctor, the tests of single devices, journal, replay."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from gate.cli.options import Config, print_json, with_devices
from gate.cli.run_door import with_log
from gate.common.check_up import tell_findings
from gate.config import read_gate_config
from gate.diagnostics import device_tests as trials

if TYPE_CHECKING:
    from gate.diagnostics.replay import Replayed

app = typer.Typer()
Each = Annotated[float, typer.Option(min=0.05, help="Seconds for each.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of text.")]


@app.command()
def doctor(config: Config, as_json: Json = False) -> None:
    """Check everything before a night: devices, disk, clock, certificates, hub.

    Each line comes when it is known; what hangs is named, and the rest goes on. With --json each line is an
    object: check, level (ok, warning or fault), result, advice. The exit code is 1 if something needs
    attention. No relay moves. The doctor tries the devices itself, unless the door runs: then it repeats
    what the door reports.
    """
    from gate import bootstrap
    from gate.diagnostics.doctor import diagnose_gate

    settings = with_log(config)
    found = diagnose_gate(
        settings,
        config,
        bootstrap.clock(settings),
        lambda is_running: bootstrap.device_checks(settings, is_running=is_running),
    )
    tell_findings(found, as_json=as_json)


@app.command("test-relay")
def test_relay(
    config: Config,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Open the turnstile once, as for a guest. The pulse is recorded and sent to the hub.

    The door must be stopped.
    """
    from gate import bootstrap

    settings = with_devices(config)
    if settings.turnstile.driver == "none":
        raise trials.not_configured("turnstile")
    if not yes:
        typer.confirm("The turnstile will open once. Is it free, and are you watching it?", abort=True)
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
    """Light every pixel and show a page of each kind, naming each. The door must be stopped."""
    from gate import bootstrap

    settings = with_devices(config)
    if settings.screen.driver == "none":
        raise trials.not_configured("screen")
    count = bootstrap.try_screen(settings, each, typer.echo)
    typer.echo(f"{count} pictures shown")


@app.command("test-lights")
def test_lights(config: Config, each: Each = 3.0) -> None:
    """Play every signal of lights and buzzer, naming each. The door must be stopped."""
    from gate import bootstrap

    settings = with_devices(config)
    lights = settings.lights
    if lights.green_pin is None and lights.red_pin is None and lights.buzzer_pin is None:
        raise trials.not_configured("lights")
    voice = bootstrap.voice(settings)
    try:
        trials.play_signals(voice, each, typer.echo, threading.Event().wait)
    finally:
        voice.close()


@app.command("test-scanner")
def test_scanner(
    config: Config,
    seconds: Annotated[float, typer.Option(min=0.05, help="How many seconds.")] = 30.0,
) -> None:
    """Describe what the hand scanner reads, with dots for letters and digits. The door must be stopped.

    If other signs appear than are printed below the code, `scanner.layout` is wrong.
    """
    from gate import bootstrap

    settings = with_devices(config)
    if settings.scanner.driver == "none":
        raise trials.not_configured("scanner")
    scanner = bootstrap.scanner(settings)
    try:
        count = trials.try_scanner(scanner, seconds, typer.echo, threading.Event().wait)
    finally:
        scanner.close()
    typer.echo(f"{count} codes read")


@app.command()
def journal(
    config: Config,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Continue without the lost history.")
    ] = False,
) -> None:
    """Describe the journal: its numbering, whether history is lost, which damaged files were set aside.

    Lost history comes back from the hub by itself. If the gate will not reach a hub, accept the loss: then
    first entries are no longer flagged and the screen no longer reports it.
    """
    from gate import bootstrap

    settings = with_log(config)
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
    journal: Annotated[Path | None, typer.Option(help="A journal file. Default: this gate's own.")] = None,
    event: Annotated[str | None, typer.Option(help="Code or id of a night: only its scans.")] = None,
    as_json: Json = False,
) -> None:
    """Decide a recorded night again with the cache as it is now, and list what would differ.

    Nothing is written. The exit code is 1 if anything differs: a ticket was refunded or linked since, or the
    configuration or the version is another.
    """
    from gate.diagnostics.recorded_night import replay_night

    settings = read_gate_config(config)
    found = replay_night(settings, journal or settings.journal, event)
    if as_json:
        print_json(found)
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
        f", {found.skipped} skipped (the gate was locked against guessing, or lacked the hub's leave)"
        if found.skipped
        else ""
    )
    yield f"{found.scans} scans decided again{skipped}: {len(found.differences)} differences"
