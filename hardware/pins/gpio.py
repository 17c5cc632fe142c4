"""Pins through gpiozero, which have the right level from the first moment and keep it after the last.

What gpiozero 2.0.1 on lgpio 0.2.2 does, from their sources, and what follows:

- A pin that becomes an output is low for a moment before it gets its first level (`Pin.output_with_state`
  sets the function, then the state; `gpio_claim_output` claims it low). For a relay that rests at high, that
  would be a pulse at every start. lgpio can claim a pin with a level, and does nothing if the pin is an
  output already: `_steady` makes it claim that way.
- Before that, the pin is an input without a pull for some 0.1 ms (`LGPIOPin.__init__`). No relay follows
  that fast; the resistor that docs/wiring.md asks for keeps its input quiet.
- Closing a device makes its pin an input, and so does the end of the program (gpiozero's `atexit`): then the
  resistor decides. `kept` pins are left as they are instead.
- When the process is gone, however it ended, the kernel of Raspberry Pi OS leaves an output as it was
  (`pinctrl_bcm2835.persist_gpio_outputs`, on unless config.txt says `dtparam=strict_gpiod`).

gpiozero has no types, hence `Any`.
"""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
import warnings
from collections.abc import Callable, Collection
from typing import Any, Literal

from gate.common.errors import HardwareError, Step

PinDriver = Literal["gpiozero", "mock"]

_making = threading.Lock()
"""Several threads make pins, but gpiozero's choice of a factory and `warnings` are not thread-safe."""


def choose_factory() -> None:
    """Have gpiozero choose its pin factory now, before other threads use it.

    Two threads that choose at once get two factories, which do not notice that they use the same pin. Never
    raises: whoever needs a pin says why there is none.
    """
    import gpiozero

    with _making, warnings.catch_warnings(), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        gpiozero.Device.ensure_pin_factory()


def mock_factory(closed: Collection[int] = ()) -> Any:
    """gpiozero's own simulated pins, with pulse-width modulation, for a gate on the desk.

    :param closed: pins whose contact to ground is closed, however they are pulled.
    """
    from gpiozero.pins.mock import MockFactory, MockPWMPin

    class ClosedContact(MockPWMPin):  # type: ignore[misc]
        def _set_pull(self, value: str) -> None:
            super()._set_pull(value)
            self.drive_low()

    factory = MockFactory(pin_class=MockPWMPin)
    for number in closed:
        factory.pin(number, pin_class=ClosedContact)
    return factory


class OutputPin:
    """One pin as an output.

    :param key: where the configuration names the pin, for messages.
    :param part: what it drives, in the words of the screen.
    :param on: whether it starts switched on.
    :param kept: leave the level as it is on `close` and at the end of the program.
    :param factory: gpiozero pin factory; None: the one of this machine.
    :raises HardwareError: there is no GPIO, or the pin is taken.
    """

    def __init__(  # noqa: PLR0913 – what there is to say about an output, by name
        self,
        pin: int,
        key: str,
        part: str,
        *,
        active_high: bool = True,
        on: bool = False,
        kept: bool = False,
        factory: Any = None,
    ) -> None:
        import gpiozero

        def make(factory: Any) -> Any:
            return gpiozero.OutputDevice(pin, active_high=active_high, initial_value=on, pin_factory=factory)

        self._device = made(make, pin, key, part, factory)
        self._is_kept = kept
        if kept:
            atexit.register(self._leave)  # registered after gpiozero's, so it runs before

    def switch(self, *, on: bool) -> None:
        """Switch it. Raises whatever the pin's driver raises."""
        if on:
            self._device.on()
        else:
            self._device.off()

    def close(self) -> None:
        """Release the pin; a `kept` one keeps its level. Raises whatever the driver raises."""
        if self._is_kept:
            atexit.unregister(self._leave)
            self._leave(exiting=False)
        try:
            self._device.close()
        finally:
            self._device._pin = None  # a failed close is not tried again when collected

    def _leave(self, *, exiting: bool = True) -> None:
        """Take the pin away from gpiozero, which would turn it into an input."""
        device, pin = self._device, self._device.pin
        if pin is None:
            return
        device._pin = None  # what `close` looks at, also when the object is collected
        device.pin_factory.release_pins(device, pin.info.name)
        if exiting:
            device.pin_factory.pins.pop(pin.info, None)
        else:
            atexit.register(device.pin_factory.pins.pop, pin.info, None)


def made(make: Callable[[Any], Any], pin: int, key: str, part: str, factory: Any) -> Any:
    """What `make` makes with a pin factory. Raises `HardwareError`."""
    import gpiozero

    # gpiozero's warnings say why each driver failed
    with _making, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            if factory is None:
                gpiozero.Device.ensure_pin_factory()
                factory = gpiozero.Device.pin_factory
            _steady(factory)
            return make(factory)
        except Exception as error:  # each pin driver has exceptions of its own, lgpio.error among them
            failure = _translated(pin, key, part, error, [str(warning.message) for warning in said])
    # without its cause, whose traceback would keep the failed device alive, and with it the pin
    raise failure


def _steady(factory: Any) -> None:
    """Make lgpio claim outputs at their first level, so that they are never low for a moment."""
    module: Any = sys.modules.get("gpiozero.pins.lgpio")
    if module is None or getattr(factory, "pin_class", None) is not module.LGPIOPin:
        return
    base: Any = module.LGPIOPin

    class SteadyPin(base):  # type: ignore[misc]
        def output_with_state(self, state: bool) -> None:
            module.lgpio.gpio_claim_output(self.factory._handle, self._number, int(state))
            super().output_with_state(state)

    factory.pin_class = SteadyPin


def _translated(pin: int, key: str, part: str, error: Exception, said: list[str]) -> HardwareError:
    name = type(error).__name__
    if name == "GPIOPinInUse":
        what, advice = f"GPIO {pin} is used twice.", f"Give {key} a pin of its own."
        return HardwareError(part, what, advice, Step.PIN_SETTINGS)
    if name in ("PinInvalidPin", "PinNoPins", "PinMultiplePins"):
        what = f"There is no GPIO {pin} on this board."
        return HardwareError(part, what, f"Correct {key}.", Step.PIN_SETTINGS)
    if isinstance(error, PermissionError):
        what = f"This account may not use the GPIO pins ({error})."
        return HardwareError(part, what, "Add it to the group `gpio`.", Step.RIGHTS)
    reasons = "; ".join([str(error), *said])
    what = f"This machine has no usable GPIO pins, so {key} does nothing ({reasons})."
    advice = 'On a Pi: apt install python3-lgpio. Elsewhere: set driver = "mock".'
    return HardwareError(part, what, advice, Step.GPIO_INSTALL)
