"""Green and red light and a passive buzzer, through gpiozero, in a thread of their own.

The newest signal replaces the running pattern at once. A lamp that fails takes nothing else with
it: the others go on, it is made again every few seconds, and its outage is logged once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Any

from gate.common.errors import HardwareError
from gate.common.retried import RetriedDevice
from gate.ports.devices import Silent, Voice
from gate.ports.signals import Signal
from hardware.pins.gpio import OutputPin, PinDriver, made, mock_factory
from hardware.pins.light_patterns import DARK, PATTERNS, LightStep

RETRY_S = 3.0
"""Between two attempts to make a lamp that failed."""
CLOSE_S = 1.0
"""What the thread gets to end; longer means that it is stuck in the pin's driver."""
HALF = 0.5
"""Of each period a tone is high: the loudest."""


def make_voice(
    driver: PinDriver = "gpiozero",
    *,
    green_pin: int | None = None,
    red_pin: int | None = None,
    buzzer_pin: int | None = None,
) -> Voice:
    """The lights and the buzzer of a gate. What is missing is told of by `trouble`; never raises.

    :param driver: ``gpiozero``: real pins. ``mock``: gpiozero's simulated ones, for the desk.
    :param green_pin, red_pin, buzzer_pin: Broadcom numbers, None: not wired.
    """
    if (green_pin, red_pin, buzzer_pin) == (None,) * 3:
        return Silent()
    factory = mock_factory() if driver == "mock" else None
    return PinVoice(green_pin=green_pin, red_pin=red_pin, buzzer_pin=buzzer_pin, factory=factory)


class PinVoice:
    """A `Voice` on up to three pins.

    :param factory: gpiozero pin factory; None: the one of this machine.
    """

    def __init__(
        self,
        *,
        green_pin: int | None = None,
        red_pin: int | None = None,
        buzzer_pin: int | None = None,
        factory: Any = None,
    ) -> None:
        wired = ((green_pin, _Light, "green"), (red_pin, _Light, "red"), (buzzer_pin, _Buzzer, "buzzer"))
        self._lamps = [_lamp(kind, pin, name, factory) for pin, kind, name in wired if pin is not None]
        self._changed = threading.Condition()
        self._news: Signal | None = None
        self._is_closing = False
        self._moment = DARK
        self._pattern: deque[LightStep] = deque()
        self._until: float | None = 0.0  # monotonic end of the moment, None: until the next signal
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)
        self._thread.start()

    def play(self, signal: Signal) -> None:
        """Say this instead of whatever is being said; never blocks, never raises."""
        with self._changed:
            self._news = signal
            self._changed.notify_all()

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""
        return next((lamp.trouble for lamp in self._lamps if lamp.trouble is not None), None)

    def close(self) -> None:
        """Dark and silent, then let go of the pins. Never raises."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while self._wait():
            self._show(self._moment)
        self._show(DARK)
        for lamp in self._lamps:
            lamp.close()

    def _wait(self) -> bool:
        """Until there is another moment to show, or a lamp to try again; False when closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing or self._news is not None, self._patience())
            if self._news is not None:
                self._pattern, self._news = deque(PATTERNS[self._news]), None
                self._advance()
            elif self._until is not None and time.monotonic() >= self._until:
                self._advance()
            return not self._is_closing

    def _advance(self) -> None:
        self._moment = self._pattern.popleft() if self._pattern else DARK
        self._until = None if self._moment.ms is None else time.monotonic() + self._moment.ms / 1000

    def _patience(self) -> float | None:
        times = [lamp.retry_at for lamp in self._lamps if lamp.trouble is not None]
        if self._until is not None:
            times.append(self._until)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _show(self, moment: LightStep) -> None:
        for lamp in self._lamps:
            lamp.use(lambda pin: pin.show(moment), time.monotonic())


class _Light:
    def __init__(self, pin: int, name: str, factory: Any) -> None:
        self._name = name
        self._output = OutputPin(pin, f"lights.{name}_pin", "lights", factory=factory)

    def show(self, moment: LightStep) -> None:
        self._output.switch(on=moment.green if self._name == "green" else moment.red)

    def close(self) -> None:
        self._output.close()


class _Buzzer:
    """A passive buzzer: the tone is the frequency of the pin's pulses."""

    def __init__(self, pin: int, name: str, factory: Any) -> None:
        import gpiozero

        def make(factory: Any) -> Any:
            return gpiozero.PWMOutputDevice(pin, frequency=None, pin_factory=factory)

        self._device = made(make, pin, f"lights.{name}_pin", "lights", factory)

    def show(self, moment: LightStep) -> None:
        if moment.tone_hz:
            self._device.frequency = moment.tone_hz
            self._device.value = HALF
        else:  # without a frequency no thread of lgpio is kept busy with silence
            self._device.frequency = None
            self._device.value = 0

    def close(self) -> None:
        self._device.close()


_Lamp = RetriedDevice[_Light | _Buzzer]


def _lamp(kind: type[_Light | _Buzzer], pin: int, name: str, factory: Any) -> _Lamp:
    def explain(error: Exception) -> HardwareError:  # each pin driver has exceptions of its own
        if isinstance(error, HardwareError):
            return error
        what = f"The {name} does not answer ({error})."
        return HardwareError("lights", what, f"Check the wiring of lights.{name}_pin.")

    return RetriedDevice(
        f"signal {name}", lambda: kind(pin, name, factory), lambda pin: pin.close(), explain, RETRY_S
    )
