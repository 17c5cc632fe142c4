"""The commands of `maguey-gate`. Each imports only what it needs: all of it takes seconds on a Pi."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from gate.cli import focus, service
from gate.cli.options import Config, print_json
from gate.cli.run_door import run_door, with_log
from gate.clock import SystemClock
from gate.common.errors import ConfigError, MagueyError
from gate.common.log import configure
from gate.common.options import common_options
from gate.config import read_gate_config
from gate.store.live_file import OK, Live

if TYPE_CHECKING:
    from gate.diagnostics.status import StatusReport

app = typer.Typer(
    name="maguey-gate",
    help="The gate controller: scans tickets, decides, releases the turnstile.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Pictures = Annotated[list[Path], typer.Argument(help="Pictures: PNG, JPEG or WebP.", metavar="FILE...")]
app.callback()(common_options)


@app.command()
def run(config: Config) -> None:
    """Run the door until stopped (SIGTERM or Ctrl-C). Exit code 75: staff ordered a restart."""
    raise typer.Exit(run_door(config))


@app.command()
def decode(files: Pictures) -> None:
    """Print the codes in pictures: for each file a line of JSON with file, codes, decoder, ms.

    Bytes that are not UTF-8 are shown as \\xNN. A file that cannot be read as a picture gets an `error`, and
    the exit code is 1.
    """
    from gate import bootstrap

    configure("text", service="maguey-gate")
    failed = False
    for file in files:
        try:
            found = bootstrap.decode_picture(file)
        except MagueyError as error:
            failed = True
            print_json({"file": str(file), "codes": [], "decoder": None, "ms": 0.0, "error": str(error)})
            continue
        codes = [code.raw.decode("utf-8", "backslashreplace") for code in found.found]
        print_json(
            {"file": str(file), "codes": codes, "decoder": found.decoder or None, "ms": round(found.ms, 2)}
        )
    if failed:
        raise typer.Exit(1)


@app.command()
def scan(
    files: Pictures,
    config: Config,
    release: Annotated[bool, typer.Option(help="Open the turnstile for an admitted guest.")] = False,
) -> None:
    """Decide pictures for real: each is recorded and sent to the hub. Prints a line of JSON for each verdict.

    Use it beside a running door to let somebody in by a picture, or to try out a gate. A file that cannot be
    read as a picture is not a scan: it gets an `error`, and the exit code is 1.
    """
    from gate.cli.scan_pictures import scan_pictures

    settings = with_log(config)
    refused = False
    for line, is_refused in scan_pictures(settings, files, release=release):
        print_json(line)
        refused |= is_refused
    if refused:
        raise typer.Exit(1)


@app.command()
def screens(
    out: Annotated[Path, typer.Option(help="Folder for the pictures; created if missing.")],
    lang: Annotated[Literal["es", "en"], typer.Option(help="Language of the texts.")] = "es",
) -> None:
    """Draw every screen as PNG, in the device's size and four times as large."""
    from gate import bootstrap

    if not str(out):
        raise ConfigError("--out is empty: name a folder for the pictures.")
    written = bootstrap.draw_screens(out, lang)
    typer.echo(f"{len(written)} pictures written to {out}")


@app.command()
def status(
    config: Config,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Report the state of the gate, from its files and the running door.

    The exit code is 1 if something needs attention.
    """
    from gate.diagnostics.status import gather

    answer = gather(read_gate_config(config), SystemClock())
    if as_json:
        print_json(msgspec.to_builtins(answer))
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
        yield f"cache     version {night.cache_version or '-'}, {night.state}"
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
        yield f"decision  {live.p50_ms:.2f} ms median, 99 of 100 within {live.p99_ms:.2f} ms"
    parts = msgspec.structs.asdict(live.parts)
    yield "parts     " + ", ".join(f"{name} {'ok' if said == OK else 'OUT'}" for name, said in parts.items())


app.command()(focus.focus)
app.add_typer(service.app)
