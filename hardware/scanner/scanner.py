"""A USB hand scanner: a keyboard that types codes, or a serial device that sends them.

A thread reads it: the kernel keeps only some ten keys of a keyboard that nobody reads
(`EVDEV_MIN_BUFFER_SIZE`, drivers/input/evdev.c), and a scanner types hundreds a second. The gate takes the
device for itself. While it is unplugged, it is looked for about once a second, and half a code is
forgotten. What was read is a ticket's secret and never logged.
"""

from __future__ import annotations

import fcntl
import os
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from gate.common.errors import HardwareError, Step
from gate.common.outage import Outage
from gate.ports.devices import NoScanner, Scanner
from hardware.keypad import evdev
from hardware.keypad.device_file import RETRY_S, DeviceFile
from hardware.scanner.layouts import Keyboard, LayoutName
from hardware.scanner.scanned_codes import ENDLESS_BYTES, JOIN_S, ScannedCodes

WAIT_S = 0.2
"""Longest wait for the next key, and so the delay until the thread notices that it has to end."""
CLOSE_S = 1.0

ScannerDriver = Literal["none", "evdev", "serial"]


def make_scanner(  # noqa: PLR0913 – the section of the configuration, by name
    driver: ScannerDriver,
    *,
    device: str = "",
    layout: LayoutName = "us",
    prefix: str = "",
    suffix: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> Scanner:
    """The hand scanner of a gate. If it is missing, `trouble` says so, and it is found once it is there.

    :param driver: ``evdev``: one that types as a keyboard does. ``serial``: one that is a serial device.
    :param device: its path, such as ``/dev/input/by-id/usb-…-event-kbd`` or ``/dev/serial/by-id/usb-…``;
        a name alone is looked up in ``/dev/input`` or ``/dev``.
    :param layout: the keyboard layout it is set to; ``evdev`` only.
    :param prefix, suffix: what it sends before and after each code, besides Enter, Tab and AIM identifier.
    :param clock: gives monotonic seconds.
    """
    if driver == "none":
        return NoScanner()
    kind: ScannerDevice = KeyboardDevice(layout) if driver == "evdev" else SerialDevice()
    return HandScanner(ScannerReader(device, kind, ScannedCodes(prefix.encode(), suffix.encode()), clock))


class ScannerDevice(Protocol):
    """A kind of device: how it is opened, and what its bytes mean."""

    folder: Path

    def open(self, path: Path) -> int:
        """Open it for reading without blocking, for this process alone. Raises `OSError`."""

    def feed(self, some: bytes, codes: ScannedCodes, now_s: float) -> None:
        """Put bytes of the device into `codes`."""

    def forget(self) -> None:
        """The device is gone."""


class KeyboardDevice:
    """A scanner that poses as a keyboard (USB HID)."""

    folder = Path("/dev/input")

    def __init__(self, layout: LayoutName) -> None:
        self._keyboard = Keyboard(layout)
        self._events = evdev.EventParser()

    def open(self, path: Path) -> int:
        """Open and grab it: its keys go nowhere else."""
        return evdev.opened_device(path)

    def feed(self, some: bytes, codes: ScannedCodes, now_s: float) -> None:
        """The bytes are events of the kernel."""
        for kind, code, value in self._events.cut(some):
            if kind == evdev.KEY:
                codes.feed(self._keyboard.event(code, value).encode(), now_s)
            elif kind == evdev.SYN and code == evdev.DROPPED:
                self._keyboard.forget()
                codes.spoil()

    def forget(self) -> None:
        """No key of the next one is held."""
        self._keyboard.forget()
        self._events.forget()


class SerialDevice:
    """A scanner that is a serial device (USB CDC ACM); its speed setting has no effect."""

    folder = Path("/dev")

    def open(self, path: Path) -> int:
        """Open it in raw mode; nobody else can open it from now on."""
        fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, termios.TIOCEXCL)
            tty.setraw(fd)
        except (OSError, termios.error) as error:
            os.close(fd)
            raise OSError(*error.args) from None
        return fd

    def feed(self, some: bytes, codes: ScannedCodes, now_s: float) -> None:
        """The bytes are the code itself."""
        codes.feed(some, now_s)

    def forget(self) -> None:
        """It remembers nothing between two reads."""


class ScannerReader:
    """Reads one device into codes, a turn at a time. `take` and `trouble` are for another thread.

    :param device, clock: see `make_scanner`.
    """

    def __init__(
        self,
        device: str,
        kind: ScannerDevice,
        codes: ScannedCodes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        path = kind.folder / device  # an absolute path stays as it is
        self._kind, self._codes, self._clock = kind, codes, clock
        self._lock = threading.Lock()
        self._source = DeviceFile(
            "scanner", lambda: kind.open(path), lambda error: _explained(path, error), clock
        )

    def turn(self, wait_s: float) -> bool:
        """Read what the scanner sent. Returns whether it is there."""
        some = self._source.read(self._clock())
        if some == b"":
            self._source.wait(min(wait_s, JOIN_S) if self._codes.is_ended else wait_s)
            some = self._source.read(self._clock())
        with self._lock:
            self._put(some)
        return some is not None

    def _put(self, some: bytes | None) -> None:
        if some is None:
            self._kind.forget()
            self._codes.forget()
        elif some:
            self._kind.feed(some, self._codes, self._clock())
        else:
            self._codes.silence(self._clock())

    def take(self) -> bytes | None:
        """The oldest code that was not taken."""
        with self._lock:
            return self._codes.take(self._clock())

    def trouble(self) -> HardwareError | None:
        """Why nothing can be scanned, None while it can."""
        if self._source.trouble is not None or not self._codes.is_endless:
            return self._source.trouble
        what = f"The scanner has sent {ENDLESS_BYTES // 1024} KiB without an end."
        advice = "Is a key stuck, or is this not a scanner? Set it to send Enter after each code."
        return HardwareError("scanner", what, advice, Step.SCANNER_CABLE)

    def close(self) -> None:
        """Give the device back."""
        self._source.close()


class HandScanner:
    """A `Scanner` whose device is read by a thread."""

    def __init__(self, reader: ScannerReader) -> None:
        self._reader = reader
        self._closing = threading.Event()
        self._defect = Outage("the scanner's thread")
        self._thread = threading.Thread(target=self._run, name="scanner", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                is_there = self._reader.turn(WAIT_S)
            except Exception as error:  # a mistake of ours: logged once, and the thread goes on
                self._defect.began(error)
                self._closing.wait(RETRY_S)
            else:
                self._defect.over()
                if not is_there:
                    self._closing.wait(WAIT_S)

    def read(self) -> bytes | None:
        """One code, None if there is none."""
        return self._reader.take()

    def trouble(self) -> HardwareError | None:
        """Why nothing can be scanned, None while it can."""
        return self._reader.trouble()

    def close(self) -> None:
        """End the thread and give the device back."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        self._reader.close()


def _explained(path: Path, error: Exception) -> HardwareError:
    why = getattr(error, "strerror", None) or error
    what = f"The hand scanner {path} does not answer ({why})."
    if isinstance(error, PermissionError):
        advice = "Add this account to the group `input`, for a serial one `dialout`; see docs/scanner.md."
        return HardwareError("scanner", what, advice, Step.RIGHTS)
    advice = "Plug it in again; `ls /dev/input/by-id /dev/serial/by-id` shows what scanner.device may be."
    return HardwareError("scanner", what, advice, Step.SCANNER_CABLE)
