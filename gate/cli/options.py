"""Options that several commands of the door have."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path, typer.Option(help="The gate's configuration; see config/gate.toml.")]
