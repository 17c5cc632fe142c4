"""Green and red light and a passive buzzer, through gpiozero, in a thread of their own.

The newest signal replaces the running pattern at once. A lamp that fails does not affect the others; it
is made again every few seconds, and its outage is logged once.
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
"""How long the thread may take to end; longer means that it is stuck in the pin's driver."""
HALF = 0.5
"""Share of each period that the pin is high; this one is the loudest."""


def make_voice(
    driver: PinDriver = "gpiozero",
    *,
    green_pin: int | None = None,
    red_pin: int | None = None,
    buzzer_pin: int | None = None,
) -> Voice:
    """The lights and the buzzer of a gate. Never raises: `trouble` says what is missing.

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
        self._step = DARK
        self._pattern: deque[LightStep] = deque()
        self._until: float | None = 0.0  # monotonic end of the step, None: until the next signal
        self._thread = threading.Thread(target=self._run, name="voice", daemon=True)
        self._thread.start()

    def play(self, signal: Signal) -> None:
        """Play this instead of what is playing; never blocks, never raises."""
        with self._changed:
            self._news = signal
            self._changed.notify_all()

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""
        return next((lamp.trouble for lamp in self._lamps if lamp.trouble is not None), None)

    def close(self) -> None:
        """Go dark and silent, then release the pins. Never raises."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while self._wait():
            self._show(self._step)
        self._show(DARK)
        for lamp in self._lamps:
            lamp.close()

    def _wait(self) -> bool:
        """Wait until there is another step to show, or a lamp to try again; False when closing."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closing or self._news is not None, self._patience())
            if self._news is not None:
                self._pattern, self._news = deque(PATTERNS[self._news]), None
                self._advance()
            elif self._until is not None and time.monotonic() >= self._until:
                self._advance()
            return not self._is_closing

    def _advance(self) -> None:
        self._step = self._pattern.popleft() if self._pattern else DARK
        self._until = None if self._step.ms is None else time.monotonic() + self._step.ms / 1000

    def _patience(self) -> float | None:
        times = [lamp.retry_at for lamp in self._lamps if lamp.trouble is not None]
        if self._until is not None:
            times.append(self._until)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _show(self, step: LightStep) -> None:
        for lamp in self._lamps:
            lamp.use(lambda pin: pin.show(step), time.monotonic())


class _Light:
    def __init__(self, pin: int, name: str, factory: Any) -> None:
        self._name = name
        self._output = OutputPin(pin, f"lights.{name}_pin", "lights", factory=factory)

    def show(self, step: LightStep) -> None:
        self._output.switch(on=step.green if self._name == "green" else step.red)

    def close(self) -> None:
        self._output.close()


class _Buzzer:
    """A passive buzzer: the tone is the frequency of the pin's pulses."""

    def __init__(self, pin: int, name: str, factory: Any) -> None:
        import gpiozero

        def make(factory: Any) -> Any:
            return gpiozero.PWMOutputDevice(pin, frequency=None, pin_factory=factory)

        self._device = made(make, pin, f"lights.{name}_pin", "lights", factory)

    def show(self, step: LightStep) -> None:
        if step.tone_hz:
            self._device.frequency = step.tone_hz
            self._device.value = HALF
        else:  # with a frequency, a thread of lgpio would be kept busy with silence
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
