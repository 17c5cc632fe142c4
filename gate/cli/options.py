"""Options and steps that several commands share."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gate.clock import SystemClock
from gate.common.log import configure
from gate.config import GateFile, read_gate_config
from gate.diagnostics.device_tests import refuse_beside
from gate.store.live_file import read_live

Config = Annotated[Path, typer.Option(help="The gate's configuration file; see config/gate.toml.")]


def with_log(config: Path) -> GateFile:
    """Read the configuration and set up the log as it says."""
    settings = read_gate_config(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    return settings


def with_devices(config: Path) -> GateFile:
    """The same, after making sure that no door is using the devices."""
    settings = with_log(config)
    refuse_beside(read_live(settings.live, SystemClock().now()))
    return settings


def stopped_by_signal() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def print_json(fields: object) -> None:
    """Print one line of JSON at once."""
    sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
    sys.stdout.flush()
