"""The panels a screen can be shown on: real ones over I2C, and three that need no hardware.

`make_device` is the only place that touches luma's drivers; what they raise is said in
words here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO, get_args

from PIL import Image

from display.draw import NORM, Size
from display.preview import text_art
from gate.errors import ConfigError, HardwareError

Driver = Literal["ssd1306", "sh1106", "dummy", "terminal", "file"]
"""``dummy`` keeps the picture in memory, ``terminal`` prints it, ``file`` writes it as PNG."""

_NOP = 0xE3  # does nothing, on both chips (SSD1306 and SH1106 datasheets, command tables)


class Device(Protocol):
    """What we use of a luma device; `width` and `height` in pixels."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def height(self) -> int:
        """Rows."""

    def display(self, image: Image.Image) -> None:
        """Show a picture of mode "1" and exactly this size."""

    def contrast(self, level: int) -> None:
        """Set the brightness, 0 to 255."""

    def cleanup(self) -> None:
        """Blank the panel and let go of it."""


def make_device(  # noqa: PLR0913 - one per key of the configuration's [screen]
    driver: Driver,
    *,
    i2c_port: int = 1,
    i2c_address: int = 0x3C,
    rotate: int = 0,
    path: Path | None = None,
    size: Size = NORM,
) -> Device:
    """Make a device that shows pictures.

    :param i2c_port: number of the I2C bus; 1 is the one on a Pi's header.
    :param i2c_address: 7 bits; most panels have 0x3C, some 0x3D.
    :param rotate: quarter turns; 0, or 2 for a panel mounted upside down.
    :param path: where ``file`` keeps the newest picture.
    :param size: of ``dummy``, ``terminal`` and ``file``, in pixels; real panels know theirs.
    :raises HardwareError: nothing answers; the message says what to try.
    :raises ConfigError: there is no such driver, rotation or path.
    """
    _check(driver, rotate, path)
    match driver:
        case "ssd1306" | "sh1106":
            return _i2c_panel(driver, i2c_port, i2c_address, rotate)
        case "terminal":
            return TerminalScreen(size=size)
        case "file":
            return FileScreen(path or Path(), size=size)
        case "dummy":
            return _dummy(size, rotate)


def _check(driver: str, rotate: int, path: Path | None) -> None:
    if driver not in get_args(Driver):
        known = ", ".join(get_args(Driver))
        raise ConfigError(f"screen.driver: '{driver}' is not known. Known here: {known}.")
    if rotate not in (0, 2):
        raise ConfigError(f"screen.rotate: expected 0, or 2 for upside down, not {rotate}.")
    if driver == "file" and path is None:
        raise ConfigError("screen.path: missing; the driver 'file' needs a file to write to.")


def _dummy(size: Size, rotate: int) -> Device:
    from luma.core.device import dummy

    device: Device = dummy(width=size[0], height=size[1], rotate=rotate, mode="1")
    return device


def _i2c_panel(driver: str, port: int, address: int, rotate: int) -> Device:
    from luma.oled import device as chips

    serial = _open_bus(port, address)
    try:
        # A luma device registers itself for the end of the program and so is never freed.
        # Asking first keeps retries on a panel that is not there from piling up open buses.
        serial.command(_NOP)
        panel = getattr(chips, driver)(serial, rotate=rotate)
    except Exception as error:
        serial.cleanup()
        raise HardwareError(
            "screen",
            f"No screen answers at {address:#04x} on I2C bus {port} ({error}); nothing can be shown.",
            f"Check its four wires; run i2cdetect -y {port} and set screen.i2c_address to what it lists.",
        ) from error
    return _I2cPanel(panel, serial)


class _I2cPanel:
    """A luma device and its bus. luma leaves the bus open when the panel does not answer at the end."""

    def __init__(self, panel: Any, serial: Any) -> None:
        self.width: int = panel.width
        self.height: int = panel.height
        self._panel, self._serial = panel, serial

    def display(self, image: Image.Image) -> None:
        self._panel.display(image)

    def contrast(self, level: int) -> None:
        self._panel.contrast(level)

    def cleanup(self) -> None:
        try:
            self._panel.cleanup()
        finally:
            self._serial.cleanup()


def _open_bus(port: int, address: int) -> Any:
    """The I2C bus; luma is untyped."""
    from luma.core.error import DeviceAddressError, DevicePermissionError
    from luma.core.interface.serial import i2c

    bus = f"I2C bus {port} (/dev/i2c-{port})"
    try:
        return i2c(port=port, address=address)
    except ImportError as error:
        what, step = (
            "The I2C library is not installed.",
            "Install the extra 'pi': pip install 'maguey-gate[pi]'.",
        )
        raise HardwareError("screen", what, step) from error
    except DeviceAddressError as error:
        step = "Set screen.i2c_address to a number such as 0x3C."
        raise HardwareError("screen", f"'{address}' is no I2C address.", step) from error
    except DevicePermissionError as error:
        step = "Add the gate's account to the group i2c and restart it."
        raise HardwareError("screen", f"This account may not use {bus}.", step) from error
    except Exception as error:  # luma lets some of smbus2's errors through as they are
        step = "Enable I2C: sudo raspi-config, Interface Options, I2C; then check screen.i2c_port."
        raise HardwareError("screen", f"There is no {bus}: no screen can be reached.", step) from error


def trouble_of(error: Exception) -> HardwareError:
    """An error of a device that worked until now, in words."""
    if isinstance(error, HardwareError):
        return error
    what = f"The screen no longer takes pictures ({error or type(error).__name__})."
    return HardwareError("screen", what, "Check its cable; it is tried again every few seconds.")


class _Soft:
    """What the devices without hardware have in common: a size, and no backlight."""

    def __init__(self, size: Size = NORM) -> None:
        self.width, self.height = size

    def contrast(self, level: int) -> None:
        """Nothing to dim."""


class FileScreen(_Soft):
    """Keeps the newest picture in one PNG file; a reader always finds a whole one."""

    def __init__(self, path: Path, size: Size = NORM) -> None:
        super().__init__(size)
        self._path = path

    def display(self, image: Image.Image) -> None:
        """Replace the file. Raises OSError."""
        fresh = self._path.with_name(f".{self._path.name}.new")
        image.save(fresh, format="PNG")
        fresh.replace(self._path)

    def cleanup(self) -> None:
        """Leave a blank picture."""
        self.display(Image.new("1", (self.width, self.height)))


class TerminalScreen(_Soft):
    """Prints every picture as text art."""

    def __init__(self, write: Callable[[str], object] | None = None, size: Size = NORM) -> None:
        super().__init__(size)
        stream: TextIO = sys.stderr
        self._write = write or stream.write

    def display(self, image: Image.Image) -> None:
        """Print it. Raises OSError when nobody reads any more."""
        self._write(text_art(image) + "\n")

    def cleanup(self) -> None:
        """Printed is printed."""
