"""`maguey-gate focus`: helps to focus the camera."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from gate.cli.options import Config, with_devices
from gate.cli.run_door import stopped_by_signal
from gate.common.errors import HardwareError, Step
from gate.diagnostics import focus as helper
from gate.ports.screen import Focus

StopAfter = Annotated[float | None, typer.Option(min=0.1, help="Stop after so many seconds, or at Ctrl-C.")]


def focus(config: Config, seconds: StopAfter = None) -> None:
    """Show how sharp the camera sees, 0 to 999, on the gate's screen and here.

    Hold a phone with a code where guests hold theirs, and turn the lens until the number is highest. The door
    must be stopped, because it uses the camera.
    """
    from gate import bootstrap

    settings, stop = with_devices(config), stopped_by_signal()
    until = time.monotonic() + (seconds or float("inf"))
    eye, display = bootstrap.make_focus(settings)
    try:
        last = helper.measure_focus(eye, display, _tell, lambda: stop.is_set() or time.monotonic() > until)
    finally:
        eye.close()
        display.close()
    if last is None:
        what, advice = "The camera gave no picture.", "Give it more time, or run maguey-gate doctor."
        raise HardwareError("camera", what, advice, Step.CAMERA_CABLE)
    if sys.stdout.isatty():
        typer.echo()


def _tell(shown: Focus) -> None:
    """Overwrite one line on a terminal, print a line each into a pipe."""
    code = "code read" if shown.read else "no code  "
    line = f"sharpness {shown.sharpness:3}   best {shown.best:3}   {code}"
    if sys.stdout.isatty():
        typer.echo(f"\r{line}", nl=False)
    else:
        typer.echo(line)
