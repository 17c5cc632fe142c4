"""The relay, judged by what its pin did: states and times, as gpiozero tests itself."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory, MockPin
from structlog.testing import capture_logs

from gate.errors import HardwareError, Step
from hardware import turnstile
from hardware.duty import GAP_S
from hardware.turnstile import NoTurnstile, RelayTurnstile, make_turnstile

PULSE_S = 0.05
PATIENCE_S = 10.0


class WatchedPin(MockPin):  # type: ignore[misc]
    """gpiozero's simulated pin, which one can wait on."""

    def __init__(self, factory: Any, info: Any) -> None:
        self.news = threading.Condition()
        self.refuses = self.stays_on = False
        self.refused = 0
        self.answers = threading.Event()
        self.answers.set()
        super().__init__(factory, info)

    def _change_state(self, value: bool) -> bool:
        assert value or self.answers.wait(PATIENCE_S)
        if self.refuses or (self.stays_on and not value):
            with self.news:
                self.refused += 1
                self.news.notify_all()
            raise OSError("the wire is cut")
        with self.news:
            changed: bool = super()._change_state(value)
            self.news.notify_all()
        return changed

    def wait_for(self, done: Callable[[list[bool]], bool]) -> None:
        with self.news:
            assert self.news.wait_for(lambda: done(levels(self)), PATIENCE_S), levels(self)

    def wait_for_refusals(self, count: int) -> None:
        with self.news:
            assert self.news.wait_for(lambda: self.refused >= count, PATIENCE_S), self.refused


def levels(pin: Any) -> list[bool]:
    return [bool(state.state) for state in pin.states]


@pytest.fixture
def factory() -> Iterator[Any]:
    factory = MockFactory(pin_class=WatchedPin)
    yield factory
    factory.reset()


def _relay(factory: Any, **settings: Any) -> RelayTurnstile:
    return RelayTurnstile(17, pulse_s=PULSE_S, factory=factory, **settings)


def test_no_pulse_at_boot(factory: Any) -> None:
    relay = _relay(factory)
    assert levels(factory.pin(17)) == [False]
    relay.close()
    assert levels(factory.pin(17)) == [False]


def test_one_release_is_one_pulse_of_the_set_length(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    assert levels(pin) == [False, True]
    pin.wait_for(lambda seen: len(seen) == 3)
    assert levels(pin) == [False, True, False]
    assert pin.states[2].timestamp >= PULSE_S
    relay.close()


def test_two_admissions_are_two_pulses_with_a_rest_between(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    relay.release()
    relay.release()
    pin.wait_for(lambda seen: len(seen) == 7)
    assert levels(pin) == [False, True, False, True, False, True, False]
    rests = [pin.states[index].timestamp for index in (3, 5)]
    assert min(rests) >= GAP_S
    relay.close()


def test_a_release_in_the_rest_after_a_pulse_waits_for_its_end(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    relay.release()
    pin.wait_for(lambda seen: len(seen) == 3)
    relay.release()
    pin.wait_for(lambda seen: len(seen) == 5)
    assert pin.states[3].timestamp >= GAP_S
    relay.close()


def test_closing_lets_a_running_pulse_end_and_drops_those_not_begun(factory: Any) -> None:
    relay = RelayTurnstile(17, pulse_s=0.3, factory=factory)
    pin = factory.pin(17)
    relay.release()
    relay.release()
    relay.close()
    relay.close()
    assert levels(pin) == [False, True, False]
    assert pin.states[2].timestamp >= 0.3
    assert pin.function == "input"


def test_closing_cuts_a_pulse_that_lasts_too_long(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "LAST_PULSE_S", 0.05)
    relay = RelayTurnstile(17, pulse_s=60, factory=factory)
    pin = factory.pin(17)
    relay.release()
    relay.close()
    assert levels(pin) == [False, True, False]
    assert pin.states[2].timestamp >= 0.05
    assert pin.function == "input"


def test_a_relay_that_cannot_be_switched_off_is_one_outage_and_can_be_closed(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "RETRY_S", 0.01)
    relay, pin = _relay(factory), factory.pin(17)
    with capture_logs() as logs:
        pin.stays_on = True
        relay.release()
        pin.wait_for_refusals(5)
        trouble = relay.trouble()
        with pytest.raises(HardwareError, match="cannot be switched"):
            relay.release()
        relay.close()
        refused = pin.refused
        with pytest.raises(HardwareError, match="switched off"):
            relay.release()
    assert trouble is not None
    assert trouble.part == "turnstile"
    assert [line["event"] for line in logs] == ["turnstile_down"]
    assert levels(pin) == [False, True]
    assert pin.refused == refused
    assert pin.function == "input", "let go of, or it could not be made again"


def test_a_stuck_relay_is_switched_off_again_and_its_outage_ends(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "RETRY_S", 0.01)
    relay = RelayTurnstile(17, pulse_s=0.5, factory=factory)
    pin = factory.pin(17)
    with capture_logs() as logs:
        pin.stays_on = True
        relay.release()
        relay.release()
        pin.wait_for_refusals(2)
        pin.stays_on = False
        pin.wait_for(lambda seen: len(seen) == 3)
        _await(lambda: relay.trouble() is None)
        relay.release()
        pin.wait_for(lambda seen: len(seen) == 5)
        relay.close()
    assert levels(pin) == [False, True, False, True, False], "pulses not begun before it broke are dropped"
    assert pin.states[3].timestamp >= GAP_S
    assert [line["event"] for line in logs] == ["turnstile_down", "turnstile_back"]


def _await(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < deadline
        os.sched_yield()


def test_closing_does_not_wait_for_a_driver_that_does_not_answer(
    factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "CLOSE_S", 0.01)
    relay, pin = _relay(factory), factory.pin(17)
    pin.answers.clear()
    relay.release()
    with capture_logs() as logs:
        relay.close()
    assert [line["event"] for line in logs] == ["turnstile_stuck"]
    with pytest.raises(HardwareError, match="switched off"):
        relay.release()
    pin.answers.set()
    pin.wait_for(lambda seen: len(seen) == 3)


def test_a_relay_that_is_energised_by_a_low_level(factory: Any) -> None:
    relay, pin = _relay(factory, active_high=False), factory.pin(17)
    assert levels(pin)[-1] is True
    relay.release()
    pin.wait_for(lambda seen: seen[-3:] == [True, False, True])
    relay.close()


def test_a_pin_that_fails_is_reported_at_every_release(factory: Any) -> None:
    relay, pin = _relay(factory), factory.pin(17)
    pin.refuses = True
    for _ in range(2):
        with pytest.raises(HardwareError, match="cannot be switched") as broken:
            relay.release()
        assert broken.value.part == "turnstile"
        assert broken.value.step is Step.TURNSTILE_WIRING
    pin.refuses = False
    relay.close()


def test_release_after_close_is_refused(factory: Any) -> None:
    relay = _relay(factory)
    relay.close()
    with pytest.raises(HardwareError, match="switched off"):
        relay.release()


def test_the_trace_has_one_line_per_switching(factory: Any, tmp_path: Path) -> None:
    trace = tmp_path / "relay.jsonl"
    relay, pin = _relay(factory, active_high=False, trace=trace), factory.pin(17)
    relay.release()
    relay.release()
    pin.wait_for(lambda seen: len(seen) >= 6)
    relay.close()
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [line["state"] for line in lines] == [1, 0, 1, 0]
    assert [line["t_ms"] for line in lines] == sorted(line["t_ms"] for line in lines)


def test_a_trace_that_cannot_be_written_is_named(factory: Any, tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="trace"):
        _relay(factory, trace=tmp_path / "none" / "relay.jsonl")


def test_a_pin_used_twice_is_named(factory: Any) -> None:
    relay = _relay(factory)
    with pytest.raises(HardwareError, match="used twice"):
        _relay(factory)
    relay.close()


def test_a_pin_that_does_not_exist_is_named(factory: Any) -> None:
    with pytest.raises(HardwareError, match="no GPIO 99"):
        RelayTurnstile(99, factory=factory)


def test_a_machine_without_gpio_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """For real: the machine that runs the tests has no GPIO chip, or this test must not touch it."""
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    with pytest.raises(HardwareError, match="no usable GPIO") as broken:
        make_turnstile("gpiozero")
    assert broken.value.step is Step.GPIO_INSTALL
    assert "lgpio" in broken.value.advice


def test_the_drivers(tmp_path: Path) -> None:
    nothing = NoTurnstile()
    nothing.release()
    assert nothing.trouble() is None
    nothing.close()
    assert isinstance(make_turnstile("none"), NoTurnstile)
    relay = make_turnstile("mock", pulse_s=0.01, trace=tmp_path / "trace")
    relay.release()
    relay.close()
    assert len((tmp_path / "trace").read_text().splitlines()) in (1, 2)
