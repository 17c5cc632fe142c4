"""gate/bootstrap.py with gpiozero's simulated pins: what must hold whatever the door's loop is doing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gpiozero
import msgspec
import pytest

from gate import bootstrap
from gate.config import GateFile, read_gate_config
from gate.door.loop import Door
from hardware.pins.inputs import GpioInputs
from tests.patience import PATIENCE_S, until

CONFIG = """
gate_id = "gate-1"
venue = "maguey"
state_dir = "{home}/state"
runtime_dir = "{home}/run"
[camera]
driver = "folder"
path = "{home}/camera"
[screen]
driver = "none"
[turnstile]
driver = "mock"
trace = "{home}/relay"
[inputs]
driver = "mock"
passage_pin = 22
fire_pin = 27
[hub]
url = "http://127.0.0.1:1"
token_file = "{home}/token"
"""


@pytest.fixture
def config(tmp_path: Path) -> GateFile:
    file = tmp_path / "gate.toml"
    file.write_text(CONFIG.format(home=tmp_path))
    (tmp_path / "camera").mkdir()
    return read_gate_config(file)


@pytest.fixture
def door(config: GateFile) -> Iterator[Door]:
    door = bootstrap.make_door(config)
    yield door
    door.close()


def fire_pin(inputs: Any) -> Any:
    assert isinstance(inputs, GpioInputs)
    (contact,) = [contact for contact in inputs._contacts if contact.key == "inputs.fire_pin"]
    return contact._device.pin


def states(folder: Path) -> list[int]:
    return [json.loads(line)["state"] for line in (folder / "relay").read_text().splitlines()]


def await_states(folder: Path, wanted: list[int]) -> None:
    until(lambda: states(folder) == wanted, lambda: str(states(folder)))


def test_a_fire_alarm_opens_even_if_the_doors_loop_never_turns(door: Door, tmp_path: Path) -> None:
    parts = door._parts
    assert parts.turnstile.get(0) is not None
    pin = fire_pin(parts.inputs.get(0))
    assert states(tmp_path) == []
    pin.drive_high()  # the normally closed contact opens
    await_states(tmp_path, [1])


def test_an_alarm_heard_before_there_is_a_relay_opens_it_as_soon_as_there_is(
    door: Door, tmp_path: Path
) -> None:
    parts = door._parts
    fire_pin(parts.inputs.get(0)).drive_high()
    assert parts.turnstile.get(0) is not None
    await_states(tmp_path, [1])


def test_after_the_alarm_the_loop_locks_again_and_has_recorded_both(door: Door, tmp_path: Path) -> None:
    door.step()
    pin = fire_pin(door._parts.inputs.get(0))
    pin.drive_high()
    await_states(tmp_path, [1])
    door.step()
    pin.drive_low()
    while states(tmp_path) == [1]:
        door.step()
    await_states(tmp_path, [1, 0])
    journal = door._parts.journal.part
    assert journal is not None
    rows = journal._db.execute("select record, reason from scans order by seq").fetchall()
    assert rows == [("event", "free_passage"), ("event", "free_passage_over")]


def test_a_door_starts_even_if_its_panels_driver_never_returns(
    config: GateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    called, comes_back, back = threading.Event(), threading.Event(), threading.Event()

    def hanging(*_: Any, **__: Any) -> Any:
        called.set()
        comes_back.wait(PATIENCE_S)
        back.set()
        raise OSError("no panel after all")

    monkeypatch.setattr("display.panel.devices.make_device", hanging)
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    screen = msgspec.structs.replace(config.screen, driver="ssd1322")
    door = bootstrap.make_door(msgspec.structs.replace(config, screen=screen))
    try:
        assert called.wait(PATIENCE_S)
        assert not back.is_set()
        assert gpiozero.Device.pin_factory is not None, "chosen before the panel's thread uses it"
    finally:
        comes_back.set()
        door.close()
