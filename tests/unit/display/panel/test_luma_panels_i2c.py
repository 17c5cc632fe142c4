"""Luma's drivers of SSD1306 and SH1106 on a bus that keeps what the chip would show."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import smbus2
from PIL import Image

from display.panel.devices import make_device
from display.panel.luma_panels import SET_UP_EVERY_S, i2c_panel
from display.picture.draw import NORM, draw
from display.samples import ZONE, samples
from display.text.words import compose
from gate.common.errors import HardwareError, Step

NO_SUCH_BUS = 987
I2C: tuple[Literal["ssd1306", "sh1106"], ...] = ("ssd1306", "sh1106")


def sample(name: str) -> Image.Image:
    return draw(compose(samples()[name], "en", ZONE))


class Clock:
    """Monotonic seconds that only the test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class I2cGlass:
    """An I2C bus with one SSD1306 or SH1106 on it: its memory, its contrast, and whether it is lit.

    It obeys the commands of the chips' datasheets. Without power it is dark and forgets everything.
    """

    def __init__(self) -> None:
        self.is_open, self.answers = True, True
        self.lose_power()

    def lose_power(self) -> None:
        self.is_lit, self.has_pump, self.contrast = False, False, 0x7F
        self.memory = [0] * 8 * 132
        self.page = self.column = 0

    def write_i2c_block_data(self, address: int, mode: int, data: list[int]) -> None:
        assert address == 0x3C
        if not self.answers:
            raise OSError(errno.EREMOTEIO, "Remote I/O error")
        if mode == 0x40:
            self._take(data)
        else:
            self._obey(list(data))

    def i2c_rdwr(self, message: Any) -> None:
        sent = list(message)
        self.write_i2c_block_data(message.addr, sent[0], sent[1:])

    def close(self) -> None:
        self.is_open = False

    def _take(self, data: list[int]) -> None:
        for byte in data:
            self.memory[self.page * 132 + self.column] = byte
            self.column += 1
            if self.column == self.width:
                self.column, self.page = self.first, (self.page + 1) % 8

    def _obey(self, command: list[int]) -> None:
        while command:
            code = command.pop(0)
            if code in (0xAE, 0xAF):
                self.is_lit = code == 0xAF
            elif code in _ONE_MORE:
                value = command.pop(0)
                self.contrast = value if code == 0x81 else self.contrast
                self.has_pump = self.has_pump or (code, value) == (0x8D, 0x14)
            elif code in (0x21, 0x22):  # columns, pages: first and last
                first, _last = command.pop(0), command.pop(0)
                self.column, self.page = (first, self.page) if code == 0x21 else (self.column, first)
            elif code & 0xF8 == 0xB0:
                self.page, self.column = code & 7, self.column
            elif code <= 0x1F:
                high = code >= 0x10
                self.column = (self.column & 0x0F | code << 4 & 0xF0) if high else self.column & 0xF0 | code

    first, width = 0, 128

    def shown(self) -> bytes:
        """What a viewer sees, as the picture's bytes."""
        picture = Image.new("1", NORM)
        for y in range(64):
            for x in range(128):
                lit = self.memory[y // 8 * 132 + self.first + x] >> y % 8 & 1
                picture.putpixel((x, y), lit if self.is_lit else 0)
        return picture.tobytes()


_ONE_MORE = {0x81, 0xD5, 0xA8, 0xD3, 0x8D, 0x20, 0xDA, 0xD9, 0xDB, 0xAD, 0x30}


class Sh1106Glass(I2cGlass):
    """It has 132 columns, of which the glass shows those from the third on."""

    first, width = 2, 130


GLASSES: dict[str, type[I2cGlass]] = {"ssd1306": I2cGlass, "sh1106": Sh1106Glass}


@pytest.fixture(params=I2C)
def chip(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def glass(chip: str, monkeypatch: pytest.MonkeyPatch) -> I2cGlass:
    made = GLASSES[chip]()

    def opening(port: int) -> I2cGlass:
        assert port == 1
        return made

    monkeypatch.setattr(smbus2, "SMBus", opening)
    monkeypatch.setattr(smbus2.i2c_msg, "write", Message)
    return made


class Message:
    """One transfer, as smbus2 makes them."""

    def __init__(self, address: int, data: list[int]) -> None:
        self.addr, self._data = address, data

    def __iter__(self) -> Iterator[int]:
        return iter(self._data)


def test_an_i2c_panel_shows_the_picture(glass: I2cGlass, chip: Any) -> None:
    device = make_device(chip)
    assert (device.width, device.height) == NORM
    device.display(sample("reentry"))
    assert glass.shown() == sample("reentry").tobytes()


def test_upside_down_turns_the_picture(glass: I2cGlass, chip: Any) -> None:
    make_device(chip, rotate=2).display(sample("reentry"))
    assert glass.shown() == sample("reentry").rotate(180).tobytes()


def test_contrast_is_the_chips_own_command(glass: I2cGlass, chip: Any) -> None:
    make_device(chip).contrast(0x28)
    assert glass.contrast == 0x28


def test_a_panel_that_lost_its_power_for_a_moment_is_set_up_again(
    glass: I2cGlass, chip: str, clock: Clock
) -> None:
    device = i2c_panel(chip, 1, 0x3C, 0, clock)
    device.contrast(0x28)
    device.display(sample("closed"))
    glass.lose_power()
    device.display(sample("closed"))
    assert not glass.is_lit  # it stays dark until it is set up again
    clock.now += SET_UP_EVERY_S
    device.display(sample("closed"))
    assert glass.shown() == sample("closed").tobytes()
    assert (glass.contrast, glass.has_pump) == (0x28, True)


def test_setting_a_panel_up_again_never_darkens_it(chip: str, glass: I2cGlass, clock: Clock) -> None:
    lit: list[bool] = []
    device = i2c_panel(chip, 1, 0x3C, 0, clock)
    device.display(sample("closed"))
    obey = glass.write_i2c_block_data

    def watching(address: int, mode: int, data: list[int]) -> None:
        obey(address, mode, data)
        lit.append(glass.is_lit and glass.shown() == sample("closed").tobytes())

    glass.write_i2c_block_data = watching  # type: ignore[method-assign]
    clock.now += SET_UP_EVERY_S
    device.display(sample("closed"))
    assert len(lit) > 3
    assert all(lit)


def test_cleanup_blanks_the_panel_and_closes_the_bus(glass: I2cGlass, chip: Any) -> None:
    device = make_device(chip)
    device.display(sample("closed"))
    device.cleanup()
    assert not glass.is_lit
    assert not glass.is_open


def test_a_panel_that_is_to_persist_keeps_its_picture(glass: I2cGlass, chip: Any) -> None:
    device = make_device(chip)
    device.display(sample("updating"))
    device.persist = True
    device.cleanup()
    assert glass.is_lit
    assert not glass.is_open


def test_cleanup_of_a_lost_panel_closes_the_bus(glass: I2cGlass, chip: Any) -> None:
    device = make_device(chip)
    glass.answers = False
    with pytest.raises(Exception, match="not found"):
        device.cleanup()
    assert not glass.is_open


@pytest.mark.parametrize("driver", I2C)
def test_no_i2c_bus_says_how_to_enable_it(driver: Any) -> None:
    with pytest.raises(HardwareError, match="There is no I2C bus 987") as caught:
        make_device(driver, i2c_port=NO_SUCH_BUS)
    assert (caught.value.part, caught.value.step) == ("screen", Step.SCREEN_SETTINGS)
    assert "raspi-config" in caught.value.advice


def test_an_invalid_i2c_address_names_the_setting_to_correct() -> None:
    address: Any = "three"
    with pytest.raises(HardwareError, match="'three' is not an I2C address") as caught:
        make_device("ssd1306", i2c_address=address)
    assert "screen.i2c_address" in caught.value.advice
    assert caught.value.step is Step.SCREEN_SETTINGS


def test_a_bus_this_account_may_not_use_says_which_group_may(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(port: int) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", f"/dev/i2c-{port}")

    monkeypatch.setattr(smbus2, "SMBus", refusing)
    with pytest.raises(HardwareError, match="may not use I2C bus 1") as caught:
        make_device("sh1106")
    assert "group i2c" in caught.value.advice
    assert caught.value.step is Step.RIGHTS


def test_no_panel_on_the_bus_says_how_to_find_it_and_leaves_nothing_open(glass: I2cGlass, chip: Any) -> None:
    glass.answers = False
    with pytest.raises(HardwareError, match="No screen answers at 0x3c on I2C bus 1") as caught:
        make_device(chip)
    assert "i2cdetect -y 1" in caught.value.advice
    assert caught.value.step is Step.SCREEN_CABLE
    assert not glass.is_open
