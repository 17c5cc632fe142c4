"""Commands of ``maguey-hub`` for whoever runs a night: how the gates are, and orders to them."""

from __future__ import annotations

import typer

app = typer.Typer()
