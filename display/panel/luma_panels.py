"""Real panels: SSD1306 and SH1106 over I2C, SSD1322 over SPI, by luma's drivers.

Only this file touches luma's buses, and puts what they raise into words.

A panel that loses power for a moment answers again afterwards (on SPI, where nothing ever answers, it never
seems to be gone), but it has forgotten how luma set it up, and stays dark. So what luma sent it first is
recorded (`_RecordingBus`) and sent again every few seconds.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable
from typing import Any

from PIL import Image

from display.picture.draw import WIDE
from gate.common.errors import HardwareError, Step

SET_UP_EVERY_S = 5.0
"""Seconds after which the panel is set up again, as if it had just been switched on."""

_NOP = 0xE3  # does nothing, on both I2C chips (SSD1306 and SH1106 datasheets, command tables)
_GOES_DARK = (0xAE, 0xA4)  # display off; all pixels off (only the SSD1322 is sent 0xA4 first in a command)
_SETTING = 16  # bytes; longer data are pictures
_SPI_HZ = 8_000_000  # 8 KiB a picture in 8 ms; the SSD1322 takes 10 MHz (datasheet, serial timing)
_RESET_S = 0.002  # the SSD1322 wants its reset low for 100 µs (datasheet, power on sequence)

PanelClock = Callable[[], float]


class _RecordingBus:
    """One of luma's buses, which records what is sent before `ready`."""

    def __init__(self, bus: Any) -> None:
        self._bus = bus
        self._setup: list[Callable[[], None]] = []
        self._is_ready = False

    def command(self, *command: int) -> None:
        """Send a command."""
        rest = command[1:] if command[0] in _GOES_DARK else command
        if not self._is_ready and rest:
            self._setup.append(lambda: self._bus.command(*rest))
        self._bus.command(*command)

    def data(self, data: list[int]) -> None:
        """Send part of a picture, or the arguments of a command of the SSD1322."""
        if not self._is_ready and len(data) <= _SETTING:
            self._setup.append(lambda: self._bus.data(data))
        self._bus.data(data)

    def cleanup(self) -> None:
        """Close it."""
        self._bus.cleanup()

    def ready(self) -> None:
        """The panel is set up by what was sent until now."""
        self._is_ready = True

    def set_up(self) -> None:
        """Send all that again, except what would turn it dark."""
        for send in self._setup:
            send()


class LumaPanel:
    """A luma device and its bus, which luma leaves open if the panel does not answer at the end."""

    def __init__(
        self, panel: Any, wire: _RecordingBus, pins: _Pins | None = None, clock: PanelClock = time.monotonic
    ) -> None:
        self.width: int = panel.width
        self.height: int = panel.height
        self._panel, self._wire, self._pins, self._clock = panel, wire, pins, clock
        self._set_up_at = clock()
        self._level: int | None = None
        wire.ready()

    @property
    def persist(self) -> bool:
        """Whether `cleanup` leaves the picture."""
        return bool(self._panel.persist)

    @persist.setter
    def persist(self, stays: bool) -> None:
        self._panel.persist = stays

    def display(self, image: Image.Image) -> None:
        """Show a picture of mode "1". Raises luma's errors and OSError."""
        if self._clock() - self._set_up_at >= SET_UP_EVERY_S:
            self._wire.set_up()
            self._set_up_at = self._clock()
            if self._level is not None:
                self._panel.contrast(self._level)
        self._panel.display(image)

    def contrast(self, level: int) -> None:
        """Set the current through the pixels, 0 to 255."""
        self._level = level
        self._panel.contrast(level)

    def cleanup(self) -> None:
        """Blank it unless it is to persist, release bus and pins."""
        try:
            self._panel.cleanup()
        finally:
            self._wire.cleanup()
            if self._pins is not None:
                self._pins.close()


# --- I2C -----------------------------------------------------------------------------------


def i2c_panel(
    driver: str, port: int, address: int, rotate: int, clock: PanelClock = time.monotonic
) -> LumaPanel:
    """An ``ssd1306`` or ``sh1106``. Raises `HardwareError` if none answers."""
    from luma.oled import device as chips

    wire = _RecordingBus(_open_i2c(port, address))
    try:
        # A luma device registers itself for the end of the program, and so is never freed.
        # Asking first keeps retries on a missing panel from piling up open buses.
        wire.command(_NOP)
        panel = getattr(chips, driver)(wire, rotate=rotate)
    except Exception as error:
        wire.cleanup()
        raise HardwareError(
            "screen",
            f"No screen answers at {address:#04x} on I2C bus {port} ({error}); nothing can be shown.",
            f"Check its four wires; run i2cdetect -y {port} and set screen.i2c_address to what it lists.",
            Step.SCREEN_CABLE,
        ) from error
    return LumaPanel(panel, wire, clock=clock)


_INSTALL = "Install the extra 'pi': pip install 'maguey-gate[pi]'."


def _open_i2c(port: int, address: int) -> Any:
    """The I2C bus; luma is untyped."""
    from luma.core.error import DeviceAddressError, DevicePermissionError
    from luma.core.interface.serial import i2c

    bus = f"I2C bus {port} (/dev/i2c-{port})"
    try:
        return i2c(port=port, address=address)
    except ImportError as error:
        what = "The I2C library is not installed."
        raise HardwareError("screen", what, _INSTALL, Step.GPIO_INSTALL) from error
    except DeviceAddressError as error:
        what = f"'{address}' is not an I2C address."
        advice = "Set screen.i2c_address to a number such as 0x3C."
        raise HardwareError("screen", what, advice, Step.SCREEN_SETTINGS) from error
    except DevicePermissionError as error:
        what = f"This account may not use {bus}."
        advice = "Add the gate's account to the group i2c and restart it."
        raise HardwareError("screen", what, advice, Step.RIGHTS) from error
    except Exception as error:  # luma passes some of smbus2's errors on
        what = f"There is no {bus}, so no screen can be reached."
        advice = "Enable I2C: sudo raspi-config, Interface Options, I2C; then check screen.i2c_port."
        raise HardwareError("screen", what, advice, Step.SCREEN_SETTINGS) from error


# --- SPI -----------------------------------------------------------------------------------


class _Pins:
    """Two output pins by gpiozero, with the interface of RPi.GPIO that luma expects.

    RPi.GPIO itself does not support the Pi 5, and gpiozero notices if a pin belongs to the relay already.
    """

    OUT, LOW, HIGH = "out", False, True

    def __init__(self) -> None:
        self._outputs: dict[int, Any] = {}

    def setup(self, pin: int, _mode: str) -> None:
        """Take a pin as output. Raises gpiozero's errors."""
        from gpiozero import OutputDevice

        self._outputs[pin] = OutputDevice(pin)

    def output(self, pin: int, level: bool) -> None:
        """Set it."""
        self._outputs[pin].value = level

    def close(self) -> None:
        """Release the pins."""
        for output in self._outputs.values():
            output.close()


class _SpiPort:
    """A hardware SPI port by gpiozero, with the interface of spidev that luma expects."""

    def __init__(self) -> None:
        self._bus: Any = None

    def open(self, port: int, device: int) -> None:
        """Open it. Raises gpiozero's errors."""
        from gpiozero import Device, SPISoftwareFallback

        Device.ensure_pin_factory()
        with warnings.catch_warnings():
            warnings.simplefilter("error", SPISoftwareFallback)  # a picture would take seconds
            self._bus = Device.pin_factory.spi(port=port, device=device)

    @property
    def max_speed_hz(self) -> int:
        """Bits a second."""
        return int(self._bus.rate)

    @max_speed_hz.setter
    def max_speed_hz(self, hertz: int) -> None:
        self._bus.rate = hertz

    def writebytes(self, data: list[int]) -> None:
        """Send bytes."""
        self._bus.write(data)

    def close(self) -> None:
        """Close it."""
        if self._bus is not None:
            self._bus.close()


def spi_panel(  # noqa: PLR0913, PLR0917 - one per wire
    port: int, device: int, dc_pin: int, reset_pin: int, rotate: int, clock: PanelClock = time.monotonic
) -> LumaPanel:
    """An SSD1322 of 256 × 64 pixels, white where a picture is lit. Raises `HardwareError`.

    Nothing answers on SPI, so a missing panel cannot be noticed.
    """
    pins, bus = _Pins(), _SpiPort()
    try:
        wire = _RecordingBus(_open_spi(bus, pins, port, device, dc_pin, reset_pin))
        panel = _ssd1322(wire, rotate)
    except Exception as error:
        with contextlib.suppress(Exception):  # opening it may be what failed
            bus.close()
        pins.close()
        raise _spi_trouble(error, port, device, dc_pin, reset_pin) from error
    return LumaPanel(panel, wire, pins, clock)


def _open_spi(bus: _SpiPort, pins: _Pins, port: int, device: int, dc_pin: int, reset_pin: int) -> Any:  # noqa: PLR0913, PLR0917
    from luma.core.interface.serial import spi

    return spi(
        spi=bus,
        gpio=pins,
        port=port,
        device=device,
        bus_speed_hz=_SPI_HZ,
        gpio_DC=dc_pin,
        gpio_RST=reset_pin,
        reset_hold_time=_RESET_S,
        reset_release_time=_RESET_S,
    )


def _ssd1322(wire: _RecordingBus, rotate: int) -> Any:
    from luma.core.framebuffer import full_frame
    from luma.oled.device import ssd1322

    width, height = WIDE
    # Whole pictures, since a panel that lost power has forgotten what differences refer to.
    return ssd1322(wire, width=width, height=height, rotate=rotate, mode="1", framebuffer=full_frame())


def _spi_trouble(error: Exception, port: int, device: int, dc_pin: int, reset_pin: int) -> HardwareError:
    from gpiozero import BadPinFactory, GPIOPinInUse

    if isinstance(error, GPIOPinInUse):
        what = f"A pin of the screen is in use already ({error})."
        advice = f"Wire the screen to free pins; screen.dc_pin is {dc_pin}, screen.reset_pin {reset_pin}."
        return HardwareError("screen", what, advice, Step.PIN_SETTINGS)
    if isinstance(error, BadPinFactory):
        what = "The pins of this machine cannot be reached: no screen on SPI."
        return HardwareError("screen", what, f"On a Pi: {_INSTALL}", Step.GPIO_INSTALL)
    what = f"The SPI port {port}.{device} (/dev/spidev{port}.{device}) cannot be used ({error})."
    advice = (
        "Enable SPI: sudo raspi-config, Interface Options, SPI; add the gate's account to the group spi; "
        "check screen.spi_port and screen.spi_device."
    )
    return HardwareError("screen", what, advice, Step.SCREEN_SETTINGS)
