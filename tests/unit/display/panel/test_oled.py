"""The display's thread shows the newest screen, redraws only if needed, and fails without the door."""

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from luma.core.device import dummy
from luma.core.error import DeviceNotFoundError
from msgspec.structs import replace
from PIL import Image
from structlog.testing import capture_logs

import display.panel.oled
from display.panel.devices import FileScreen, TerminalScreen
from display.panel.oled import (
    ANSWER_S,
    BRIGHT,
    DIM,
    DIM_AFTER_S,
    FRAME_S,
    REFRESH_S,
    RETRY_S,
    STEADY,
    OledDisplay,
)
from display.picture.draw import NORM, draw
from display.samples import ZONE, samples
from display.text.words import compose, veiled
from gate.common.errors import HardwareError, Step
from gate.ports.devices import Display
from gate.ports.screen import Typing
from tests.patience import PATIENCE_S, until

SCREENS = samples()


class Clock:
    """Monotonic seconds that only the test advances."""

    def __init__(self) -> None:
        self.now = 900 * 60.0  # a minute at which nothing is shifted

    def __call__(self) -> float:
        return self.now


class Glass:
    """A working panel that remembers what it shows, can be unplugged, and lets a test wait for it."""

    width, height = NORM

    def __init__(self) -> None:
        self.persist = False
        self.changed = threading.Condition()
        self.unplugged = False
        self.error: Exception = OSError(121, "Remote I/O error")
        self.pictures: list[bytes] = []
        self.contrasts: list[int] = []
        self.made = self.refused = self.cleaned = self.stuck = 0
        self.answers = threading.Event()
        self.answers.set()

    def make(self) -> "Glass":
        self._hang()
        with self.changed:
            self.made += 1
            self._answer()
            return self

    def display(self, image: Image.Image) -> None:
        self._hang()
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

    def _hang(self) -> None:
        if not self.answers.is_set():
            with self.changed:
                self.stuck += 1
                self.changed.notify_all()
            assert self.answers.wait(PATIENCE_S)

    def _answer(self) -> None:
        self.changed.notify_all()
        if self.unplugged:
            self.refused += 1
            raise self.error

    def until(self, what: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(what, PATIENCE_S)

    def shows(self, picture: bytes) -> None:
        self.until(lambda: bool(self.pictures) and self.pictures[-1] == picture)


def picture(name: str, t: float = 0.0, minute: int = 0) -> bytes:
    return draw(compose(SCREENS[name], "en", ZONE), NORM, t, minute).tobytes()


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


def test_it_satisfies_the_doors_display_protocol(panel: OledDisplay) -> None:
    screen: Display = panel
    assert screen.trouble() is None


def test_it_shows_what_the_door_says(panel: OledDisplay, glass: Glass) -> None:
    for name in ("idle", "welcome", "deny-already-used"):
        panel.show(SCREENS[name])
        glass.shows(picture(name))


def test_it_works_with_lumas_own_dummy_device() -> None:
    taken = threading.Event()

    class Noticing(dummy):  # type: ignore[misc]
        def display(self, image: Image.Image) -> None:
            super().display(image)
            taken.set()

    device = Noticing(width=128, height=64, mode="1")
    panel = OledDisplay(lambda: device, "en", ZONE)
    panel.show(SCREENS["welcome"])
    assert taken.wait(PATIENCE_S)
    assert device.image.tobytes() == picture("welcome")
    panel.close()
    assert device.image.tobytes() == bytes(128 * 64 // 8)


def test_an_unchanged_screen_is_sent_once(panel: OledDisplay, glass: Glass) -> None:
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


def test_showing_the_same_list_again_does_not_restart_it(
    panel: OledDisplay, glass: Glass, clock: Clock
) -> None:
    panel.show(SCREENS["vip-host"])
    glass.shows(picture("vip-host"))
    clock.now += 2.0
    panel.show(replace(SCREENS["vip-host"]))
    glass.shows(picture("vip-host", t=2.0))


def test_idle_screens_dim_when_nothing_happens_and_wake_for_a_guest(
    panel: OledDisplay, glass: Glass, clock: Clock
) -> None:
    panel.show(SCREENS["idle"])
    glass.shows(picture("idle"))
    clock.now += DIM_AFTER_S + 1
    panel.show(SCREENS["idle-long-event"])  # still idle: the clock went on
    glass.until(lambda: glass.contrasts[-1:] == [DIM])
    panel.show(SCREENS["welcome"])
    glass.until(lambda: glass.contrasts == [BRIGHT, DIM, BRIGHT])


@pytest.mark.parametrize("name", ["out-of-order-camera", "closed", "free-passage", "held-open"])
def test_a_fault_or_free_passage_that_stands_for_hours_stays_legible(
    panel: OledDisplay, glass: Glass, clock: Clock, name: str
) -> None:
    panel.show(SCREENS[name])
    glass.shows(picture(name))
    clock.now += 3 * 3600
    panel.show(replace(SCREENS[name]))
    glass.until(lambda: glass.contrasts == [BRIGHT, STEADY])
    assert BRIGHT / 2 < STEADY < BRIGHT


def test_a_new_fault_after_a_quiet_hour_is_bright(panel: OledDisplay, glass: Glass, clock: Clock) -> None:
    panel.show(SCREENS["idle"])
    glass.shows(picture("idle"))
    clock.now += 3600
    panel.show(replace(SCREENS["idle"]))
    glass.until(lambda: glass.contrasts == [BRIGHT, DIM])
    panel.show(SCREENS["out-of-order-camera"])
    glass.until(lambda: glass.contrasts == [BRIGHT, DIM, BRIGHT])


@pytest.mark.parametrize(
    "name", ["idle", "idle-offline", "out-of-order-camera", "closed", "free-passage-offline"]
)
def test_a_screen_that_stands_for_hours_moves_a_few_pixels_every_minute(
    panel: OledDisplay, glass: Glass, clock: Clock, name: str
) -> None:
    seen = set()
    for minute in range(15):
        panel.show(replace(SCREENS[name]))
        glass.shows(picture(name, minute=minute))
        seen.add(glass.pictures[-1])
        clock.now += 60
    assert len(seen) == 15


def test_a_panel_that_fails_is_logged_once_and_recovers(
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
    assert [line["event"] for line in logs] == [
        "screen failed",
        "screen recovered",
    ]


def test_a_panel_missing_at_the_start_is_found_later(glass: Glass, clock: Clock) -> None:
    glass.unplugged = True
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    until(lambda: panel.trouble() is not None)
    glass.unplugged = False
    clock.now += RETRY_S
    panel.show(SCREENS["welcome"])
    glass.shows(picture("welcome"))
    panel.close()
    assert panel.trouble() is None


def test_a_panel_that_hangs_when_it_is_made_delays_nobody_and_is_reported(glass: Glass, clock: Clock) -> None:
    glass.answers.clear()
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    panel.show(SCREENS["welcome"])
    glass.until(lambda: glass.stuck == 1)
    assert panel.trouble() is None, "not yet"
    clock.now += ANSWER_S
    trouble = panel.trouble()
    assert trouble is not None
    assert (trouble.part, trouble.step) == ("screen", Step.SCREEN_CABLE)
    assert "does not answer" in str(trouble)
    glass.answers.set()
    glass.shows(picture("welcome"))
    until(lambda: panel.trouble() is None)
    panel.close()


def test_a_panel_that_worked_and_hangs_is_trouble_until_it_answers(
    panel: OledDisplay, glass: Glass, clock: Clock
) -> None:
    panel.show(SCREENS["idle"])
    glass.shows(picture("idle"))
    clock.now += ANSWER_S
    assert panel.trouble() is None, "nothing was asked of it"
    glass.answers.clear()
    panel.show(SCREENS["welcome"])
    glass.until(lambda: glass.stuck == 1)
    assert panel.trouble() is None, "not yet"
    clock.now += ANSWER_S
    assert "does not answer" in str(panel.trouble())
    glass.answers.set()
    glass.shows(picture("welcome"))
    until(lambda: panel.trouble() is None)


CODES = ("MGY-PF-20250115-7K3M9QX2VD5RTA0HQ", "MGY-GA-20260228-0000ZZZZ1111WWWWX")
"""Two tickets of the same shape."""


def typed(code: str) -> bytes:
    return draw(compose(Typing(text=code), "en", ZONE), NORM).tobytes()


def dots(code: str) -> bytes:
    return draw(veiled(compose(Typing(text=code), "en", ZONE)), NORM).tobytes()


class Keeping:
    """Puts a `Glass` before a device that keeps what it shows, so that a test can wait for its pictures."""

    def __init__(self, device: type[FileScreen | TerminalScreen], glass: Glass, **made_with: Any) -> None:
        class Waited(device):  # type: ignore[misc, valid-type]
            def display(self, image: Image.Image) -> None:
                glass.display(image)
                super().display(image)

        self.make = lambda: Waited(**made_with)


@pytest.fixture(params=["file", "terminal"])
def keeping(request: pytest.FixtureRequest, glass: Glass, tmp_path: Path) -> Keeping:
    if request.param == "file":
        return Keeping(FileScreen, glass, path=tmp_path / "gate.png")
    return Keeping(TerminalScreen, glass, write=lambda _art: None)


def test_a_panel_shows_the_code_that_is_being_typed(panel: OledDisplay, glass: Glass) -> None:
    for code in CODES:
        panel.show(Typing(text=code))
        glass.shows(typed(code))


def test_a_file_and_a_terminal_never_get_a_typed_code(keeping: Keeping, glass: Glass, clock: Clock) -> None:
    """Invariant 17: nothing on disk or in the system's log reveals a ticket's secret."""
    panel = OledDisplay(keeping.make, "en", ZONE, clock)
    for code in CODES:
        panel.show(Typing(text=code))
        glass.shows(dots(code))
        panel.show(SCREENS["welcome"])
        glass.shows(picture("welcome"))
    panel.close()
    assert dots(CODES[0]) == dots(CODES[1]) != dots(CODES[0][:-1])
    assert not set(glass.pictures) & {typed(code) for code in CODES}


def test_a_file_or_terminal_that_recovers_still_gets_no_typed_code(
    keeping: Keeping, glass: Glass, clock: Clock
) -> None:
    panel = OledDisplay(keeping.make, "en", ZONE, clock)
    panel.show(SCREENS["idle"])
    glass.shows(picture("idle"))
    glass.unplugged = True
    panel.show(SCREENS["welcome"])
    glass.until(lambda: glass.refused > 0)
    panel.show(Typing(text=CODES[0]))
    glass.unplugged = False
    clock.now += RETRY_S
    panel.show(Typing(text=CODES[0][:-1]))
    panel.show(Typing(text=CODES[0]))
    glass.shows(dots(CODES[0]))
    panel.close()
    assert typed(CODES[0]) not in glass.pictures


def test_a_typed_code_stays_dots_until_the_kind_of_screen_is_known(glass: Glass, clock: Clock) -> None:
    glass.unplugged = True
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    until(lambda: panel.trouble() is not None)
    panel.show(Typing(text=CODES[0][:-1]))
    glass.unplugged = False
    clock.now += RETRY_S
    panel.show(Typing(text=CODES[1][:-1]))
    glass.shows(dots(CODES[1][:-1]))
    panel.show(Typing(text=CODES[1]))
    glass.shows(typed(CODES[1]))
    panel.close()


def test_a_code_that_cannot_be_drawn_is_not_logged(
    panel: OledDisplay, glass: Glass, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel.show(SCREENS["idle"])
    glass.shows(picture("idle"))

    def broken(*_: object, **__: object) -> Image.Image:
        raise ValueError("no such glyph")

    with capture_logs() as logs:
        monkeypatch.setattr(display.panel.oled, "draw", broken)
        panel.show(Typing(text=CODES[0]))
        glass.shows(bytes(128 * 64 // 8))
        panel.close()
    assert {line["event"] for line in logs} == {"screen not drawn"}
    assert "7K3M" not in str(logs)


ERRORS = [
    OSError(errno.ETIMEDOUT, "Connection timed out"),
    OSError(errno.ENODEV, "No such device"),
    DeviceNotFoundError("I2C device not found on address: 0x3C"),
    HardwareError("screen", "No screen answers.", "Check its cable.", Step.SCREEN_CABLE),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__ + str(error)[:12])
def test_a_panel_that_comes_back_shows_the_newest_screen(
    panel: OledDisplay, glass: Glass, clock: Clock, error: Exception
) -> None:
    """Whatever the driver raised. A screen that came and went in between is never shown."""
    panel.show(SCREENS["idle"])
    glass.shows(picture("idle"))
    glass.error, glass.unplugged = error, True
    panel.show(SCREENS["welcome"])
    glass.until(lambda: glass.cleaned == 1)
    assert panel.trouble() is not None
    panel.show(SCREENS["vip-pass"])
    glass.unplugged = False
    clock.now += RETRY_S
    panel.show(replace(SCREENS["vip-pass"]))
    glass.shows(picture("vip-pass"))
    assert glass.pictures == [picture("idle"), picture("vip-pass")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__ + str(error)[:12])
def test_a_panel_unplugged_under_an_unchanged_screen_is_back_within_15_s(
    glass: Glass, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Quality 7.1, invariant 13. The door sends no new screen; time alone brings the picture back."""
    assert REFRESH_S + RETRY_S + FRAME_S <= 15
    monkeypatch.setattr(display.panel.oled, "REFRESH_S", 0.01)
    monkeypatch.setattr(display.panel.oled, "RETRY_S", 0.01)
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    panel.show(SCREENS["closed"])
    glass.shows(picture("closed"))
    glass.error, glass.unplugged = error, True
    clock.now += 0.02
    glass.until(lambda: glass.cleaned == 1)
    sent = len(glass.pictures)
    glass.unplugged = False
    clock.now += 0.02
    glass.until(lambda: len(glass.pictures) > sent)
    assert glass.pictures[-1] == picture("closed")
    panel.close()


def test_a_picture_is_sent_again_after_a_while_and_not_before(
    panel: OledDisplay, glass: Glass, clock: Clock
) -> None:
    panel.show(SCREENS["closed"])
    glass.shows(picture("closed"))
    clock.now += REFRESH_S - 0.1
    panel.show(replace(SCREENS["closed"]))
    clock.now += 0.1
    panel.show(replace(SCREENS["closed"]))
    glass.until(lambda: len(glass.pictures) == 2)
    assert glass.pictures == [picture("closed")] * 2


def test_a_lost_panel_is_found_without_a_new_screen(
    glass: Glass, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display.panel.oled, "RETRY_S", 0.01)
    glass.unplugged = True
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    until(lambda: panel.trouble() is not None)
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


def test_updating_stays_on_the_panel_when_the_door_ends(glass: Glass, clock: Clock) -> None:
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    panel.show(SCREENS["welcome"])
    glass.shows(picture("welcome"))
    panel.show(SCREENS["updating"])
    panel.close()
    assert glass.pictures[-1] == picture("updating")
    assert (glass.persist, glass.cleaned) == (True, 1)


def test_closing_twice_or_with_a_dead_panel_is_harmless(glass: Glass, clock: Clock) -> None:
    panel = OledDisplay(glass.make, "en", ZONE, clock)
    glass.until(lambda: glass.made == 1)
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
    assert [line["event"] for line in logs] == ["screen not put into words"]
