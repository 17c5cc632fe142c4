"""The keypad, fed through pipes with the bytes a kernel gives: real `input_event`s."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gate.common.errors import Step
from gate.ports.devices import Keypad, NoKeypad, Typed
from hardware.keypad import evdev, keypad
from hardware.keypad.device_file import RETRY_S
from hardware.keypad.keypad import EventKeypad, TerminalKeypad, make_keypad

KEYS = {character: code for code, character in reversed(evdev.CHARACTERS.items())}


def event(kind: int, code: int, value: int) -> bytes:
    """A ``struct input_event`` of ``linux/input.h``: two longs of time, type, code, value."""
    return struct.pack("@llHHi", 1_700_000_000, 123_456, kind, code, value)


def press(*codes: int) -> bytes:
    """Each key down and up, with the scan code and the end of report that a keyboard also sends."""
    report = event(evdev.SYN, 0, 0)
    return b"".join(
        event(4, 4, 0x7001E) + event(1, code, 1) + report + event(1, code, 0) + report for code in codes
    )


def keys(text: str) -> bytes:
    return press(*(KEYS[character] for character in text))


class Socket:
    """A socket to plug a keypad into; the device is the reading end of a pipe."""

    def __init__(self) -> None:
        self._writing: int | None = None
        self._wrong: OSError | None = None
        self.opened = 0
        self.now = 100.0

    def plug(self) -> None:
        self._wrong = None

    def refuse(self, error: OSError) -> None:
        self._wrong = error

    def open(self, _name: str) -> int:
        self.opened += 1
        if self._wrong is not None:
            raise self._wrong
        reading, self._writing = os.pipe()
        os.set_blocking(reading, False)
        return reading

    def feed(self, some: bytes) -> None:
        assert self._writing is not None
        os.write(self._writing, some)

    def unplug(self) -> None:
        """The device is gone and cannot be opened again."""
        self.end()
        self._wrong = OSError(errno.ENODEV, "No such device")

    def end(self) -> None:
        if self._writing is not None:
            os.close(self._writing)
        self._writing = None

    def is_held(self) -> bool:
        """Whether somebody has the device open."""
        assert self._writing is not None
        try:
            os.write(self._writing, event(evdev.SYN, 0, 0))
        except BrokenPipeError:
            return False
        return True


@pytest.fixture
def socket() -> Iterator[Socket]:
    socket = Socket()
    yield socket
    socket.end()


def _keypad(socket: Socket) -> EventKeypad:
    return EventKeypad("test-event-kbd", lambda: socket.now, socket.open)


def test_a_code_is_typed_and_entered(socket: Socket) -> None:
    keypad: Keypad = _keypad(socket)
    assert keypad.read() is None
    socket.feed(keys("MGY-PF"))
    assert keypad.read() == Typed("MGY-PF", done=False)
    socket.feed(keys("-20250115") + press(evdev.ENTER))
    assert keypad.read() == Typed("MGY-PF-20250115", done=True)
    assert keypad.read() is None
    keypad.close()


def test_the_number_block_types_digits_hyphen_and_enter(socket: Socket) -> None:
    keypad = _keypad(socket)
    block = [82, 79, 80, 81, 75, 76, 77, 71, 72, 73, 74]
    socket.feed(press(*block, evdev.KEYPAD_ENTER))
    assert keypad.read() == Typed("0123456789-", done=True)
    keypad.close()


def test_the_hyphen_of_a_spanish_keyboard_is_a_hyphen(socket: Socket) -> None:
    keypad = _keypad(socket)
    socket.feed(press(53, 12))
    assert keypad.read() == Typed("--", done=False)
    keypad.close()


def test_backspace_repeats_while_it_is_held_and_letters_do_not(socket: Socket) -> None:
    keypad = _keypad(socket)
    socket.feed(keys("ABC") + event(1, KEYS["C"], evdev.REPEAT))
    socket.feed(event(1, evdev.BACKSPACE, evdev.DOWN) + event(1, evdev.BACKSPACE, evdev.REPEAT))
    assert keypad.read() == Typed("A", done=False)
    socket.feed(press(evdev.ESC))
    assert keypad.read() == Typed("", done=False)
    keypad.close()


def test_other_keys_type_nothing(socket: Socket) -> None:
    keypad = _keypad(socket)
    socket.feed(press(*sorted(set(range(1, 240)) - set(evdev.CHARACTERS) - {1, 14, 28, 96, 111})))
    assert keypad.read() is None
    keypad.close()


def test_an_event_read_in_two_pieces_is_one_key(socket: Socket) -> None:
    keypad = _keypad(socket)
    whole = keys("A")
    socket.feed(whole[:30])
    keypad.read()
    socket.feed(whole[30:])
    assert keypad.read() == Typed("A", done=False)
    keypad.close()


def test_after_lost_events_the_half_typed_code_is_dropped(socket: Socket) -> None:
    keypad = _keypad(socket)
    socket.feed(keys("MGY") + event(evdev.SYN, evdev.DROPPED, 0) + keys("7") + press(evdev.ENTER))
    assert keypad.read() == Typed("7", done=True)
    keypad.close()


def test_a_device_that_floods_the_gate_does_not_block_it(socket: Socket) -> None:
    keypad = _keypad(socket)
    flood = keys("A") * 400
    socket.feed(flood)
    assert keypad.read() == Typed("A" * 64, done=False)
    keypad.close()


def test_an_unplugged_keypad_is_trouble_once_and_comes_back_by_itself(socket: Socket) -> None:
    with capture_logs() as logs:
        keypad = _keypad(socket)
        assert keypad.trouble() is None
        socket.feed(keys("HALF"))
        assert keypad.read() == Typed("HALF", done=False)
        socket.unplug()
        assert keypad.read() == Typed("", done=False), "what was typed is forgotten"
        trouble = keypad.trouble()
        for _ in range(3):
            socket.now += RETRY_S
            assert keypad.read() is None
        socket.plug()
        socket.now += RETRY_S
        keypad.read()
        assert keypad.trouble() is None
        socket.feed(keys("NEW") + press(evdev.ENTER))
        assert keypad.read() == Typed("NEW", done=True)
        keypad.close()
    assert trouble is not None
    assert (trouble.part, trouble.step) == ("keypad", Step.KEYPAD_CABLE)
    assert [line["event"] for line in logs] == [
        "keypad failed",
        "keypad recovered",
    ]
    assert "HALF" not in str(logs)


def test_a_missing_keypad_is_retried_once_a_second(socket: Socket) -> None:
    socket.refuse(FileNotFoundError(errno.ENOENT, "No such file or directory"))
    keypad = _keypad(socket)
    for _ in range(10):
        assert keypad.read() is None
    assert socket.opened == 1
    socket.now += RETRY_S
    keypad.read()
    assert socket.opened == 2
    keypad.close()
    socket.now += RETRY_S
    keypad.read()
    assert socket.opened == 2, "a closed one is not looked for"


def test_a_keypad_this_account_may_not_read_says_so(socket: Socket) -> None:
    socket.refuse(PermissionError(errno.EACCES, "Permission denied"))
    trouble = _keypad(socket).trouble()
    assert trouble is not None
    assert trouble.step is Step.RIGHTS
    assert "`input`" in trouble.advice


def test_closing_releases_the_device_and_forgets_what_was_typed(socket: Socket) -> None:
    keypad = _keypad(socket)
    socket.feed(keys("SECRET") + press(evdev.ENTER) + keys("HALF"))
    assert socket.is_held()
    assert keypad.read() == Typed("SECRET", done=True)
    keypad.close()
    assert not socket.is_held()
    assert keypad.read() == Typed("", done=False)
    assert keypad.read() is None


def test_the_device_is_grabbed_for_the_gate_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EVIOCGRAB has the kernel's number, and a device that refuses it is not read."""
    assert evdev.GRAB == 0x40044590
    asked: list[tuple[int, int]] = []

    def ioctl(_fd: int, request: int, argument: int) -> int:
        asked.append((request, argument))
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    (tmp_path / "usb-Some-event-kbd").write_bytes(keys("SPY"))
    monkeypatch.setattr(keypad, "BY_ID", tmp_path)
    found = make_keypad("evdev")
    assert asked == [(evdev.GRAB, 1)]
    assert found.read() is None
    assert "busy" in str(found.trouble())


def test_without_a_name_the_first_keyboard_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keypad, "BY_ID", tmp_path)
    assert "no keyboard is plugged in" in str(make_keypad("evdev").trouble())
    for name in ("usb-B-event-kbd", "usb-A-event-kbd", "usb-A-event-mouse"):
        (tmp_path / name).touch()
    assert keypad._path("") == tmp_path / "usb-A-event-kbd"
    assert keypad._path("event3") == Path("/dev/input/event3")
    assert keypad._path("/dev/input/by-id/x") == Path("/dev/input/by-id/x")


def test_an_event_has_the_kernels_size() -> None:
    """24 bytes on 64-bit kernels, 16 on 32-bit ones: the longs of ``struct input_event``."""
    assert evdev.EVENT.size == (24 if sys.maxsize > 2**32 else 16)


@pytest.fixture
def pipe() -> Iterator[tuple[int, Callable[[bytes], int]]]:
    reading, writing = os.pipe()
    yield reading, lambda some: os.write(writing, some)
    os.close(writing)
    os.close(reading)


def test_a_terminal_enters_whole_lines(pipe: tuple[int, Callable[[bytes], int]]) -> None:
    reading, write = pipe
    terminal: Keypad = TerminalKeypad(reading)
    assert terminal.read() is None
    write(b"mgy-pf 1\nnext\n")
    assert terminal.read() == Typed("MGY-PF1", done=True)
    assert terminal.read() == Typed("NEXT", done=True)
    assert terminal.read() is None
    assert terminal.trouble() is None
    terminal.close()
    write(b"late\n")
    assert terminal.read() is None


def test_the_end_of_standard_input_is_not_reported_as_trouble() -> None:
    reading, writing = os.pipe()
    terminal = TerminalKeypad(reading)
    os.write(writing, b"last\n")
    os.close(writing)
    assert terminal.read() == Typed("LAST", done=True)
    assert terminal.read() is None
    assert terminal.read() is None
    assert terminal.trouble() is None
    os.close(reading)


def test_each_driver_name_makes_its_keypad(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_keypad("none"), NoKeypad)
    reading, writing = os.pipe()
    with io.open(reading) as stdin:  # noqa: UP020
        monkeypatch.setattr(sys, "stdin", stdin)
        assert isinstance(make_keypad("terminal"), TerminalKeypad)
    os.close(writing)
