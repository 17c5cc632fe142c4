"""Making a screen's device, and the error when it cannot be made."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from display.panel.devices import TerminalScreen, keeps_pictures, make_device, trouble_of
from display.picture.draw import draw
from display.samples import ZONE, samples
from display.text.words import compose
from gate.common.errors import ConfigError, HardwareError, Step

IDLE = draw(compose(samples()["idle"], "en", ZONE))


def test_unknown_driver_rotation_and_missing_path_are_refused() -> None:
    driver: Any = "hd44780"
    with pytest.raises(ConfigError, match=r"screen\.driver: 'hd44780' is not known.*ssd1306"):
        make_device(driver)
    with pytest.raises(ConfigError, match=r"screen\.rotate"):
        make_device("dummy", rotate=1)
    with pytest.raises(ConfigError, match=r"screen\.path"):
        make_device("file")
    with pytest.raises(ConfigError, match=r"screen\.dc_pin: GPIO 0"):
        make_device("ssd1322", dc_pin=0)
    with pytest.raises(ConfigError, match=r"both are GPIO 25"):
        make_device("ssd1322", dc_pin=25)


def test_the_dummy_keeps_the_picture() -> None:
    device: Any = make_device("dummy", rotate=2)
    device.display(IDLE)
    assert device.image.tobytes() == IDLE.rotate(180).tobytes()


def test_the_file_holds_the_newest_picture_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
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


def test_a_file_that_is_to_persist_keeps_its_picture(tmp_path: Path) -> None:
    device = make_device("file", path=tmp_path / "gate-1.png")
    device.display(IDLE)
    device.persist = True
    device.cleanup()
    with Image.open(tmp_path / "gate-1.png") as kept:
        assert kept.tobytes() == IDLE.tobytes()


def test_the_same_picture_again_writes_and_prints_nothing(tmp_path: Path) -> None:
    """The panel's thread sends a picture again and again; a file or a terminal needs it once."""
    path, written = tmp_path / "gate-1.png", list[str]()
    for screen in (make_device("file", path=path), TerminalScreen(written.append)):
        screen.display(IDLE)
        before = path.stat().st_ino
        screen.display(IDLE)
        assert path.stat().st_ino == before
    assert len(written) == 1
    path.unlink()
    device = make_device("file", path=path)
    device.display(IDLE)
    path.unlink()
    device.display(IDLE)  # somebody deleted it
    assert path.exists()


def test_a_file_in_a_missing_folder_raises(tmp_path: Path) -> None:
    device = make_device("file", path=tmp_path / "none" / "gate.png")
    with pytest.raises(OSError, match="No such file"):
        device.display(IDLE)


def test_the_terminal_prints_text_art(capsys: pytest.CaptureFixture[str]) -> None:
    make_device("terminal").display(IDLE)
    assert len(capsys.readouterr().err.splitlines()) == 32
    written: list[str] = []
    screen = TerminalScreen(written.append)
    screen.display(IDLE)
    screen.cleanup()
    assert len(written) == 1
    assert "█" in written[0]


def test_a_file_and_a_terminal_keep_what_they_show_and_a_panel_does_not(tmp_path: Path) -> None:
    assert keeps_pictures(make_device("file", path=tmp_path / "gate.png"))
    assert keeps_pictures(make_device("terminal"))
    assert not keeps_pictures(make_device("dummy"))


def test_trouble_keeps_the_words_of_a_hardware_error() -> None:
    said = HardwareError("screen", "Gone.", "Look.")
    assert trouble_of(said) is said
    lost = trouble_of(OSError(121, "Remote I/O error"))
    assert "Remote I/O" in str(lost)
    assert (lost.part, lost.step) == ("screen", Step.SCREEN_CABLE)
