"""Runs the door. Imports nothing of the command line's, because a queue may be waiting (`gate.cli.main`)."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from gate.common.log import configure
from gate.config import GateFile, read_gate_config
from gate.store.locks import only_one


def run_door(config: Path) -> int:
    """Run the door until it is stopped. Returns the exit status: 0, or 75 if staff ordered a restart."""
    settings, stop = with_log(config), stopped_by_signal()
    from gate import bootstrap

    with only_one("door", settings.journal.parent):
        again = bootstrap.make_door(settings).run(stop)
    return os.EX_TEMPFAIL if again else 0


def with_log(config: Path) -> GateFile:
    """Read the configuration and set up the log as it says."""
    settings = read_gate_config(config)
    configure(settings.log, service="maguey-gate", gate=settings.gate_id)
    return settings


def stopped_by_signal() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
