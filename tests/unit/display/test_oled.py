"""The display's thread: newest screen only, moving only when needed, failing without the door."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from luma.core.device import dummy
from luma.core.interface.serial import i2c
from luma.oled.device import sh1106, ssd1306
from msgspec.structs import replace
from PIL import Image
from structlog.testing import capture_logs

import display.oled
from display.draw import NORM, draw
from display.oled import BRIGHT, DIM, DIM_AFTER_S, RETRY_S, OledDisplay
from display.samples import ZONE, samples
from display.words import compose
from gate.errors import HardwareError
from gate.ports import Display
from gate.screen import Screen

SCREENS = samples()
PATIENCE = 20.0


class Clock:
    """Monotonic seconds that stand still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Glass:
    """A working panel: remembers what it shows, can be unplugged, and tells who waits for it."""

    width, height = NORM

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.unplugged = False
        self.pictures: list[bytes] = []
        self.contrasts: list[int] = []
        self.made = self.refused = self.cleaned = 0

    def make(self) -> "Glass":
        with self.changed:
            self.made += 1
            self._answer()
            return self

    def display(self, image: Image.Image) -> None:
        with self.changed:
            self._answer()
            self.pictures.append(image.tobytes())

    def contrast(self, level: int) -> None:
        with self.changed:
            self._answer()
            self.contrasts.append(level)

    def cleanup(self) -> None:
        with self.changed:
            self.cleaned += 1
            self._answer()

    def _answer(self) -> None:
        self.changed.notify_all()
        if self.unplugged:
            self.refused += 1
            raise OSError(121, "Remote I/O error")

    def until(self, what: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(what, PATIENCE)

    def shows(self, picture: bytes) -> None:
        self.until(lambda: bool(self.pictures) and self.pictures[-1] == picture)


def picture(name: str, t: float = 0.0) -> bytes:
    return draw(compose(SCREENS[name], "en", ZONE), NORM, t).tobytes()


@pytest.fixture
def glass() -> Glass:
    return Glass()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def panel(glass: Glass, clock: Clock) -> Iterator[OledDisplay]:
    made = OledDisplay(glass.make, "en", ZONE, clock)
    yield made
    made.close()


def test_it_is_a_display_of_the_door(panel: OledDisplay) -> None:
    screen: Display = panel
    assert screen.trouble() is None


def test_shows_what_the_door_says(panel: OledDisplay, glass: Glass) -> None:
    for name in ("idle", "welcome", "deny-already-used"):
        panel.show(SCREENS[name])
        glass.shows(picture(name))


def test_on_lumas_own_dummy_device() -> None:
    taken = threading.Event()

    class Noticing(dummy):  # type: ignore[misc]
        def display(self, image: Image.Image) -> None:
            super().display(image)
            taken.set()

    device = Noticing(width=128, height=64, mode="1")
    panel = OledDisplay(lambda: device, "en", ZONE)
    panel.show(SCREENS["welcome"])
    assert taken.wait(PATIENCE)
    assert device.image.tobytes() == picture("welcome")
    panel.close()
    assert device.image.tobytes() == bytes(128 * 64 // 8)


def test_what_stands_still_is_sent_once(panel: OledDisplay, glass: Glass) -> None:
    panel.show(SCREENS["welcome"])
    glass.shows(picture("welcome"))
    panel.show(replace(SCREENS["welcome"]))  # another value that says the same
    panel.show(SCREENS["reentry"])
    glass.shows(picture("reentry"))
    assert glass.pictures.count(picture("welcome")) == 1


def test_a_guest_list_turns_with_the_clock(panel: OledDisplay, glass: Glass, clock: Clock) -> None:
    panel.show(SCREENS["vip-host"])
    glass.shows(picture("vip-host"))
    clock.now += 2.5
    glass.shows(picture("vip-host", t=2.5))


def test_the_same_words_again_go_on_turning(panel: OledDisplay, glass: Glass, clock: Clock) -> None:
    panel.show(SCREENS["vip-host"])
    glass.shows(picture("vip-host"))
    clock.now += 2.0
    panel.show(replace(SCREENS["vip-host"]))
    glass.shows(picture("vip-host", t=2.0))


def test_dims_when_nobody_comes_and_wakes_for_a_guest(panel: OledDisplay, glass: Glass, clock: Clock) -> None:
    panel.show(SCREENS["idle"])
    glass.shows(picture("idle"))
    clock.now += DIM_AFTER_S + 1
    panel.show(SCREENS["idle-long-event"])  # still idle: the clock went on
    glass.until(lambda: glass.contrasts[-1:] == [DIM])
    panel.show(SCREENS["welcome"])
    glass.until(lambda: glass.contrasts == [BRIGHT, DIM, BRIGHT])


def test_a_panel_that_fails_is_told_once_and_comes_back(
    panel: OledDisplay, glass: Glass, clock: Clock
) -> None:
    with capture_logs() as logs:
        panel.show(SCREENS["idle"])
        glass.shows(picture("idle"))
        glass.unplugged = True
        panel.show(SCREENS["welcome"])
        glass.until(lambda: glass.cleaned == 1)
        for attempt in range(2, 4):
            clock.now += RETRY_S
            panel.show(SCREENS["reentry"])
            glass.until(lambda attempt=attempt: glass.made == attempt)  # type: ignore[misc]
        trouble = panel.trouble()
        glass.unplugged = False
        clock.now += RETRY_S
        panel.show(SCREENS["deny-refunded"])
        glass.shows(picture("deny-refunded"))
        panel.close()
    assert isinstance(trouble, HardwareError)
    assert trouble.part == "screen"
    assert "Remote I/O error" in str(trouble)
    assert panel.trouble() is None
    assert [line["event"] for line in logs] == ["screen_lost", "screen_back"]


def test_a_panel_missing_at_the_start_is_found_later(glass: Glass, clock: Clock) -> None:
    glass.unplugged = True
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    assert panel.trouble() is not None
    glass.unplugged = False
    clock.now += RETRY_S
    panel.show(SCREENS["welcome"])
    glass.shows(picture("welcome"))
    panel.close()
    assert panel.trouble() is None


def test_a_lost_panel_is_found_without_a_new_screen(
    glass: Glass, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display.oled, "RETRY_S", 0.01)
    glass.unplugged = True
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    panel.show(SCREENS["welcome"])
    glass.unplugged = False
    clock.now += 1
    glass.shows(picture("welcome"))
    panel.close()


def test_close_blanks_the_panel_and_ends_the_thread(glass: Glass, clock: Clock) -> None:
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    panel.show(SCREENS["welcome"])
    glass.shows(picture("welcome"))
    panel.close()
    assert glass.pictures[-1] == bytes(128 * 64 // 8)
    assert glass.cleaned == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "screen"]


def test_closing_twice_or_with_a_dead_panel_is_harmless(glass: Glass, clock: Clock) -> None:
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    glass.unplugged = True
    panel.close()
    panel.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "screen"]


def test_a_screen_that_cannot_be_put_into_words_blanks_the_last_verdict(
    panel: OledDisplay, glass: Glass
) -> None:
    panel.show(SCREENS["welcome"])
    glass.shows(picture("welcome"))
    broken: Any = replace(SCREENS["idle"], now=None)
    with capture_logs() as logs:
        panel.show(broken)
        glass.until(lambda: glass.pictures[-1] != picture("welcome"))
        panel.show(SCREENS["reentry"])
        glass.shows(picture("reentry"))
    assert [line["event"] for line in logs] == ["screen_without_words"]


class Bus:
    """A working I2C bus with one controller on it: keeps the display memory the chip would show."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def write_i2c_block_data(self, address: int, mode: int, data: list[int]) -> None:
        assert address == 0x3C
        if mode == 0x40:
            self.sent += data

    def close(self) -> None:
        """Nothing to close."""


def memory(screen: Screen) -> list[int]:
    """What an SSD1306 is to be sent: pages of eight rows, a byte per column, lowest bit on top."""
    image = draw(compose(screen, "en", ZONE))
    return [
        sum(bool(image.getpixel((x, page * 8 + bit))) << bit for bit in range(8))
        for page in range(8)
        for x in range(128)
    ]


@pytest.mark.parametrize("chip", [ssd1306, sh1106])
def test_a_real_driver_sends_the_picture_over_the_bus(chip: Any) -> None:
    bus = Bus()
    device = chip(i2c(bus=bus, address=0x3C))
    bus.sent.clear()
    device.display(draw(compose(SCREENS["reentry"], "en", ZONE)))
    assert bus.sent == memory(SCREENS["reentry"])
