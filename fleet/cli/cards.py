"""``maguey-fleet card``."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleet.card.boot_partition import write_first_boot
from fleet.card.first_boot import (
    FirstBoot,
    Wifi,
    first_boot_files,
    public_key_line,
    wifi_key,
    wifi_problems,
)
from fleet.cli.options import InventoryOption
from fleet.inventory.file import read_inventory
from gate.common.config_file import read_config_text
from gate.common.errors import CallError

app = typer.Typer()


@app.command()
def card(  # noqa: PLR0913, PLR0917 – a command line's options
    config: InventoryOption,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The machine, as in the inventory.")],
    boot: Annotated[Path, typer.Option(metavar="FOLDER", help="The card's boot partition, mounted.")],
    key: Annotated[
        Path, typer.Option(metavar="FILE", help="Your SSH public key; its owner may log in, nobody else.")
    ] = Path("~/.ssh/id_ed25519.pub"),
    wifi: Annotated[
        str, typer.Option(metavar="SSID", help="A Wi-Fi besides the cable. Asks for its password.")
    ] = "",
    country: Annotated[str, typer.Option(help="Where the Wi-Fi is, such as MX.")] = "",
) -> None:
    """Prepare a card with a stock Raspberry Pi OS, so that the Pi is reachable over SSH with your key.

    Run again, it changes only what is different. It never touches files that somebody else wrote.
    """
    inventory = read_inventory(config)
    if name not in inventory.names:
        inventory.gates_named((name,))
    first = FirstBoot(
        hostname=name,
        user=inventory.login(name).user,
        public_key=public_key_line(read_config_text(key.expanduser(), "Make one: ssh-keygen."), str(key)),
        timezone=inventory.file.timezone,
        wifi=_wifi(wifi, country) if wifi else None,
    )
    changed = write_first_boot(boot, first_boot_files(first))
    typer.echo(f"written to {boot}: {', '.join(changed)}" if changed else "nothing to do")


def _wifi(ssid: str, country: str) -> Wifi:
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password of {ssid}: ")
    else:
        password = sys.stdin.readline(256).rstrip("\r\n")
    problems = list(wifi_problems(ssid, password, country))
    if problems:
        raise CallError("\n".join(["Nothing was written.", *problems]))
    return Wifi(ssid=ssid, key=wifi_key(ssid, password), country=country)
