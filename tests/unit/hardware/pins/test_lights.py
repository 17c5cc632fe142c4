"""Lights and buzzer, judged by what their pins did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory
from structlog.testing import capture_logs

from gate.ports.devices import Silent, Voice
from gate.ports.signals import Signal
from hardware.pins import lights
from hardware.pins.light_patterns import HIGH_HZ, LOW_HZ, PATTERNS, LightStep
from hardware.pins.lights import PinVoice, make_voice
from tests.patience import until
from tests.unit.hardware.watched_pins import Watched, WatchedPWMPin, levels

GREEN, RED, BUZZER = 22, 23, 18


class Sounding(WatchedPWMPin):
    """Records each tone in Hz, and 0 where it stops."""

    def __init__(self, factory: Any, info: Any) -> None:
        self.tones: list[float] = []
        super().__init__(factory, info)

    def _set_frequency(self, value: float | None) -> None:
        if value != self._frequency:
            self.tones.append(value or 0)
        super()._set_frequency(value)


@pytest.fixture
def factory() -> Iterator[Any]:
    factory = MockFactory(pin_class=Sounding)
    yield factory
    factory.reset()


def _voice(factory: Any) -> PinVoice:
    voice = PinVoice(green_pin=GREEN, red_pin=RED, buzzer_pin=BUZZER, factory=factory)
    until(lambda: factory.pin(BUZZER).function == "output")
    return voice


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step takes a fiftieth of its time."""
    for signal, pattern in PATTERNS.items():
        quick = tuple(
            moment
            if moment.ms is None
            else LightStep(moment.green, moment.red, moment.tone_hz, moment.ms // 50)
            for moment in pattern
        )
        monkeypatch.setitem(PATTERNS, signal, quick)


def test_making_and_closing_the_voice_is_dark_and_silent(factory: Any) -> None:
    voice = _voice(factory)
    voice.close()
    for number in (GREEN, RED, BUZZER):
        assert levels(factory.pin(number)) == [0]
        assert factory.pin(number).function == "input"


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize(
    ("signal", "green", "red", "tones"),
    [
        (Signal.ADMIT, [0, 1, 0], [0], [HIGH_HZ, 0]),
        (Signal.VIP, [0, 1, 0], [0], [HIGH_HZ, 0, HIGH_HZ, 0]),
        (Signal.REFUSE, [0], [0, 1, 0], [LOW_HZ, 0]),
        (Signal.ATTENTION, [0], [0, 1, 0, 1, 0, 1, 0, 1, 0], []),
    ],
)
def test_each_signal_has_its_light_and_sound(
    factory: Any, signal: Signal, green: list[int], red: list[int], tones: list[int]
) -> None:
    voice = _voice(factory)
    voice.play(signal)
    factory.pin(GREEN).wait_for(lambda seen: seen == green)
    factory.pin(RED).wait_for(lambda seen: seen == red)
    factory.pin(BUZZER).wait_for(lambda _: factory.pin(BUZZER).tones == tones)
    voice.close()
    assert levels(factory.pin(GREEN)) == green, "one light, however many beeps"
    assert levels(factory.pin(RED)) == red
    assert factory.pin(BUZZER).tones == tones


def test_a_new_signal_replaces_the_running_one_at_once(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hour = LightStep(green=True, tone_hz=HIGH_HZ, ms=3_600_000)
    monkeypatch.setitem(PATTERNS, Signal.ADMIT, (hour, hour))
    voice: Voice = _voice(factory)
    voice.play(Signal.ADMIT)
    factory.pin(BUZZER).wait_for(lambda _: factory.pin(BUZZER).tones == [HIGH_HZ])
    voice.play(Signal.REFUSE)
    factory.pin(BUZZER).wait_for(lambda _: factory.pin(BUZZER).tones[:2] == [HIGH_HZ, LOW_HZ])
    assert levels(factory.pin(GREEN)) == [0, 1, 0]
    assert levels(factory.pin(RED)) == [0, 1]
    voice.close()


def test_free_passage_is_green_until_another_signal_and_closing_is_dark(factory: Any) -> None:
    voice = _voice(factory)
    voice.play(Signal.FREE_PASSAGE)
    factory.pin(GREEN).wait_for(lambda seen: seen == [0, 1])
    assert voice._patience() is None, "nothing ends it"
    voice.play(Signal.CLOSED)
    factory.pin(RED).wait_for(lambda seen: seen == [0, 1])
    voice.play(Signal.REST)
    factory.pin(RED).wait_for(lambda seen: seen == [0, 1, 0])
    voice.play(Signal.CLOSED)
    factory.pin(RED).wait_for(lambda seen: seen == [0, 1, 0, 1])
    voice.close()
    assert levels(factory.pin(RED)) == [0, 1, 0, 1, 0]
    voice.close()
    voice.play(Signal.ADMIT)


# gpiozero closes a device that could not be made again when it is garbage-collected
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_broken_light_stops_nothing_and_comes_back(factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lights, "RETRY_S", 0.01)
    with capture_logs() as logs:
        voice = _voice(factory)
        green: Watched = factory.pin(GREEN)
        green.refuses = True
        voice.play(Signal.FREE_PASSAGE)
        green.wait_for_refusals(5)
        trouble = voice.trouble()
        voice.play(Signal.CLOSED)
        factory.pin(RED).wait_for(lambda seen: seen == [0, 1])
        voice.play(Signal.FREE_PASSAGE)
        green.refuses = False
        green.wait_for(lambda seen: seen[-1] == 1)
        until(lambda: voice.trouble() is None)
        voice.close()
    assert trouble is not None
    assert trouble.part == "lights"
    assert "green" in str(trouble)
    assert [line["event"].split(";")[0] for line in logs] == [
        "signal green failed",
        "signal green recovered",
    ]


def test_a_machine_without_gpio_is_trouble_and_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    voice = make_voice(green_pin=GREEN, buzzer_pin=BUZZER)
    voice.play(Signal.ADMIT)
    until(lambda: voice.trouble() is not None)
    assert "no usable GPIO" in str(voice.trouble())
    voice.close()


def test_each_driver_name_makes_its_voice() -> None:
    assert isinstance(make_voice("gpiozero"), Silent)
    voice = make_voice("mock", green_pin=GREEN, red_pin=RED, buzzer_pin=BUZZER)
    voice.play(Signal.VIP)
    voice.close()
    assert voice.trouble() is None


def test_only_wired_outputs_are_driven(factory: Any) -> None:
    voice = PinVoice(red_pin=RED, factory=factory)
    voice.play(Signal.CLOSED)
    factory.pin(RED).wait_for(lambda seen: seen == [0, 1])
    voice.close()
    assert {str(info.name) for info in factory.pins} == {"GPIO23"}
