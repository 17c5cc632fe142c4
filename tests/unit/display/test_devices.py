"""Making a device, and what is said when there is none."""

import errno
from pathlib import Path
from typing import Any

import pytest
import smbus2
from PIL import Image

from display.devices import TerminalScreen, make_device, trouble_of
from display.draw import draw
from display.samples import ZONE, samples
from display.words import compose
from gate.errors import ConfigError, HardwareError

IDLE = draw(compose(samples()["idle"], "en", ZONE))
NO_SUCH_BUS = 987


@pytest.mark.parametrize("driver", ["ssd1306", "sh1106"])
def test_no_i2c_bus_says_how_to_enable_it(driver: Any) -> None:
    with pytest.raises(HardwareError, match="There is no I2C bus 987") as caught:
        make_device(driver, i2c_port=NO_SUCH_BUS)
    assert caught.value.part == "screen"
    assert "raspi-config" in caught.value.advice


def test_an_address_that_is_none_says_what_one_looks_like() -> None:
    address: Any = "three"
    with pytest.raises(HardwareError, match="'three' is no I2C address") as caught:
        make_device("ssd1306", i2c_address=address)
    assert "screen.i2c_address" in caught.value.advice


class EmptyBus:
    """A working I2C bus with nothing connected to it: what is sent is not acknowledged."""

    def __init__(self) -> None:
        self.is_open = True

    def write_i2c_block_data(self, *command: object) -> None:
        raise OSError(errno.EREMOTEIO, f"Remote I/O error, sending {command}")

    def close(self) -> None:
        self.is_open = False


def test_no_panel_on_the_bus_says_how_to_find_it_and_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[EmptyBus] = []

    def opening(port: int) -> EmptyBus:
        opened.append(EmptyBus())
        return opened[-1]

    monkeypatch.setattr(smbus2, "SMBus", opening)
    with pytest.raises(HardwareError, match="No screen answers at 0x3c on I2C bus 1") as caught:
        make_device("ssd1306")
    assert "i2cdetect -y 1" in caught.value.advice
    assert [bus.is_open for bus in opened] == [False]


def test_unknown_driver_rotation_and_missing_path_are_refused() -> None:
    driver: Any = "hd44780"
    with pytest.raises(ConfigError, match=r"screen\.driver: 'hd44780' is not known.*ssd1306"):
        make_device(driver)
    with pytest.raises(ConfigError, match=r"screen\.rotate"):
        make_device("dummy", rotate=1)
    with pytest.raises(ConfigError, match=r"screen\.path"):
        make_device("file")


def test_dummy_keeps_the_picture() -> None:
    device: Any = make_device("dummy", rotate=2)
    device.display(IDLE)
    assert device.image.tobytes() == IDLE.rotate(180).tobytes()


def test_file_is_always_the_newest_whole_picture_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "gate-1.png"
    device = make_device("file", path=path)
    device.display(Image.new("1", (128, 64)))
    device.display(IDLE)
    with Image.open(path) as kept:
        assert kept.tobytes() == IDLE.tobytes()
    device.contrast(1)
    device.cleanup()
    with Image.open(path) as kept:
        assert kept.getbbox() is None
    assert [found.name for found in tmp_path.iterdir()] == ["gate-1.png"]


def test_file_in_a_folder_that_is_not_there_raises(tmp_path: Path) -> None:
    device = make_device("file", path=tmp_path / "none" / "gate.png")
    with pytest.raises(OSError, match="No such file"):
        device.display(IDLE)


def test_terminal_prints_text_art(capsys: pytest.CaptureFixture[str]) -> None:
    make_device("terminal").display(IDLE)
    assert len(capsys.readouterr().err.splitlines()) == 32
    written: list[str] = []
    screen = TerminalScreen(written.append)
    screen.display(IDLE)
    screen.cleanup()
    assert len(written) == 1
    assert "█" in written[0]


def test_trouble_keeps_words_that_are_there_already() -> None:
    said = HardwareError("screen", "Gone.", "Look.")
    assert trouble_of(said) is said
    assert "Remote I/O" in str(trouble_of(OSError(121, "Remote I/O error")))
