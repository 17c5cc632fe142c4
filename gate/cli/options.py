"""Options and steps that several commands share."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec

from gate.cli.run_door import with_log
from gate.clock import SystemClock
from gate.common.options import config_option
from gate.config import GateFile
from gate.diagnostics.device_tests import refuse_beside
from gate.store.live_file import read_live

Config = Annotated[Path, config_option("gate.toml")]


def with_devices(config: Path) -> GateFile:
    """Read the configuration and set up the log, after making sure that no door is using the devices."""
    settings = with_log(config)
    refuse_beside(read_live(settings.live, SystemClock().now()))
    return settings


def print_json(fields: object) -> None:
    """Print one line of JSON at once."""
    sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
    sys.stdout.flush()
