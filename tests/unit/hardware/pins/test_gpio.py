"""gpiozero's real lgpio pins, on a stand-in for lgpio's C library that claims as `lgGpio.c` does.

The tests run without a GPIO chip, so they check every level a line is driven to.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from gate.common.errors import HardwareError
from gate.ports.signals import Signal
from hardware.pins.gpio import OutputPin, choose_factory
from hardware.pins.light_patterns import HIGH_HZ, PATTERNS, LightStep
from hardware.pins.lights import PinVoice
from hardware.pins.turnstile import RelayTurnstile
from tests.patience import PATIENCE_S, until
from tests.unit.hardware.watched_pins import WatchedPin


class Chip(ModuleType):
    """`lgpio` for one chip. `driven`: the levels of a line in order, None while it is an input.

    `pwm`: the frequencies and duty cycles asked for, in order; 0, 0 ends it.

    As in lg 0.2.2: an output is claimed at the level given, or else low; claiming what
    is an output already does nothing (`xSetAsOutput`), nor does claiming an input for input.
    """

    SET_PULL_NONE, SET_PULL_UP, SET_PULL_DOWN = 128, 32, 64
    BOTH_EDGES, RISING_EDGE, FALLING_EDGE = 3, 1, 2
    error = OSError

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.driven: dict[int, list[int | None]] = {}
        self.pwm: list[tuple[float, float]] = []

    def gpiochip_open(self, _chip: int) -> int:
        return 1

    def gpiochip_close(self, _handle: int) -> int:
        return 0

    def gpio_claim_input(self, _handle: int, gpio: int, _flags: int = 0) -> int:
        line = self.driven.setdefault(gpio, [])
        if not line or line[-1] is not None:
            line.append(None)
        return 0

    def gpio_claim_output(self, _handle: int, gpio: int, level: int = 0, _flags: int = 0) -> int:
        line = self.driven.setdefault(gpio, [])
        if not line or line[-1] is None:
            line.append(level)
        return 0

    def gpio_write(self, _handle: int, gpio: int, level: int) -> int:
        line = self.driven[gpio]
        if line[-1] != int(level):
            line.append(int(level))
        return 0

    def tx_pwm(self, _handle: int, _gpio: int, hertz: float, percent: float) -> int:
        self.pwm.append((hertz, percent))
        return 0

    def gpio_read(self, _handle: int, gpio: int) -> int:
        return self.driven[gpio][-1] or 0

    def gpio_get_mode(self, _handle: int, gpio: int) -> int:
        return 2 if self.driven[gpio][-1] is not None else 0


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chip]:
    chip = Chip()
    monkeypatch.setitem(sys.modules, "lgpio", chip)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    yield chip
    sys.modules.pop("gpiozero.pins.lgpio", None)  # it was imported with the stand-in


@pytest.fixture
def factory(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    lgpio: Any = importlib.import_module("gpiozero.pins.lgpio")
    monkeypatch.setattr(lgpio.LGPIOFactory, "_get_revision", lambda _self: 0xC03111)  # a Pi 4
    factory = lgpio.LGPIOFactory(chip=0)
    yield factory
    factory.close()


def test_gpiozero_alone_would_give_a_pulse_at_the_start(chip: Chip, factory: Any) -> None:
    """This is why `hardware.pins.gpio` exists: a line that rests at high would be low for a moment."""
    device = gpiozero.OutputDevice(17, active_high=False, initial_value=False, pin_factory=factory)
    assert chip.driven[17] == [None, 0, 1]
    device.close()


@pytest.mark.parametrize(
    ("active_high", "on_power_loss", "locked"),
    [(True, "fail_secure", 0), (False, "fail_secure", 1), (True, "fail_safe", 1), (False, "fail_safe", 0)],
)
def test_there_is_no_unwanted_pulse_whatever_level_the_relay_rests_at(
    chip: Chip, factory: Any, active_high: bool, on_power_loss: Any, locked: int
) -> None:
    settings = {"active_high": active_high, "on_power_loss": on_power_loss, "factory": factory}
    relay = RelayTurnstile(17, pulse_s=0.01, **settings)
    assert chip.driven[17] == [None, locked]
    relay.hold_open()
    relay.rest()
    pulsed = [None, locked, 1 - locked, locked]
    assert chip.driven[17] == pulsed
    relay.close()
    let_go = [] if on_power_loss == "fail_safe" else [None]
    assert chip.driven[17] == pulsed + let_go, "fail-safe: never an input, whose pull resistor would open it"
    again = RelayTurnstile(17, **settings)
    assert chip.driven[17] == pulsed + let_go + ([locked] if let_go else [])
    again.close()


def test_a_kept_pin_keeps_its_level_at_the_end_of_the_program(chip: Chip, factory: Any) -> None:
    """At exit our handler runs, then gpiozero's, which closes every pin its factory knows."""
    kept = OutputPin(17, "turnstile.pin", "turnstile", on=True, kept=True, factory=factory)
    other = OutputPin(22, "lights.green_pin", "lights", on=True, factory=factory)
    kept._leave()
    factory.close()
    assert chip.driven[17] == [None, 1]
    assert chip.driven[22] == [None, 1, None]
    kept.close()
    other.close()
    assert chip.driven[17] == [None, 1]


def test_a_light_is_dark_before_its_pin_is_released(chip: Chip, factory: Any) -> None:
    voice = PinVoice(red_pin=23, factory=factory)
    voice.play(Signal.CLOSED)
    until(lambda: chip.driven.get(23) == [None, 0, 1])
    voice.close()
    assert chip.driven[23] == [None, 0, 1, 0, None]


def test_a_tone_has_a_duty_cycle_of_half_and_silence_has_no_pulses(
    chip: Chip, factory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PATTERNS, Signal.ADMIT, (LightStep(green=True, tone_hz=HIGH_HZ, ms=10),))
    voice = PinVoice(buzzer_pin=18, factory=factory)
    voice.play(Signal.ADMIT)
    until(lambda: len(chip.pwm) == 3)
    voice.close()
    assert chip.pwm == [(HIGH_HZ, 0), (HIGH_HZ, 50), (0, 0)]
    assert chip.driven[18] == [None, 0, None]
    assert voice.trouble() is None


def test_pins_made_in_two_threads_at_once_share_one_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    factories: list[Any] = []
    both = threading.Barrier(2)

    def choose() -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # without a lock the second thread would choose one too
        factories.append(MockFactory(pin_class=WatchedPin))
        return factories[-1]

    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setattr(gpiozero.Device, "_default_pin_factory", choose)
    threads = [
        threading.Thread(target=OutputPin, args=(pin, "turnstile.pin", "turnstile")) for pin in (17, 22)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(factories) == 1


def test_a_pin_factory_is_chosen_early_and_a_machine_without_one_raises_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    choose_factory()
    assert gpiozero.Device.pin_factory is None
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    choose_factory()
    assert isinstance(gpiozero.Device.pin_factory, MockFactory)


# gpiozero closes a device that could not be made again when it is garbage-collected
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_pin_can_be_made_after_it_failed_the_first_time() -> None:
    factory = MockFactory(pin_class=WatchedPin)
    pin = factory.pin(17)
    pin.refuses = True
    failures = []  # kept alive, as the code that reports them does
    for _ in range(2):
        with pytest.raises(HardwareError, match="the wire is cut") as failed:
            OutputPin(17, "turnstile.pin", "turnstile", active_high=False, factory=factory)
        failures.append(failed.value)
    pin.refuses = False
    OutputPin(17, "turnstile.pin", "turnstile", active_high=False, factory=factory).close()
    assert len(failures) == 2
