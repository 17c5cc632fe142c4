"""`maguey-gate focus`: for whoever turns the camera's lens."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import Annotated

import typer

from gate.cli.options import Config
from gate.clock import SystemClock
from gate.common.errors import HardwareError, Step
from gate.common.log import configure
from gate.config import read_gate_config
from gate.diagnostics import focus as helper
from gate.diagnostics.device_tests import refuse_beside
from gate.ports.screen import Focus
from gate.store.live_file import read_live

StopAfter = Annotated[float | None, typer.Option(min=0.1, help="Stop after so long; left out: at Ctrl-C.")]


def focus(config: Config, seconds: StopAfter = None) -> None:
    """Show how sharp the camera sees, 0 to 999, on the gate's screen and here.

    Hold a code where guests hold their phones and turn the lens until the number is at its best.
    The door must not run: it has the camera.
    """
    from gate import bootstrap

    settings = read_gate_config(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    refuse_beside(read_live(settings.live, SystemClock().now()))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    until = time.monotonic() + (seconds or float("inf"))
    eye, display = bootstrap.make_focus(settings)
    try:
        last = helper.run(eye, display, _tell, lambda: stop.is_set() or time.monotonic() > until)
    finally:
        eye.close()
        display.close()
    if last is None:
        what = "The camera gave no picture to measure."
        raise HardwareError("camera", what, "Give it longer, or see: maguey-gate doctor", Step.CAMERA_CABLE)
    if sys.stdout.isatty():
        typer.echo()


def _tell(shown: Focus) -> None:
    """One line that changes on a terminal, a line each in a pipe."""
    code = "code read" if shown.read else "no code  "
    line = f"sharpness {shown.sharpness:3}   best {shown.best:3}   {code}"
    if sys.stdout.isatty():
        typer.echo(f"\r{line}", nl=False)
    else:
        typer.echo(line)
