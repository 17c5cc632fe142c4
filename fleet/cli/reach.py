"""``maguey-fleet reach``."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from fleet.cli.options import InventoryOption, JsonLinesOption
from fleet.errors import FleetError
from fleet.inventory.file import Inventory, read_inventory
from fleet.machine.ssh import MachineError, open_machine
from fleet.setup.facts import MachineFacts, ask_facts, unfit_for_release
from gate.common.command_line import BROKEN
from gate.common.value import Value

app = typer.Typer()
AT_ONCE = 20


class Reached(Value, frozen=True):
    """One machine. `problems`: why it cannot be set up; none if it can."""

    name: str
    seconds: float
    host_key: str = ""
    facts: MachineFacts | None = None
    problems: tuple[str, ...] = ()


@app.command()
def reach(
    config: InventoryOption,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Default: all.")] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Your SSH private key. Default: the agent's, ~/.ssh.")
    ] = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Log in to machines and say what they are, and whether a release can run there. Changes nothing there.

    The key of a machine that is met for the first time is kept in known_hosts beside the inventory.
    """
    inventory = read_inventory(config)
    wanted = inventory.machines_named(names) if names else inventory.names
    failed = False
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in as_completed([pool.submit(_reach, inventory, name, key) for name in wanted]):
            found = done.result()
            failed |= bool(found.problems)
            typer.echo(msgspec.json.encode(found).decode() if as_json else _line(found))
    if failed:
        raise typer.Exit(BROKEN)


def _reach(inventory: Inventory, name: str, key: Path | None) -> Reached:
    start = time.monotonic()
    known_hosts = inventory.path.with_name("known_hosts")
    try:
        with open_machine(inventory.login(name), known_hosts, key) as machine:
            facts = ask_facts(machine)
    except MachineError as error:
        return Reached(name=name, seconds=_since(start), problems=(str(error).removeprefix(f"{name}: "),))
    except OSError as error:
        raise FleetError(f"{known_hosts}: {error.strerror}.") from None
    problems = tuple(unfit_for_release(facts, time.time()))
    return Reached(
        name=name, seconds=_since(start), host_key=machine.host_key, facts=facts, problems=problems
    )


def _since(start: float) -> float:
    return round(time.monotonic() - start, 1)


def _line(found: Reached) -> str:
    facts = found.facts
    what = f"{facts.system}, {facts.processor}, {facts.python}, {facts.model or 'no Pi'}" if facts else "-"
    runs = f", runs {facts.release}" if facts and facts.release else ""
    state = "FAILED" if found.problems else "ok"
    lines = [f"{found.name}  {state}  {found.seconds:.1f} s  {what}{runs}  {found.host_key}".rstrip()]
    return "\n".join([*lines, *(f"    {problem}" for problem in found.problems)])
