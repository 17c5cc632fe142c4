"""The panels that can show a screen: real ones (`display.panel.luma_panels`), and three without hardware."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, TextIO, get_args

from PIL import Image

from display.panel.luma_panels import i2c_panel, spi_panel
from display.picture.draw import NORM, Size
from display.preview import text_art
from gate.common.errors import ConfigError, HardwareError, Step

PanelDriver = Literal["ssd1306", "sh1106", "ssd1322", "dummy", "terminal", "file"]
"""``dummy`` keeps the picture in memory, ``terminal`` prints it, ``file`` writes it as PNG.

On the last two, dots stand for a code that is being typed (`keeps_pictures`).
"""


class Device(Protocol):
    """What we use of a luma device; `width` and `height` in pixels."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def height(self) -> int:
        """Rows."""

    persist: bool
    """Whether `cleanup` leaves the picture on the panel, as in luma."""

    def display(self, image: Image.Image) -> None:
        """Show a picture of mode "1" and exactly this size."""

    def contrast(self, level: int) -> None:
        """Set the brightness, 0 to 255."""

    def cleanup(self) -> None:
        """Blank the panel, unless it is to `persist`, and release it."""


def make_device(  # noqa: PLR0913 - one per key of the configuration's [screen]
    driver: PanelDriver,
    *,
    i2c_port: int = 1,
    i2c_address: int = 0x3C,
    spi_port: int = 0,
    spi_device: int = 0,
    dc_pin: int = 24,
    reset_pin: int = 25,
    rotate: int = 0,
    path: Path | None = None,
    size: Size = NORM,
) -> Device:
    """Make a device that shows pictures.

    :param i2c_port: number of the I2C bus; 1 is the one on a Pi's header.
    :param i2c_address: 7 bits; most panels have 0x3C, some 0x3D.
    :param spi_port: number of the SPI bus of an SSD1322; `spi_device`: its chip select.
    :param dc_pin: Broadcom number of the pin that tells data from commands; `reset_pin`: that of the reset.
    :param rotate: quarter turns; 0, or 2 for a panel mounted upside down.
    :param path: where ``file`` writes the newest picture.
    :param size: of ``dummy``, ``terminal`` and ``file``, in pixels; real panels know theirs.
    :raises HardwareError: nothing answers; the error says what to try.
    :raises ConfigError: there is no such driver, rotation or path, or a pin cannot be used.
    """
    _check(driver, rotate, path)
    match driver:
        case "ssd1306" | "sh1106":
            return i2c_panel(driver, i2c_port, i2c_address, rotate)
        case "ssd1322":
            _check_pins(dc_pin, reset_pin)
            return spi_panel(spi_port, spi_device, dc_pin, reset_pin, rotate)
        case "terminal":
            return TerminalScreen(size=size)
        case "file":
            return FileScreen(path or Path(), size=size)
        case "dummy":
            return _dummy(size, rotate)


def _check(driver: str, rotate: int, path: Path | None) -> None:
    if driver not in get_args(PanelDriver):
        known = ", ".join(get_args(PanelDriver))
        raise ConfigError(f"screen.driver: '{driver}' is not known. Known here: {known}.")
    if rotate not in (0, 2):
        raise ConfigError(f"screen.rotate: expected 0, or 2 for upside down, not {rotate}.")
    if driver == "file" and path is None:
        raise ConfigError("screen.path: missing; the driver 'file' needs a file to write to.")


def _check_pins(dc_pin: int, reset_pin: int) -> None:
    if dc_pin == 0:  # luma takes 0 for none
        raise ConfigError("screen.dc_pin: GPIO 0 cannot be used for a screen; the usual one is 24.")
    if dc_pin == reset_pin:
        raise ConfigError(
            f"screen.dc_pin, screen.reset_pin: both are GPIO {dc_pin}; the screen needs two pins."
        )


def _dummy(size: Size, rotate: int) -> Device:
    from luma.core.device import dummy

    device: Device = dummy(width=size[0], height=size[1], rotate=rotate, mode="1")
    return device


def trouble_of(error: Exception) -> HardwareError:
    """An error of a device that worked until now, in words."""
    if isinstance(error, HardwareError):
        return error
    what = f"The screen no longer takes pictures ({error or type(error).__name__})."
    advice = "Check its cable; it is tried again every few seconds."
    return HardwareError("screen", what, advice, Step.SCREEN_CABLE)


def keeps_pictures(device: Device) -> bool:
    """Whether what it shows can be read later elsewhere: in a file, in the system's log (invariant 17)."""
    return isinstance(device, FileScreen | TerminalScreen)


class _SoftScreen:
    """What the devices without hardware have in common: a size, and no backlight."""

    def __init__(self, size: Size = NORM) -> None:
        self.width, self.height = size
        self.persist = False

    def contrast(self, level: int) -> None:
        """Nothing to dim."""


class FileScreen(_SoftScreen):
    """Keeps the newest picture in one PNG file; a reader always finds a complete one."""

    def __init__(self, path: Path, size: Size = NORM) -> None:
        super().__init__(size)
        self._path = path
        self._kept: bytes | None = None

    def display(self, image: Image.Image) -> None:
        """Replace the file, unless it shows this already. Raises OSError."""
        wanted = image.tobytes()
        if wanted == self._kept and self._path.exists():
            return
        fresh = self._path.with_name(f".{self._path.name}.new")
        image.save(fresh, format="PNG")
        fresh.replace(self._path)
        self._kept = wanted

    def cleanup(self) -> None:
        """Leave a blank picture, or the last one."""
        if not self.persist:
            self.display(Image.new("1", (self.width, self.height)))


class TerminalScreen(_SoftScreen):
    """Prints every new picture as text art."""

    def __init__(self, write: Callable[[str], object] | None = None, size: Size = NORM) -> None:
        super().__init__(size)
        stream: TextIO = sys.stderr
        self._write = write or stream.write
        self._printed: bytes | None = None

    def display(self, image: Image.Image) -> None:
        """Print it. Raises OSError if nobody reads it any more."""
        wanted = image.tobytes()
        if wanted != self._printed:
            self._write(text_art(image) + "\n")
            self._printed = wanted

    def cleanup(self) -> None:
        """Nothing: what is printed stays."""
