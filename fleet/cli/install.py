"""``maguey-fleet install``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.bundle.release_key import read_signing_key
from fleet.cli.bundles import RELEASE_KEY
from fleet.cli.options import InventoryOption, JsonLinesOption
from fleet.cli.reach import AT_ONCE
from fleet.errors import FleetError
from fleet.inventory.file import Inventory, read_inventory
from fleet.machine.ssh import open_machine
from fleet.setup.facts import ask_facts, unfit_for_release
from fleet.setup.first_release import fitting_bundle, install_first
from gate.common.command_line import BROKEN
from gate.common.value import Value

app = typer.Typer()


class Installed(Value, frozen=True):
    """One machine. `release`: what runs; empty if it failed, and `problem` says why."""

    name: str
    seconds: float
    release: str = ""
    is_new: bool = False
    problem: str = ""


class _Order(Value, frozen=True):
    inventory: Inventory
    bundles: Path
    release_key: Ed25519PrivateKey
    ssh_key: Path | None


@app.command()
def install(  # noqa: PLR0913, PLR0917 – a command line's options
    config: InventoryOption,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Default: all.")] = None,
    bundles: Annotated[Path, typer.Option(metavar="FOLDER", help="What build made.")] = Path("bundles"),
    release_key: Annotated[Path, typer.Option(metavar="FILE", help="What key made.")] = RELEASE_KEY,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your SSH private key. Default: the agent's, ~/.ssh.")
    ] = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Install the first release on machines that have none. They need no internet.

    A machine that has a release is left as it is. If one fails the others are done, and it is named.
    """
    inventory = read_inventory(config)
    wanted = inventory.machines_named(names) if names else inventory.names
    order = _Order(
        inventory=inventory, bundles=bundles, release_key=read_signing_key(release_key), ssh_key=key
    )
    failed = False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in as_completed([pool.submit(_install, order, name) for name in wanted]):
            found = done.result()
            failed |= bool(found.problem)
            typer.echo(msgspec.json.encode(found).decode() if as_json else _line(found))
    if failed:
        raise typer.Exit(BROKEN)


def _install(order: _Order, name: str) -> Installed:
    start = time.monotonic()
    try:
        release, is_new = _release_of(order, name)
    except FleetError as error:
        return Installed(name=name, seconds=time.monotonic() - start, problem=str(error))
    return Installed(name=name, seconds=time.monotonic() - start, release=release, is_new=is_new)


def _release_of(order: _Order, name: str) -> tuple[str, bool]:
    known_hosts = order.inventory.path.with_name("known_hosts")
    with open_machine(order.inventory.login(name), known_hosts, order.ssh_key) as machine:
        facts = ask_facts(machine)
        if facts.release:
            return facts.release, False
        if problems := list(unfit_for_release(facts, time.time())):
            raise FleetError(f"{name}: {' '.join(problems)}")
        kind = "hub" if name == order.inventory.file.hub.name else "gate"
        return install_first(machine, fitting_bundle(order.bundles, kind, facts), order.release_key), True


def _line(found: Installed) -> str:
    if found.problem:
        return f"{found.name}  FAILED  {found.seconds:.1f} s\n    {found.problem}"
    what = f"installed {found.release}" if found.is_new else f"nothing to do: {found.release} runs"
    return f"{found.name}  ok  {found.seconds:.1f} s  {what}"
