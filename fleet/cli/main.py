"""``maguey-fleet``: a club's machines, from the operator's laptop.

Exit codes: see `gate.common.command_line`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from fleet.cli import bundles, cards, install, reach
from fleet.cli.options import InventoryOption
from fleet.inventory.file import read_inventory
from fleet.inventory.settings import HEADING
from fleet.inventory.toml_text import toml_text
from gate.common.options import common_options

app = typer.Typer(
    name="maguey-fleet",
    help="A club's gates and hub, from a laptop over SSH.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    callback=common_options,
)


def main() -> None:
    """The program."""
    app()


@app.command()
def inventory(
    config: InventoryOption,
    show: Annotated[str, typer.Option(metavar="GATE", help="Print the gate.toml that this gate gets.")] = "",
) -> None:
    """Check the inventory, and list its machines."""
    read = read_inventory(config)
    if show:
        (gate,) = read.gates_named((show,))
        typer.echo(toml_text(read.settings[gate], HEADING), nl=False)
        return
    width = max(map(len, read.names))
    for login in map(read.login, read.names):
        typer.echo(f"{login.name.ljust(width)}  {login.user}@{login.address} port {login.port}")


for commands in (bundles, cards, reach, install):
    app.add_typer(commands.app)
