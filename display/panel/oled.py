"""The panel on the wall: `OledDisplay` shows the newest screen from a thread of its own.

The door hands a screen over and carries on; a slow, unplugged or broken panel costs it nothing. The newest
screen is always the one shown; screens that were not drawn in time are dropped.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import tzinfo

import msgspec
import structlog
from PIL import Image

from display.panel.devices import Device, keeps_pictures, make_device, trouble_of
from display.picture.draw import NORM, Size, draw, moves
from display.text.catalogue import Lang
from display.text.words import Page, compose, veiled
from gate.common.errors import HardwareError, Step
from gate.common.retried import RetriedDevice
from gate.ports.screen import Idle, Screen, outlives_door

__all__ = ["BRIGHT", "DIM", "STEADY", "OledDisplay", "make_device"]

FRAME_S = 0.1
"""Seconds between two pictures while something scrolls."""

RETRY_S = 3.0
"""Seconds between two attempts to find a lost panel."""

REFRESH_S = 5.0
"""Seconds after which a picture is sent again although nothing changed.

Only sending shows that a panel is gone, and a panel that lost power needs the picture again. With `RETRY_S`,
a panel is back well within the 15 s that quality 7.1, invariant 13, allows.
"""

ANSWER_S = 5.0
"""Longest call of the panel's driver; a whole picture takes a tenth of a second over slow I2C."""

DIM_AFTER_S = 60.0
"""Seconds of the same kind of standing screen after which the panel dims, to last longer."""

BRIGHT, STEADY, DIM = 0xCF, 0x80, 0x28
"""Levels of contrast, the current through each lit pixel.

`BRIGHT` is what luma sets an SSD1306 to at its start. `DIM` is for idle screens. A fault, free passage or a
closed gate may stand for hours as well, but has to be readable from 2 m: `STEADY` is just above half.
"""

_MINUTE_S = 60

_log = structlog.get_logger(__name__)


class _CurrentScreen(msgspec.Struct, frozen=True):
    """The screen being shown. It appeared at `since` and has been quiet since `quiet_since` (monotonic s)."""

    screen: Screen
    page: Page
    since: float
    quiet_since: float | None


class OledDisplay:
    """A working `gate.ports.devices.Display` on any device of `display.panel.devices`.

    :param make_device: makes the device; called again every few seconds while it fails. A panel that is
        missing at the start is `trouble()`, not an exception: the door runs without it. Called from the
        display's own thread, so that a hanging driver holds up nobody else.
    :param tz: the venue's time zone.
    :param clock: monotonic seconds.
    """

    def __init__(
        self,
        make_device: Callable[[], Device],
        lang: Lang,
        tz: tzinfo,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lang, self._tz, self._clock = lang, tz, clock
        self._changed = threading.Condition()
        self._newest: Screen | None = None
        self._closing = False
        self._panel = _Panel(make_device, clock)
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)
        self._thread.start()

    def show(self, screen: Screen) -> None:
        """Show this screen as soon as possible; never blocks and never raises."""
        with self._changed:
            self._newest = screen
            self._changed.notify()

    def trouble(self) -> HardwareError | None:
        """What is broken right now, None while all is well."""
        return self._panel.trouble

    def close(self) -> None:
        """Blank the panel and stop the thread. What outlives the door stays on it."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        showing: _CurrentScreen | None = None
        self._panel.mend()
        while (screen := self._next(showing)) is not _CLOSE:
            if isinstance(screen, Screen) and (showing is None or screen is not showing.screen):
                showing = self._follow(screen, showing)
            self._panel.mend()
            if showing is not None:
                self._panel.put(self._picture(showing), self._contrast(showing))
        if outlives_door(self._newest) and self._newest is not None:
            self._panel.put(self._picture(self._follow(self._newest, showing)), STEADY)
            self._panel.leave()
        else:
            self._panel.close()

    def _next(self, showing: _CurrentScreen | None) -> Screen | object | None:
        """Wait for another screen, or until there is something to do for the present one."""
        with self._changed:
            if not self._closing and self._newest is (showing.screen if showing else None):
                self._changed.wait(self._timeout(showing))
            return _CLOSE if self._closing else self._newest

    def _timeout(self, showing: _CurrentScreen | None) -> float | None:
        """Seconds until the next picture or attempt; None if there is nothing to show yet."""
        if self._panel.trouble is not None:
            return RETRY_S
        if showing is None:
            return None
        return FRAME_S if moves(showing.page, self._panel.size) else REFRESH_S

    def _follow(self, screen: Screen, before: _CurrentScreen | None) -> _CurrentScreen:
        """Switch to another screen; one that says the same continues to scroll where it was."""
        now = self._clock()
        page = self._words(screen)
        return _CurrentScreen(
            screen=screen,
            page=page,
            since=before.since if before is not None and before.page == page else now,
            quiet_since=_quiet_since(page, screen, before, now),
        )

    def _words(self, screen: Screen) -> Page:
        try:
            page = compose(screen, self._lang, self._tz)
        except Exception:  # a mistake of ours must not leave the last guest's verdict on the screen
            _log.exception("screen not put into words", screen=type(screen).__name__)
            return Page(headline="?", banner=("?",))
        return veiled(page) if self._panel.keeps else page

    def _picture(self, showing: _CurrentScreen) -> Image.Image:
        try:
            now = self._clock()
            return draw(showing.page, self._panel.size, now - showing.since, minute=int(now // _MINUTE_S))
        except Exception:
            _log.exception("screen not drawn", screen=type(showing.screen).__name__)
            return Image.new("1", self._panel.size)

    def _contrast(self, showing: _CurrentScreen) -> int:
        quiet = showing.quiet_since
        if quiet is None or self._clock() - quiet < DIM_AFTER_S:
            return BRIGHT
        return DIM if isinstance(showing.screen, Idle) else STEADY


def _quiet_since(page: Page, screen: Screen, before: _CurrentScreen | None, now: float) -> float | None:
    """Since when screens of this kind have stood; None for one that is about a guest."""
    if not page.standing:
        return None
    goes_on = before is not None and before.quiet_since is not None and type(before.screen) is type(screen)
    return before.quiet_since if before is not None and goes_on else now


_CLOSE = object()


class _Panel:
    """A device that may fail, hang and come back. Used by one thread, `trouble` by any."""

    def __init__(self, make_device: Callable[[], Device], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._device = RetriedDevice("screen", make_device, _cleaned, trouble_of, RETRY_S)
        self._shown: tuple[bytes, int] | None = None
        self._sent_at = clock()
        self.size: Size = NORM
        self.keeps = True  # until the device is known
        self._busy_since: float | None = None  # when the driver was called, if it has not returned

    @property
    def trouble(self) -> HardwareError | None:
        """What is broken: the device failed, or its driver does not return."""
        since = self._busy_since
        if self._device.trouble is None and since is not None and self._clock() - since >= ANSWER_S:
            advice = "Check its cable, restart the gate."
            return HardwareError("screen", "The screen does not answer.", advice, Step.SCREEN_CABLE)
        return self._device.trouble

    @contextlib.contextmanager
    def _calling(self) -> Iterator[None]:
        self._busy_since = self._clock()
        try:
            yield
        finally:
            self._busy_since = None

    def mend(self) -> None:
        """Make the device if there is none and it is time."""
        if self._device.part is not None:
            return
        with self._calling():
            device = self._device.made(self._clock())
        if device is not None:
            self.size, self.keeps = (device.width, device.height), keeps_pictures(device)
            self._shown = None

    def put(self, picture: Image.Image, contrast: int) -> None:
        """Show a picture, unless it is shown already and was sent a moment ago."""
        wanted, now = (picture.tobytes(), contrast), self._clock()
        is_there = wanted == self._shown and now - self._sent_at < REFRESH_S
        if self._device.part is None or is_there or picture.size != self.size:
            return
        with self._calling():  # only a picture that the panel took proves that it is back
            self._device.use(lambda device: self._send(device, picture, contrast), now)
        if self._device.part is not None:
            self._shown, self._sent_at = wanted, now

    def _send(self, device: Device, picture: Image.Image, contrast: int) -> None:
        if self._shown is None or self._shown[1] != contrast:
            device.contrast(contrast)
        device.display(picture)

    def leave(self) -> None:
        """Give the panel back as it is."""
        if self._device.part is not None:
            self._device.part.persist = True
        with self._calling():
            self._device.close()

    def close(self) -> None:
        """Blank the panel and give it back."""
        device = self._device.part
        if device is not None:
            with contextlib.suppress(Exception):  # it is gone, or about to be
                device.display(Image.new("1", self.size))
        with self._calling():
            self._device.close()


def _cleaned(device: Device) -> None:
    device.cleanup()  # luma writes to the panel once more
