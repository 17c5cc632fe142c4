"""The contacts on gpiozero's simulated pins: all are pulled up, and close to ground."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import gpiozero
import msgspec
import pytest
from gpiozero.pins.mock import MockFactory
from structlog.testing import capture_logs

from gate.common.errors import HardwareError, Step
from gate.ports.devices import Inputs, NoInputs
from gate.rules.passage import Sensed
from hardware.pins import fire_alarm as fire
from hardware.pins import inputs
from hardware.pins.inputs import BLOCKED_S, BODY_S, CONTACT_S, GpioInputs, make_inputs
from hardware.pins.relay_duty import RelayDuty
from hardware.pins.turnstile import RelayTurnstile
from tests.patience import PATIENCE_S, until
from tests.unit.hardware.watched_pins import WatchedPin, levels

PASSAGE, EXIT, FIRE, TAMPER = 5, 6, 13, 19


class Contact(WatchedPin):
    """A pin with a contact to ground, which overrides the pull."""

    is_closed = False

    def _set_pull(self, value: str) -> None:
        super()._set_pull(value)
        if self.is_closed:
            self.drive_low()


class Wires:
    """The wiring of the pins; at rest the alarm and tamper loops are closed."""

    def __init__(self) -> None:
        self.factory: Any = MockFactory(pin_class=Contact)
        self.now = 1000.0
        self.inputs: GpioInputs | None = None
        for number in (FIRE, TAMPER):
            self.close(number)

    def close(self, number: int) -> None:
        self.factory.pin(number).is_closed = True
        self.factory.pin(number).drive_low()

    def open(self, number: int) -> None:
        self.factory.pin(number).is_closed = False
        self.factory.pin(number).drive_high()

    def body(self) -> None:
        self.close(PASSAGE)
        self.open(PASSAGE)

    def connect(self, **settings: Any) -> GpioInputs:
        pins = {"passage_pin": PASSAGE, "exit_pin": EXIT, "fire_pin": FIRE, "tamper_pin": TAMPER}
        self.inputs = GpioInputs(**(pins | settings), clock=lambda: self.now, factory=self.factory)
        return self.inputs


@pytest.fixture
def wires() -> Iterator[Wires]:
    wires = Wires()
    yield wires
    if wires.inputs is not None:
        wires.inputs.close()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm's level is checked so often that a test need not wait."""
    monkeypatch.setattr(fire, "LOOK_S", 0.01)


class Heard(list[bool]):
    """The values `on_fire` was called with; the first `deaf` calls raise."""

    def __init__(self, deaf: int = 0) -> None:
        self.deaf, self.asked = deaf, 0

    def __call__(self, on: bool) -> None:
        self.asked += 1
        if self.asked <= self.deaf:
            raise HardwareError("turnstile", "Stuck.", "Free it.")
        self.append(on)


def test_nothing_happens_with_everything_at_rest(wires: Wires) -> None:
    connected: Inputs = wires.connect()
    assert connected.read() == Sensed()
    assert connected.trouble() is None


def test_bodies_and_presses_are_counted_between_readings(wires: Wires) -> None:
    connected = wires.connect()
    wires.body()
    wires.body()
    wires.close(EXIT)
    assert connected.read() == Sensed(bodies=2, exits=1)
    wires.open(EXIT)
    assert connected.read() == Sensed(), "releasing it is not a second press"
    wires.close(PASSAGE)
    assert connected.read().bodies == 1
    assert connected.read().bodies == 0, "a body is counted once, however long it stands there"


def test_somebody_in_the_sensor_when_the_gate_starts_does_not_count_as_a_body(wires: Wires) -> None:
    wires.close(PASSAGE)
    connected = wires.connect()
    wires.open(PASSAGE)
    assert connected.read().bodies == 0


def test_a_sensor_covered_longer_than_a_body_takes_is_blocked(wires: Wires) -> None:
    connected = wires.connect()
    wires.close(PASSAGE)
    assert connected.read() == Sensed(bodies=1, covered=True)
    wires.now += BLOCKED_S
    assert connected.read() == Sensed(covered=True)
    wires.now += 0.1
    assert connected.read() == Sensed(covered=True, blocked=True)
    wires.open(PASSAGE)
    assert connected.read() == Sensed()


def test_a_sensor_is_not_covered_after_somebody_has_walked_through(wires: Wires) -> None:
    connected = wires.connect()
    wires.body()
    assert connected.read() == Sensed(bodies=1)


def test_a_queue_walking_through_does_not_block_the_sensor(wires: Wires) -> None:
    connected = wires.connect()
    for _ in range(30):
        wires.open(PASSAGE)
        wires.close(PASSAGE)
        wires.now += 1.0
        sensed = connected.read()
        assert (sensed.bodies, sensed.blocked) == (1, False)


def test_an_opened_housing_and_a_cut_wire_are_tampering(wires: Wires) -> None:
    connected = wires.connect()
    wires.open(TAMPER)
    assert connected.read() == Sensed(tamper=True)
    assert connected.read().tamper
    wires.close(TAMPER)
    assert not connected.read().tamper


def test_a_fire_alarm_opens_its_contact_so_a_cut_wire_is_an_alarm(wires: Wires) -> None:
    heard = Heard()
    connected = wires.connect(on_fire=heard)
    wires.open(FIRE)
    assert heard == [True]
    assert connected.read() == Sensed(fire=True)
    wires.close(FIRE)
    assert heard == [True, False]
    assert connected.read() == Sensed()


def test_a_fire_alarm_can_be_wired_to_close_its_contact(wires: Wires) -> None:
    heard = Heard()
    wires.open(FIRE)
    connected = wires.connect(on_fire=heard, fire_normally_closed=False)
    assert not connected.read().fire
    wires.close(FIRE)
    assert heard == [True]
    assert connected.read().fire


def test_an_alarm_that_is_already_on_is_reported_at_the_start(wires: Wires) -> None:
    heard = Heard()
    wires.open(FIRE)
    connected = wires.connect(on_fire=heard)
    assert heard == [True]
    assert connected.read().fire


def test_the_alarm_is_reported_from_the_pins_thread_while_nobody_reads(wires: Wires) -> None:
    threads: list[str] = []
    wires.connect(on_fire=lambda _on: threads.append(threading.current_thread().name))
    pins = threading.Thread(target=wires.open, args=(FIRE,), name="the pin driver's")
    pins.start()
    pins.join(PATIENCE_S)
    assert threads == ["the pin driver's"]


@pytest.mark.parametrize("on_fire", [None, Heard()])
@pytest.mark.parametrize("normally_closed", [True, False])
def test_an_alarm_that_is_over_before_the_next_reading_is_read_once(
    wires: Wires, on_fire: Heard | None, normally_closed: bool
) -> None:
    begin, end = (wires.open, wires.close) if normally_closed else (wires.close, wires.open)
    end(FIRE)
    connected = wires.connect(on_fire=on_fire, fire_normally_closed=normally_closed)
    assert connected.read() == Sensed()
    begin(FIRE)
    end(FIRE)
    assert connected.read() == Sensed(fire=True)
    assert connected.read() == Sensed()


def test_a_housing_opened_and_closed_between_two_readings_is_tampering(wires: Wires) -> None:
    connected = wires.connect()
    wires.open(TAMPER)
    wires.close(TAMPER)
    assert connected.read() == Sensed(tamper=True)
    assert connected.read() == Sensed()


@pytest.mark.parametrize("pin", [FIRE, TAMPER])
def test_a_flapping_contact_is_an_alarm_at_every_reading_until_it_rests(wires: Wires, pin: int) -> None:
    """Whatever its level when it is read; otherwise readings would alternate between alarm and none."""
    connected = wires.connect(on_fire=Heard())
    alarm = Sensed(fire=pin == FIRE, tamper=pin == TAMPER)
    for flaps in range(2, 20):
        for flap in range(flaps):
            (wires.close if flap % 2 else wires.open)(pin)
        assert connected.read() == alarm
    wires.close(pin)
    connected.read()
    assert connected.read() == Sensed()


@pytest.mark.usefixtures("often")
def test_an_alarm_only_the_second_thread_noticed_is_read_too(wires: Wires) -> None:
    heard = Heard()
    connected = wires.connect(on_fire=heard)
    wires.factory.pin(FIRE).when_changed = None
    wires.open(FIRE)
    until(lambda: heard == [True])
    wires.close(FIRE)
    until(lambda: heard == [True, False])
    assert connected.read() == Sensed(fire=True)
    assert connected.read() == Sensed()


def test_an_alarm_whose_level_is_back_when_its_edge_arrives_is_read(
    wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = wires.connect(on_fire=Heard())
    with monkeypatch.context() as back:
        back.setattr(WatchedPin, "_get_state", lambda _pin: 0)
        wires.open(FIRE)
        wires.close(FIRE)
    assert connected.read() == Sensed(fire=True)
    assert connected.read() == Sensed()


def test_an_alarm_is_read_until_a_slow_opening_has_finished(wires: Wires) -> None:
    """Otherwise the loop would lock before the opening, and nobody would lock after it."""
    asked, goes_on = threading.Event(), threading.Event()

    def slow(on: bool) -> None:
        if on:
            asked.set()
            assert goes_on.wait(PATIENCE_S)

    connected = wires.connect(on_fire=slow)
    pins = threading.Thread(target=wires.open, args=(FIRE,))
    pins.start()
    assert asked.wait(PATIENCE_S)
    quiet = threading.Thread(target=wires.close, args=(FIRE,))
    quiet.start()
    until(lambda: wires.factory.pin(FIRE).state == 0)
    assert [connected.read().fire for _ in range(3)] == [True] * 3
    goes_on.set()
    pins.join(PATIENCE_S)
    quiet.join(PATIENCE_S)
    assert [connected.read().fire for _ in range(2)] == [True, False]


def test_an_alarm_whose_callback_fails_is_read(wires: Wires) -> None:
    connected = wires.connect(on_fire=Heard(deaf=1000))
    wires.open(FIRE)
    wires.close(FIRE)
    assert connected.read() == Sensed(fire=True)


@pytest.mark.usefixtures("often")
def test_an_alarm_whose_callback_fails_is_reported_again_and_logged_once(wires: Wires) -> None:
    heard = Heard(deaf=3)
    with capture_logs() as logs:
        wires.connect(on_fire=heard)
        wires.open(FIRE)
        until(lambda: heard == [True])
        until(lambda: len(logs) == 2)
    assert heard.asked == 4
    assert "failed" in logs[0]["event"]
    assert "recovered" in logs[1]["event"]


@pytest.mark.usefixtures("often")
def test_an_alarm_is_reported_although_the_pin_drivers_thread_has_died(wires: Wires) -> None:
    """lgpio's thread ends at the first exception in any callback, and then reports no edge any more."""
    heard = Heard()
    wires.connect(on_fire=heard)
    wires.factory.pin(FIRE).when_changed = None
    wires.open(FIRE)
    until(lambda: heard == [True])


def test_after_closing_no_alarm_is_reported(wires: Wires) -> None:
    heard = Heard()
    connected = wires.connect(on_fire=heard)
    connected.close()
    wires.open(FIRE)
    assert heard == []
    assert wires.factory.pin(FIRE).function == "input"
    connected.close()


def test_the_fire_alarm_opens_the_turnstile_with_the_door_doing_nothing(wires: Wires) -> None:
    relay = RelayTurnstile(17, factory=wires.factory)
    wires.connect(on_fire=lambda on: relay.hold_open() if on else relay.rest())
    wires.open(FIRE)
    assert levels(wires.factory.pin(17)) == [False, True]
    wires.close(FIRE)
    assert levels(wires.factory.pin(17)) == [False, True, False]
    assert relay._duty == RelayDuty(until_s=relay._duty.until_s)
    relay.close()


def test_an_input_that_cannot_be_read_is_trouble_and_keeps_its_last_value(
    wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = wires.connect()
    wires.open(TAMPER)
    assert connected.read().tamper

    def broken(_pin: Any) -> bool:
        raise OSError("bad read")

    with capture_logs() as logs:
        with monkeypatch.context() as broken_chip:
            broken_chip.setattr(WatchedPin, "_get_state", broken)
            for _ in range(3):
                assert connected.read() == Sensed(tamper=True, blocked=True)
            trouble = connected.trouble()
        connected.read()
    assert trouble is not None
    assert (trouble.part, trouble.step) == ("sensor", Step.SENSOR_WIRING)
    assert connected.trouble() is None
    assert [line["event"] for line in logs] == [
        f"{key} {what}"
        for what in ("failed", "recovered")
        for key in (inputs.FIRE, inputs.PASSAGE, inputs.EXIT, inputs.TAMPER)
    ]


def test_a_passage_sensor_that_cannot_be_read_is_blocked_but_not_covered(
    wires: Wires, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = wires.connect()
    wires.close(PASSAGE)
    assert connected.read() == Sensed(bodies=1, covered=True)

    def broken(_pin: Any) -> bool:
        raise OSError("bad read")

    with monkeypatch.context() as broken_chip:
        broken_chip.setattr(WatchedPin, "_get_state", broken)
        assert connected.read() == Sensed(blocked=True)
    assert connected.read() == Sensed(covered=True)


class Taken:
    """A pin in use by something else; `free` releases it."""

    def __init__(self, wires: Wires, pin: int) -> None:
        self._other = gpiozero.DigitalInputDevice(pin, pull_up=True, pin_factory=wires.factory)

    def free(self) -> None:
        self._other.close()


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A contact that could not be made is tried again at once."""
    monkeypatch.setattr(inputs, "RETRY_S", 0.01)


@pytest.mark.parametrize(
    ("pin", "key", "quiet"),
    [
        (PASSAGE, inputs.PASSAGE, Sensed(blocked=True)),
        (EXIT, inputs.EXIT, Sensed()),
        (TAMPER, inputs.TAMPER, Sensed()),
    ],
)
def test_a_contact_whose_pin_is_taken_is_trouble_and_the_fire_alarm_still_works(
    wires: Wires, pin: int, key: str, quiet: Sensed
) -> None:
    other, heard = Taken(wires, pin), Heard()
    connected = wires.connect(on_fire=heard)
    assert key in str(connected.trouble())
    assert connected.read() == quiet, "with a blind sensor nobody is annulled"
    assert key in str(connected.trouble())
    wires.open(FIRE)
    assert heard == [True]
    assert connected.read() == msgspec.structs.replace(quiet, fire=True)
    other.free()


@pytest.mark.usefixtures("soon")
def test_a_contact_is_made_as_soon_as_its_pin_is_free_and_each_is_logged_once(wires: Wires) -> None:
    others = [Taken(wires, PASSAGE), Taken(wires, TAMPER)]
    with capture_logs() as logs:
        connected = wires.connect()
        wires.body()
        assert connected.read() == Sensed(blocked=True)
        for other in others:
            other.free()
        until(lambda: connected.read() == Sensed())
        assert connected.trouble() is None
    wires.body()
    wires.open(TAMPER)
    assert connected.read() == Sensed(bodies=1, tamper=True)
    assert sorted(line["event"] for line in logs) == sorted(
        f"{key} {what}" for key in (inputs.PASSAGE, inputs.TAMPER) for what in ("failed", "recovered")
    )


@pytest.mark.usefixtures("soon", "often")
def test_a_fire_contact_made_late_reports_an_alarm_that_is_already_on(wires: Wires) -> None:
    other, heard = Taken(wires, FIRE), Heard()
    connected = wires.connect(on_fire=heard)
    wires.body()
    assert connected.read() == Sensed(bodies=1), "the others work"
    assert inputs.FIRE in str(connected.trouble())
    wires.open(FIRE)
    other.free()
    until(lambda: heard == [True])
    assert connected.read().fire


def test_the_fire_alarm_is_reported_first_of_several_broken_contacts(wires: Wires) -> None:
    others = [Taken(wires, pin) for pin in (PASSAGE, TAMPER, FIRE)]
    assert inputs.FIRE in str(wires.connect().trouble())
    for other in others:
        other.free()


def test_if_no_contact_can_be_made_the_inputs_fail_without_logging(wires: Wires) -> None:
    others = [Taken(wires, pin) for pin in (PASSAGE, EXIT, FIRE, TAMPER)]
    with capture_logs() as logs, pytest.raises(HardwareError, match="used twice"):
        wires.connect(on_fire=Heard())
    assert logs == [], "it is retried every few seconds and would be logged as often"
    assert not [thread for thread in threading.enumerate() if thread.name in ("fire", "inputs")]
    for other in others:
        other.free()
    assert wires.connect().read() == Sensed()


@pytest.mark.usefixtures("soon")
def test_after_closing_no_contact_is_retried(wires: Wires) -> None:
    other = Taken(wires, TAMPER)
    connected = wires.connect()
    connected.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "inputs"]
    other.free()


def test_each_input_has_its_own_debounce_time(wires: Wires) -> None:
    """It is longer than a contact bounces and shorter than a body takes; the mock does not bounce."""
    wires.connect()
    bounces = {number: wires.factory.pin(number).bounce for number in (PASSAGE, EXIT, FIRE, TAMPER)}
    assert bounces == {PASSAGE: BODY_S, EXIT: CONTACT_S, FIRE: CONTACT_S, TAMPER: CONTACT_S}
    assert 0.01 < CONTACT_S < 0.08
    assert BODY_S < 0.08
    assert all(wires.factory.pin(number).pull == "up" for number in bounces)


def test_a_normally_closed_contact_begins_by_opening(wires: Wires) -> None:
    told: list[bool] = []
    contact = inputs.Contact(TAMPER, "inputs.tamper_pin", CONTACT_S, opens=True, factory=wires.factory)
    contact.on_change(told.append)
    wires.open(TAMPER)
    wires.close(TAMPER)
    assert told == [True, False]
    contact.close()


def test_a_callback_that_raises_is_logged_and_does_not_end_the_driver(wires: Wires) -> None:
    def deaf(_begins: bool) -> None:
        raise RuntimeError("a mistake of ours")

    contact = inputs.Contact(EXIT, "inputs.exit_pin", CONTACT_S, opens=False, factory=wires.factory)
    contact.on_change(deaf)
    with capture_logs() as logs:
        wires.close(EXIT)
    assert [line["event"] for line in logs] == ["input callback failed"]
    contact.close()


def test_only_wired_inputs_are_watched(wires: Wires) -> None:
    connected = wires.connect(passage_pin=None, fire_pin=None, tamper_pin=None, on_fire=Heard())
    wires.open(FIRE)
    wires.close(EXIT)
    assert connected.read() == Sensed(exits=1)


def test_a_pin_used_twice_is_reported_and_goes_to_the_fire_alarm(wires: Wires) -> None:
    heard = Heard()
    connected = wires.connect(passage_pin=FIRE, on_fire=heard)
    trouble = connected.trouble()
    assert trouble is not None
    assert "used twice" in str(trouble)
    assert "inputs.passage_pin" in trouble.advice
    assert (trouble.part, trouble.step) == ("sensor", Step.PIN_SETTINGS)
    wires.open(FIRE)
    assert heard == [True]


def test_a_machine_without_gpio_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    with pytest.raises(HardwareError, match="no usable GPIO") as broken:
        make_inputs(exit_pin=EXIT)
    assert broken.value.step is Step.GPIO_INSTALL


@pytest.mark.parametrize("normally_closed", [True, False])
def test_simulated_inputs_report_no_alarm_and_no_tampering(normally_closed: bool) -> None:
    heard = Heard()
    connected = make_inputs(
        "mock",
        passage_pin=PASSAGE,
        exit_pin=EXIT,
        fire_pin=FIRE,
        tamper_pin=TAMPER,
        fire_normally_closed=normally_closed,
        on_fire=heard,
    )
    assert connected.read() == Sensed()
    assert heard == []
    connected.close()


def test_a_gate_without_contacts_has_no_inputs() -> None:
    assert isinstance(make_inputs("mock"), NoInputs)
    assert isinstance(make_inputs("gpiozero"), NoInputs)
