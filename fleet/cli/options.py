"""What the commands of ``maguey-fleet`` share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from gate.common.config_file import CONFIG_VARIABLE

INVENTORY = Path("inventory.toml")

InventoryOption = Annotated[
    Path,
    typer.Option(
        "--config",
        default_factory=lambda: Path(os.environ.get(CONFIG_VARIABLE) or INVENTORY),
        show_default=f"${CONFIG_VARIABLE}, else {INVENTORY} in this folder",
        help="The inventory; config/inventory.toml is a commented example.",
    ),
]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="Print NDJSON, a line for each event.")]
