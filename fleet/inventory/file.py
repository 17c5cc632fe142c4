"""`inventory.toml`: the machines of a club, one table for each. Checked as strictly as a gate.toml.

What a gate is wired like is said in gate.toml's own words (`gate.config`), so there is one vocabulary, and
the mistakes of every gate.toml that would come of it are found here, on the laptop.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from fleet.inventory.settings import gate_settings
from gate.common.config_file import read_config_text
from gate.common.errors import CallError
from gate.common.hosts import is_host
from gate.common.toml_settings import load_settings
from gate.common.value import Value
from gate.config import (
    CameraSection,
    DoorSection,
    InputsSection,
    KeypadSection,
    LightsSection,
    Port,
    ScannerSection,
    ScreenSection,
    TurnstileSection,
    gate_problems,
)

Model = Literal["pi3", "pi4", "pi5", "zero2", "cm4", "other"]
LOGIN = r"^[a-z_][a-z0-9_-]{0,31}\Z"
"""useradd(8)."""
Login = Annotated[str, Meta(pattern=LOGIN)]
MADE_FROM = "Copy config/inventory.toml there and fill it in."
MOST_GATES = 64
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_EVENT = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class EveryGate(Value, frozen=True, kw_only=True):
    """What may be said once for all gates, and again for one. The sections are those of gate.toml.

    `model`: the Raspberry Pi, or ``other`` for a machine that has no pins. `events`: the nights it serves,
    by their codes.
    """

    model: Model = "pi4"
    events: tuple[str, ...] = ()
    user: Login | None = None
    port: Port = 22
    lang: Literal["es", "en"] | None = None
    log: Literal["text", "json"] = "text"
    camera: CameraSection = CameraSection()
    screen: ScreenSection = ScreenSection()
    turnstile: TurnstileSection = TurnstileSection()
    inputs: InputsSection = InputsSection()
    lights: LightsSection = LightsSection()
    keypad: KeypadSection = KeypadSection()
    scanner: ScannerSection = ScannerSection()
    door: DoorSection = DoorSection()


class GateMachine(EveryGate, frozen=True, kw_only=True):
    """One gate. `address`: where SSH reaches it; `name`: what screens call it."""

    address: str
    name: Annotated[str, Meta(max_length=32)] = ""


class HubMachine(Value, frozen=True):
    """The hub. `hosts`: names and addresses by which gates reach it, by default `address`.

    All stand in its certificates; the first is written into every gate.toml.
    """

    address: str
    name: str = "hub"
    hosts: Annotated[tuple[str, ...], Meta(max_length=16)] = ()
    user: Login | None = None
    port: Port = 22
    web_port: Port = 8443
    broker_port: Port = 8883


class InventoryFile(Value, frozen=True):
    """All of it. `user`: who logs in, unless a machine says otherwise. `keys`: for ticket signatures."""

    venue: str
    hub: HubMachine
    user: Login = "maguey"
    lang: Literal["es", "en"] = "es"
    timezone: str = "America/Mexico_City"
    every_gate: EveryGate = EveryGate()
    gates: Annotated[dict[str, GateMachine], Meta(max_length=MOST_GATES)] = {}
    keys: dict[str, str] = {}


class MachineLogin(Value, frozen=True):
    """Where SSH finds a machine, and as whom to log in."""

    name: str
    address: str
    port: int
    user: str


class Inventory(Value, frozen=True):
    """The file, and what each gate's gate.toml says."""

    path: Path
    file: InventoryFile
    settings: dict[str, dict[str, Any]]

    @property
    def names(self) -> tuple[str, ...]:
        """All machines; the hub first, because gates need it."""
        return (self.file.hub.name, *self.file.gates)

    def login(self, name: str) -> MachineLogin:
        """How SSH reaches one of `names`."""
        machine = self.file.hub if name == self.file.hub.name else self.file.gates[name]
        user = machine.user or self.file.user
        return MachineLogin(name=name, address=machine.address, port=machine.port, user=user)

    def machines_named(self, names: Sequence[str]) -> tuple[str, ...]:
        """These machines, each once, the hub first. Raises `CallError`, as `gates_named`."""
        hub = [name for name in dict.fromkeys(names) if name == self.file.hub.name]
        return (*hub, *self.gates_named(tuple(name for name in names if name not in hub)))

    def gates_named(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """These gates, each once.

        :raises CallError: one is not in the inventory.
        """
        strange = [name for name in names if name not in self.file.gates]
        if strange:
            near = difflib.get_close_matches(strange[0], self.file.gates, n=1)
            known = f"Did you mean {near[0]}?" if near else f"It has: {', '.join(self.file.gates) or 'none'}."
            raise CallError(f"{', '.join(strange)}: no such gate in {self.path}. {known} Nothing was done.")
        return tuple(dict.fromkeys(names))


def read_inventory(path: Path) -> Inventory:
    """Read and check an inventory.

    :raises ConfigError: it is missing, unreadable or wrong; it lists all mistakes at once.
    """
    return inventory_of(read_config_text(path, MADE_FROM), path)


def inventory_of(text: str, path: Path) -> Inventory:
    """The inventory in a text. Pure. Raises `ConfigError`; `path` is what the message calls it."""
    problems = _Problems(text)
    file = load_settings(text, InventoryFile, str(path), problems)
    return Inventory(path=path, file=file, settings=problems.settings(file))


class _Problems:
    """What is wrong with an inventory whose keys are all well-formed."""

    def __init__(self, text: str) -> None:
        self._text = text

    def settings(self, file: InventoryFile) -> dict[str, dict[str, Any]]:
        raw = tomllib.loads(self._text)
        return {name: gate_settings(raw, name, file.hub.hosts or (file.hub.address,)) for name in file.gates}

    def __call__(self, file: InventoryFile) -> Iterator[str]:
        yield from _name_problems(file)
        yield from _address_problems(file)
        yield from _event_problems(file)
        yield from self._gate_problems(file)

    def _gate_problems(self, file: InventoryFile) -> Iterator[str]:
        """A mistake in what is said for all is told once, where it stands."""
        raw, told = tomllib.loads(self._text), set()
        for name, settings in self.settings(file).items():
            for problem in gate_problems(settings):
                place = _place(problem.split(":")[0], name, raw)
                if place and place not in told:
                    told.add(place)
                    yield f"{place}:{problem.partition(':')[2]}"


def _place(key: str, gate: str, raw: dict[str, Any]) -> str:
    """Where in the inventory a key of gate.toml comes from; empty if another mistake says so already."""
    if key == "gate_id":
        return ""
    if key in ("venue", "timezone") or key.startswith("keys."):
        return key
    section = key.split(",", maxsplit=1)[0].partition(".")[0]
    own, shared = raw["gates"][gate], raw.get("every_gate", {})
    return f"gates.{gate}.{key}" if section in own or section not in shared else f"every_gate.{key}"


def _name_problems(file: InventoryFile) -> Iterator[str]:
    for key, name in (("hub.name", file.hub.name), *((f"gates.{name}", name) for name in file.gates)):
        if not _ID.fullmatch(name):
            yield f"{key}: {name[:80]!r} is not an id; expected up to 32 of a-z, 0-9 and hyphens."
    if file.hub.name in file.gates:
        yield f"gates.{file.hub.name}: the hub has this name; give one of them another."
    if any(name.startswith("maguey-hub") for name in file.gates):
        yield "gates: names that begin with maguey-hub are the hub's own at the broker; choose another."


def _address_problems(file: InventoryFile) -> Iterator[str]:
    places = {f"gates.{name}": gate for name, gate in file.gates.items()}
    machines: dict[str, HubMachine | GateMachine] = {"hub": file.hub, **places}
    for key, machine in machines.items():
        if not is_host(machine.address):
            yield f"{key}.address: {machine.address[:80]!r} is no address or name, such as 192.168.7.11."
    for number, host in enumerate(file.hub.hosts, start=1):
        if not is_host(host):
            yield f"hub.hosts: number {number}, {host[:80]!r}, is no address or name, such as hub.club."
    seen = Counter((machine.address.lower(), machine.port) for machine in machines.values())
    for key, machine in machines.items():
        if seen[(machine.address.lower(), machine.port)] > 1:
            yield f"{key}.address: another machine has {machine.address} and port {machine.port} too."


def _event_problems(file: InventoryFile) -> Iterator[str]:
    for key, events in (("every_gate", file.every_gate.events), *_events(file)):
        for event in events:
            if not _EVENT.fullmatch(event):
                yield f"{key}.events: {event[:80]!r} is no code of a night, such as PF."


def _events(file: InventoryFile) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, gate in file.gates.items():
        yield f"gates.{name}", gate.events
