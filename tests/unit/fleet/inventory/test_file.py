"""The inventory: strict, every mistake at once, and nothing is accepted that a gate would refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.inventory.file import (
    EveryGate,
    GateMachine,
    HubMachine,
    InventoryFile,
    inventory_of,
    read_inventory,
)
from fleet.inventory.toml_text import toml_text
from gate.common.errors import CallError, ConfigError
from gate.common.toml_settings import load_settings
from gate.config import GateFile

EXAMPLE = Path("config/inventory.toml")
PLACE = Path("inventory.toml")
GOOD = """
venue = "maguey"
[hub]
address = "192.168.7.2"
[every_gate]
turnstile.pin = 17
[gates.gate-1]
address = "192.168.7.11"
[gates.gate-2]
address = "192.168.7.12"
"""


def mistakes(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        inventory_of(text, PLACE)
    return str(caught.value)


def test_the_example_is_valid_and_shows_every_key() -> None:
    text = EXAMPLE.read_text("utf-8")
    made = read_inventory(EXAMPLE)
    assert made.names == ("hub", "gate-1", "gate-2")
    for shape in (InventoryFile, HubMachine, GateMachine, EveryGate):
        for key in shape.__struct_fields__:
            assert key in text, f"{key} is not in {EXAMPLE}"


def test_what_is_said_for_all_gates_counts_unless_one_says_otherwise() -> None:
    made = inventory_of(
        GOOD.replace("turnstile.pin = 17", "turnstile.pin = 17\nturnstile.pulse_ms = 300")
        + "turnstile.pin = 27\n",
        PLACE,
    )
    assert made.settings["gate-1"]["turnstile"] == {"pin": 17, "pulse_ms": 300}
    assert made.settings["gate-2"]["turnstile"] == {"pin": 27, "pulse_ms": 300}


def test_a_gate_reaches_the_hub_by_its_first_host() -> None:
    made = inventory_of(
        GOOD.replace('"192.168.7.2"', '"192.168.7.2"\nhosts = ["fd00::2", "hub.club"]'), PLACE
    )
    assert made.settings["gate-1"]["hub"]["url"] == "https://[fd00::2]:8443"
    assert made.settings["gate-1"]["hub"]["broker"] == "fd00::2"


def test_all_mistakes_are_told_at_once_where_they_stand() -> None:
    told = mistakes(
        GOOD.replace("turnstile.pin = 17", "turnstile.pin = 99\ncamera.driver = 'folder'")
        .replace('"192.168.7.11"', '"1.2.3"\nscreen.drvr = "sh1106"')
        .replace('[gates.gate-2]\naddress = "192.168.7.12"', '[gates."Gate 2"]\nadress = "192.168.7.12"')
    )
    assert "every_gate.turnstile.pin: Expected a whole number <= 27." in told
    assert "gates.gate-1.screen.drvr: unknown key. Did you mean 'driver'?" in told
    assert "gates.Gate 2.adress: unknown key. Did you mean 'address'?" in told
    assert "gates.Gate 2.address: missing; expected text." in told


def test_what_a_gate_would_refuse_is_refused_here_and_told_once() -> None:
    """The first two concern all gates; the third one of them."""
    told = mistakes(
        GOOD.replace('"maguey"', '"Ma guey"').replace("turnstile.pin = 17", "camera.driver = 'folder'")
        + "screen.driver = 'file'\n"
    )
    assert "3 mistakes" in told
    assert "venue: 'Ma guey' is not an id" in told
    assert "every_gate.camera.path: missing" in told
    assert "gates.gate-2.screen.path: missing" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("[gates.hub]\naddress = '192.168.7.3'", "gates.hub: the hub has this name"),
        ("[gates.maguey-hub-2]\naddress = '192.168.7.3'", "the hub's own at the broker"),
        ("[gates.gate-3]\naddress = '192.168.7.12'", "another machine has 192.168.7.12 and port 22 too"),
        ("[gates.gate-3]\naddress = '192.168.7.300'", "is no address or name"),
        ("[gates.gate-3]\naddress = '-oProxyCommand=x'", "is no address or name"),
        ("[gates.gate-3]\naddress = '192.168.7.3'\nevents = ['a b']", "is no code of a night"),
        ("[gates.gate-3]\naddress = '192.168.7.3'\nuser = '-root'", "gates.gate-3.user"),
        ("[gates.Gate_3]\naddress = '192.168.7.3'", "gates.Gate_3: 'Gate_3' is not an id"),
    ],
)
def test_names_and_addresses_are_ones_that_a_machine_can_have(line: str, told: str) -> None:
    assert told in mistakes(f"{GOOD}{line}\n")


def test_two_machines_behind_one_address_have_ports_of_their_own() -> None:
    made = inventory_of(f"{GOOD}port = 2202\n[gates.gate-3]\naddress = '192.168.7.12'\n", PLACE)
    assert made.file.gates["gate-2"].port == 2202


def test_a_name_that_is_not_in_the_inventory_is_refused_with_the_nearest() -> None:
    made = inventory_of(GOOD, PLACE)
    assert made.gates_named(("gate-2", "gate-1", "gate-2")) == ("gate-2", "gate-1")
    with pytest.raises(CallError, match=r"gate-22: no such gate in inventory.toml. Did you mean gate-2\?"):
        made.gates_named(("gate-22",))


def test_a_missing_file_is_refused_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file. Copy config/inventory.toml there"):
        read_inventory(tmp_path / "inventory.toml")


texts = st.text(st.characters(codec="utf-8"), max_size=12).filter(str.isprintable)
values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
known = st.sampled_from(
    [*GateMachine.__struct_fields__, *HubMachine.__struct_fields__, *InventoryFile.__struct_fields__, "pin"]
)
tables = st.dictionaries(known, values | st.dictionaries(known, values, max_size=3), max_size=4)


def is_flat(value: Any) -> bool:
    """Whether our writer can say it: it has no tables within lists."""
    if isinstance(value, dict):
        return all(map(is_flat, value.values()))
    return not isinstance(value, list) or not any(isinstance(one, dict | list) for one in value)


@given(tables, tables, tables)
def test_whatever_it_says_it_is_read_or_refused_in_words(
    top: dict[str, Any], shared: dict[str, Any], gate: dict[str, Any]
) -> None:
    whole = {"venue": "maguey", "hub": {"address": "10.0.0.2"}, "every_gate": shared} | top
    whole.setdefault("gates", {"gate-1": {"address": "10.0.0.3"} | gate})
    if not is_flat(whole):
        return
    try:
        made = inventory_of(toml_text(whole, ""), PLACE)
    except ConfigError as error:
        assert "mistake" in str(error)
        return
    for name, settings in made.settings.items():
        assert load_settings(toml_text(settings, "x"), GateFile, name).gate_id == name


drivers = st.sampled_from(["ssd1306", "sh1106", "ssd1322", "terminal", "none"])
pins = st.permutations(range(12, 24))
names = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,31}\Z").filter(
    lambda name: name != "hub" and not name.startswith("maguey-hub")
)


@given(
    st.dictionaries(names, st.tuples(pins, drivers, texts), max_size=5),
    st.sampled_from(["hub.club", "10.0.0.2", "fd00::2"]),
)
def test_what_is_made_of_a_good_inventory_a_gate_reads_as_meant(
    gates: dict[str, tuple[list[int], str, str]], host: str
) -> None:
    entries = {
        name: {
            "address": f"10.0.1.{number}",
            "name": title,
            "screen": {"driver": driver},
            "turnstile": {"pin": free[0]},
            "inputs": {"passage_pin": free[1], "fire_pin": free[2]},
        }
        for number, (name, (free, driver, title)) in enumerate(gates.items(), start=1)
    }
    whole = {"venue": "maguey", "hub": {"address": "10.0.0.1", "hosts": [host]}, "gates": entries}
    made = inventory_of(toml_text(whole, "any"), PLACE)
    for name, (free, driver, title) in gates.items():
        read = load_settings(toml_text(made.settings[name], "x"), GateFile, name)
        assert (read.turnstile.pin, read.inputs.passage_pin, read.screen.driver) == (free[0], free[1], driver)
        assert (read.gate_id, read.gate_name, read.venue, read.hub.broker) == (name, title, "maguey", host)
