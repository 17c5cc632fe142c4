"""Luma's driver of the SSD1322 on an SPI port that keeps what the chip would show."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from gpiozero import BadPinFactory, Device, OutputDevice
from gpiozero.pins.mock import MockFactory
from PIL import Image

from display.panel.devices import make_device
from display.panel.luma_panels import SET_UP_EVERY_S, spi_panel
from display.picture.draw import WIDE, draw
from display.samples import ZONE, samples
from display.text.words import compose
from gate.common.errors import HardwareError, Step


def sample(name: str) -> Image.Image:
    return draw(compose(samples()[name], "en", ZONE), WIDE)


class Clock:
    """Monotonic seconds that only the test advances."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SpiGlass:
    """An SPI port with an SSD1322 on it: its memory of 4 bits a pixel, its contrast, and whether it is lit.

    It never answers. The pin that tells data from commands is read as bytes arrive (SSD1322 datasheet).
    """

    def __init__(self, factory: MockFactory) -> None:
        self._factory = factory
        self.is_open, self.rate = True, 500_000
        self.longest = 0
        self.lose_power()

    def lose_power(self) -> None:
        self.is_lit, self.is_unlocked, self.contrast = False, False, 0x7F
        self.memory: dict[tuple[int, int], int] = {}
        self._command = 0
        self._arguments: list[int] = []
        self._columns, self._rows = (0, 0), (0, 0)
        self._at = 0

    def write(self, data: list[int]) -> None:
        assert self.is_open
        self.longest = max(self.longest, len(data))
        for byte in data:
            if self._factory.pin("GPIO24").state:
                self._data(byte)
            else:
                self._obey(byte)

    def close(self) -> None:
        self.is_open = False

    def _obey(self, command: int) -> None:
        self._command, self._arguments, self._at = command, [], 0
        if command in (0xAE, 0xAF):
            self.is_lit = command == 0xAF

    def _data(self, byte: int) -> None:
        self._arguments.append(byte)
        match self._command, self._arguments:
            case 0xFD, [0x12]:
                self.is_unlocked = True
            case 0xC1, [level]:
                self.contrast = level
            case 0x15, [first, last]:
                self._columns = first, last
            case 0x75, [first, last]:
                self._rows = first, last
            case 0x5C, _:
                self._arguments.clear()
                self._pixels(byte)

    def _pixels(self, byte: int) -> None:
        first, last = self._columns
        across = (last - first + 1) * 2  # two bytes, of two pixels each, a column
        y, x = divmod(self._at, across)
        self.memory[first * 4 + x * 2, self._rows[0] + y] = byte >> 4
        self.memory[first * 4 + x * 2 + 1, self._rows[0] + y] = byte & 15
        self._at += 1

    def shown(self) -> bytes:
        """What a viewer sees; the glass begins at the chip's column 28 of four pixels each."""
        picture = Image.new("1", WIDE)
        for (x, y), grey in self.memory.items():
            assert grey in (0, 15)
            if self.is_lit and self.is_unlocked:
                picture.putpixel((x - 28 * 4, y), grey)
        return picture.tobytes()


class Pi(MockFactory):  # type: ignore[misc]
    """The pins of a Pi, with SPI port 0.1 on them."""

    def __init__(self) -> None:
        super().__init__()
        self.glass = SpiGlass(self)
        self.fails: Callable[[], Exception] | None = None

    def spi(self, **args: int) -> SpiGlass:
        assert args == {"port": 0, "device": 1}
        if self.fails is not None:
            raise self.fails()
        return self.glass


@pytest.fixture
def pi() -> Iterator[Pi]:
    before, made = Device.pin_factory, Pi()
    Device.pin_factory = made
    yield made
    made.reset()
    Device.pin_factory = before


def test_an_ssd1322_shows_the_picture_on_its_256_columns(pi: Pi) -> None:
    device = make_device("ssd1322", spi_device=1)
    assert (device.width, device.height) == WIDE
    device.display(sample("vip-host"))
    assert pi.glass.shown() == sample("vip-host").tobytes()
    device.display(sample("idle"))
    assert pi.glass.shown() == sample("idle").tobytes()


def test_an_ssd1322_upside_down_turns_the_picture(pi: Pi) -> None:
    make_device("ssd1322", spi_device=1, rotate=2).display(sample("reentry"))
    assert pi.glass.shown() == sample("reentry").rotate(180).tobytes()


def test_an_ssd1322_is_reset_first_and_sent_at_8_mhz_in_chunks_spidev_takes(pi: Pi) -> None:
    make_device("ssd1322", spi_device=1, reset_pin=23).display(sample("idle"))
    assert [state.state for state in pi.pin("GPIO23").states][-2:] == [False, True]
    assert pi.glass.rate == 8_000_000
    assert pi.glass.longest <= 4096


def test_contrast_is_the_ssd1322s_own_command(pi: Pi) -> None:
    make_device("ssd1322", spi_device=1).contrast(0x28)
    assert pi.glass.contrast == 0x28


def test_an_ssd1322_that_was_unplugged_is_set_up_again_though_nothing_answers(pi: Pi) -> None:
    clock = Clock()
    device = spi_panel(0, 1, 24, 25, 0, clock)
    device.contrast(0x28)
    device.display(sample("closed"))
    pi.glass.lose_power()
    device.display(sample("closed"))
    assert not pi.glass.is_lit  # it stays dark until it is set up again
    clock.now += SET_UP_EVERY_S
    device.display(sample("closed"))
    assert pi.glass.shown() == sample("closed").tobytes()
    assert pi.glass.contrast == 0x28


def test_cleanup_of_an_ssd1322_frees_port_and_pins(pi: Pi) -> None:
    make_device("ssd1322", spi_device=1).cleanup()
    assert not pi.glass.is_open
    assert not pi.glass.is_lit
    for pin in (24, 25):
        OutputDevice(pin).close()


def test_a_screen_pin_in_use_by_the_relay_is_named(pi: Pi) -> None:
    with OutputDevice(24), pytest.raises(HardwareError, match="in use already") as caught:
        make_device("ssd1322", spi_device=1)
    assert "screen.dc_pin is 24" in caught.value.advice
    assert caught.value.step is Step.PIN_SETTINGS


def test_no_spi_port_says_how_to_enable_it_and_frees_the_pins(pi: Pi) -> None:
    pi.fails = lambda: OSError(errno.ENOENT, "No such file or directory")
    for _attempt in range(2):  # the second would find the pins in use
        with pytest.raises(HardwareError, match=r"The SPI port 0\.1 \(/dev/spidev0\.1\)") as caught:
            make_device("ssd1322", spi_device=1)
        assert "raspi-config" in caught.value.advice
        assert caught.value.step is Step.SCREEN_SETTINGS


class PortlessPi(MockFactory):  # type: ignore[misc]
    """Pins without an SPI port: gpiozero would bit-bang it, at seconds per picture."""

    def _get_spi_class(self, shared: bool, hardware: bool) -> object:
        if hardware:
            raise OSError(errno.ENOENT, "can not open SPI device")
        return super()._get_spi_class(shared, hardware)


def test_bit_banged_spi_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "pin_factory", PortlessPi())
    with pytest.raises(HardwareError, match=r"The SPI port 0\.0 .*can not open SPI device"):
        make_device("ssd1322")


def test_a_machine_without_pins_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise BadPinFactory("Unable to load any default pin factory!")

    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setattr(Device, "_default_pin_factory", staticmethod(none))
    with pytest.raises(HardwareError, match="pins of this machine") as caught:
        make_device("ssd1322")
    assert caught.value.step is Step.GPIO_INSTALL
