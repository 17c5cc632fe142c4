"""`maguey-gate`: the door, and what one asks of it over SSH.

Exit codes: 0 done, 1 something is broken, 2 the call or the configuration is wrong, 75 start it again.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from gate import bootstrap
from gate.cli import focus, service
from gate.cli.options import Config
from gate.clock import Clock, SystemClock
from gate.common.errors import CallError, ConfigError, MagueyError
from gate.common.log import configure
from gate.common.uuids import uuid7
from gate.config import GateFile, read_gate_config
from gate.diagnostics.status import StatusReport, gather
from gate.door.desk import Answered, Desk
from gate.door.turnstile import let_in
from gate.ports.devices import Look, Turnstile
from gate.rules.presence import Presence, observe
from gate.store.journal import Journal
from gate.store.live_file import OK, Live
from gate.store.locks import only_one

app = typer.Typer(
    name="maguey-gate",
    help="The gate controller: scans tickets, decides, releases the turnstile.",
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Pictures = Annotated[list[Path], typer.Argument(help="Pictures: PNG, JPEG or WebP.", metavar="FILE...")]


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(metadata.version("maguey-gate"))
        raise typer.Exit


@app.command()
def run(config: Config) -> None:
    """Run the door until stopped (SIGTERM or Ctrl-C). Exit code 75: staff ordered a restart."""
    settings = read_gate_config(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with only_one("door", settings.journal.parent):
        again = bootstrap.make_door(settings).run(stop)
    if again:
        raise typer.Exit(os.EX_TEMPFAIL)


@app.command()
def decode(files: Pictures) -> None:
    """Print the codes in pictures: one JSON line a file with file, codes, decoder, ms.

    Bytes that are no UTF-8 are shown as \\xNN. A file that is no picture gets an `error`;
    the exit code is then 1.
    """
    configure("text", service="maguey-gate")
    failed = False
    for file in files:
        try:
            found = bootstrap.decode_picture(file)
        except MagueyError as error:
            failed = True
            _print({"file": str(file), "codes": [], "decoder": None, "ms": 0.0, "error": str(error)})
            continue
        codes = [code.raw.decode("utf-8", "backslashreplace") for code in found.found]
        _print(
            {"file": str(file), "codes": codes, "decoder": found.decoder or None, "ms": round(found.ms, 2)}
        )
    if failed:
        raise typer.Exit(1)


@app.command()
def scan(
    files: Pictures,
    config: Config,
    release: Annotated[bool, typer.Option(help="Move the turnstile of an admitted guest.")] = False,
) -> None:
    """Decide pictures for real: each is recorded and sent to the hub. One JSON line a verdict.

    Use it beside a running door to let somebody in by a picture, or to try a gate out. A file that
    is no picture is no scan: it gets an `error`, and the exit code is then 1.
    """
    settings = read_gate_config(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    journal = bootstrap.journal(settings)
    clock = bootstrap.clock(settings)
    desk = bootstrap.make_desk(settings, journal)
    turnstile = bootstrap.turnstile(settings) if release else None
    refused = False
    try:
        for file, look in _looks(files):
            refused |= bootstrap.is_refused(look)
            answered = _scan(desk, look, release=release)
            if turnstile is not None and answered is not None:
                _let_in(journal, turnstile, answered, clock)
            _print({"file": str(file), **_as_json(settings, answered, look)})
    finally:
        journal.close()
        if turnstile is not None:
            turnstile.close()
    if refused:
        raise typer.Exit(1)


def _looks(files: list[Path]) -> Iterator[tuple[Path, Look]]:
    """Each picture with what was seen in it. The decoder is a child: a picture can only harm that."""
    eye = bootstrap.pictures_eye(files)
    try:
        for file in files:
            look = None
            while look is None and not eye.exhausted():
                look = eye.look(timeout=1.0)
            yield file, look or Look()
    finally:
        eye.close()


def _scan(desk: Desk, look: Look, *, release: bool) -> Answered | None:
    """One picture is one presentation, whatever the picture before showed; None: nothing to decide."""
    if bootstrap.is_refused(look):
        return None
    _, presented = observe(Presence(), look.sightings, 0)
    return desk.answer(presented, release=release) if presented else None


def _let_in(journal: Journal, turnstile: Turnstile, answered: Answered, clock: Clock) -> None:
    record = answered.record
    if record is not None and record.released:
        now = clock.now()
        let_in(journal, turnstile, record, now, uuid7(int(now.wall.timestamp() * 1000), os.urandom(10)))


def _as_json(config: GateFile, answered: Answered | None, look: Look) -> dict[str, object]:
    if answered is None:
        nothing: dict[str, object] = {"verdict": None, "reason": "no_code", "headline": "", "lines": []}
        error = "This is no picture that can be looked at; maguey-gate decode says why."
        return {**nothing, "reason": "no_picture", "error": error} if bootstrap.is_refused(look) else nothing
    verdict, page = answered.verdict, bootstrap.words(config, answered.screen)
    return {
        "verdict": verdict.ruling.value,
        "reason": verdict.reason.value,
        "headline": page.headline,
        "lines": page.lines,
        "subject_id": verdict.subject_id,
        "kind": verdict.kind.value,
        "rule": verdict.line,
        "flags": verdict.flags,
        "table": verdict.table,
        "released": answered.record.released if answered.record else False,
        "scan_id": answered.record.scan_id if answered.record else None,
        "seq": answered.record.seq if answered.record else None,
        "decision_ms": round(answered.decision_ms, 3),
    }


@app.command()
def screens(
    out: Annotated[Path, typer.Option(help="Folder for the pictures; made if it is missing.")],
    lang: Annotated[Literal["es", "en"], typer.Option(help="Language of the words.")] = "es",
) -> None:
    """Draw every screen as PNG, at the device's size and four times as large."""
    if not str(out):
        raise ConfigError("--out: empty; expected a folder for the pictures.")
    written = bootstrap.draw_screens(out, lang)
    typer.echo(f"{len(written)} pictures written to {out}")


@app.command()
def status(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Tell how the gate is, from its files and the running door. Exit code 1 if something needs attention."""
    answer = gather(read_gate_config(config), SystemClock())
    if as_json:
        _print(msgspec.to_builtins(answer))
    else:
        typer.echo("\n".join(_status_lines(answer)))
    if answer.problems:
        raise typer.Exit(1)


def _status_lines(status: StatusReport) -> Iterator[str]:
    journal = status.journal
    link = "online" if status.online else "OFFLINE, ALONE" if status.isolated else "OFFLINE"
    yield f"gate      {status.gate_id}  {link}"
    yield f"clock     {_clock(status)}"
    yield f"journal   {journal.last_seq} records, {journal.waiting} waiting for the hub"
    yield f"last scan {journal.last_scan or '-'}"
    for night in status.nights:
        yield f"event     {night.name}, {night.inside} of {night.capacity} in, by the hub's count"
        yield f"cache     version {night.cache_version or '-'}, {night.told}"
    if status.door.live is not None and status.door.is_fresh:
        yield from _door_lines(status.door.live, (status.door.age_ms or 0) / 1000)
    for problem in status.problems:
        yield f"! {problem}"


def _clock(status: StatusReport) -> str:
    if status.clock != "synced":
        return "NOT CONFIRMED by the hub"
    off = _off(status.clock_offset_ms)
    return f"the hub's, within {status.clock_uncertainty_ms} ms; the machine's is {off}"


def _off(offset_ms: int | None) -> str:
    """`offset_ms`: what has to be added to the machine's clock."""
    off = offset_ms or 0
    return f"{abs(off)} ms {'slow' if off > 0 else 'fast'}" if off else "the same"


def _door_lines(live: Live, age_s: float) -> Iterator[str]:
    count = live.counters
    yield f"door      {live.way.value}, pid {live.pid}, version {live.version}, {age_s:.1f} s ago"
    yield (
        f"so far    {count.scans} scans, {count.admitted} admitted, {count.refused} refused, "
        f"{count.passed} passed, {count.annulled} annulled"
    )
    yield f"replaced  decoder {count.decoder_restarts} times, camera {count.camera_restarts} times"
    if live.p50_ms is not None and live.p99_ms is not None:
        yield f"decision  {live.p50_ms:.2f} ms in the middle, {live.p99_ms:.2f} ms at worst but 1 in 100"
    parts = msgspec.structs.asdict(live.parts)
    yield "parts     " + ", ".join(f"{name} {'ok' if said == OK else 'OUT'}" for name, said in parts.items())


app.command()(focus.focus)
app.add_typer(service.app)


def _print(fields: object) -> None:
    sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    """Entry point: errors in words, exit code 2 for the call and the configuration, 1 for the rest."""
    try:
        app()
    except (ConfigError, CallError) as error:
        _fail(error, 2)
    except MagueyError as error:
        _fail(error, 1)
    except BrokenPipeError:
        os._exit(1)


def _fail(error: Exception, code: int) -> None:
    sys.stderr.write(f"maguey-gate: {error}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
