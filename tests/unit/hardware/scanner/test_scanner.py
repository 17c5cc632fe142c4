"""The hand scanner as a device: key events through a pipe, bytes through a pty, unplugging, floods."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gate.common.errors import Step
from gate.ports.devices import NoScanner, Scanner
from hardware.keypad import evdev
from hardware.keypad.device_file import RETRY_S
from hardware.scanner.scanned_codes import ENDLESS_BYTES, JOIN_S, PAUSE_S, ScannedCodes
from hardware.scanner.scanner import (
    HandScanner,
    KeyboardDevice,
    ScannerDevice,
    ScannerReader,
    SerialDevice,
    make_scanner,
)
from tests.codes import printed, signed
from tests.factories import code_id
from tests.patience import until
from tests.unit.hardware.keypad.test_keypad import Socket
from tests.unit.hardware.wedge import event, press, typed

CARRIERS = [code_id(), signed(), printed()]


def awaited(scanner: Scanner) -> bytes:
    """Wait for the next code."""
    found: list[bytes] = []

    def is_there() -> bool:
        code = scanner.read()
        found.extend([code] if code is not None else [])
        return bool(found)

    until(is_there)
    return found[0]


class Plugged(KeyboardDevice):
    """A scanner that poses as a keyboard, plugged into a `Socket`."""

    def __init__(self, socket: Socket) -> None:
        super().__init__("us")
        self._socket = socket

    def open(self, path: Path) -> int:
        return self._socket.open(str(path))


@pytest.fixture
def socket() -> Iterator[Socket]:
    socket = Socket()
    yield socket
    socket.end()


def a_reader(socket: Socket, kind: ScannerDevice | None = None) -> ScannerReader:
    return ScannerReader("event7", kind or Plugged(socket), ScannedCodes(), lambda: socket.now)


def read(reader: ScannerReader, socket: Socket, some: bytes) -> bytes | None:
    for start in range(0, len(some), 4096):  # a pipe holds more, the kernel gives less
        socket.feed(some[start : start + 4096])
        reader.turn(0)
    socket.now += 2 * JOIN_S
    reader.turn(0)
    return reader.take()


@pytest.mark.parametrize("text", CARRIERS)
def test_a_keyboards_events_become_the_code(socket: Socket, text: str) -> None:
    reader = a_reader(socket)
    assert reader.turn(0)
    assert reader.take() is None
    assert read(reader, socket, typed("]Q1" + text + "\n")) == text.encode()
    assert read(reader, socket, typed(text + "\t")) == text.encode()
    reader.close()


def test_a_code_without_enter_is_read_after_a_pause(socket: Socket) -> None:
    reader = a_reader(socket)
    assert read(reader, socket, typed(code_id())) is None
    socket.now += PAUSE_S
    reader.turn(0)
    assert reader.take() == code_id().encode()
    reader.close()


def test_after_lost_keys_the_rest_of_the_code_is_dropped(socket: Socket) -> None:
    reader = a_reader(socket)
    lost = typed("MGY-PF") + event(evdev.SYN, evdev.DROPPED, 0) + typed("0001\n")
    assert read(reader, socket, lost) is None
    assert read(reader, socket, typed(code_id() + "\n")) == code_id().encode()
    reader.close()


def test_an_event_read_in_pieces_is_one_key(socket: Socket) -> None:
    reader, some = a_reader(socket), typed(code_id() + "\n")
    for start in range(0, len(some), 7):
        socket.feed(some[start : start + 7])
        reader.turn(0)
    socket.now += 2 * JOIN_S
    reader.turn(0)
    assert reader.take() == code_id().encode()
    reader.close()


def test_an_unplugged_scanner_is_trouble_once_and_comes_back_without_half_a_code(socket: Socket) -> None:
    with capture_logs() as logs:
        reader = a_reader(socket)
        read(reader, socket, press((42, 30))[:-48] + typed("MGY-PF"))
        socket.unplug()
        for _ in range(5):
            assert not reader.turn(0)
            socket.now += RETRY_S
        trouble = reader.trouble()
        assert trouble is not None
        socket.plug()
        socket.now += RETRY_S
        assert reader.turn(0)
        assert reader.trouble() is None
        assert read(reader, socket, typed(code_id().lower() + "\n")) == code_id().lower().encode()
        reader.close()
    assert (trouble.part, trouble.step) == ("scanner", Step.SCANNER_CABLE)
    assert "/dev/input/event7" in str(trouble)
    assert [line["event"] for line in logs] == [
        "scanner failed",
        "scanner recovered",
    ]


def test_a_missing_scanner_is_retried_once_a_second(socket: Socket) -> None:
    socket.unplug()
    reader = a_reader(socket)
    for _ in range(10):
        reader.turn(0)
    assert socket.opened == 1
    socket.now += RETRY_S
    reader.turn(0)
    assert socket.opened == 2


def test_a_scanner_this_account_may_not_read_says_so(socket: Socket) -> None:
    socket.refuse(PermissionError(13, "Permission denied"))
    trouble = a_reader(socket).trouble()
    assert trouble is not None
    assert trouble.step is Step.RIGHTS
    assert "dialout" in str(trouble)


def test_a_stuck_key_is_reported_until_it_ends(socket: Socket) -> None:
    reader = a_reader(socket)
    a_thousand = typed("7" * 100)
    for _ in range(ENDLESS_BYTES // 100 + 1):
        read(reader, socket, a_thousand)
    trouble = reader.trouble()
    assert trouble is not None
    assert "without an end" in str(trouble)
    read(reader, socket, typed("\n"))
    assert reader.trouble() is None
    reader.close()


def test_no_code_that_was_read_appears_in_the_log_or_the_trouble(socket: Socket) -> None:
    with capture_logs() as logs:
        reader = a_reader(socket)
        read(reader, socket, typed(code_id()))
        socket.unplug()
        reader.turn(0)
        said = repr((logs, reader.trouble(), reader._codes))
    assert code_id() not in said
    assert code_id()[-17:] not in said


class Line:
    """A serial scanner: a pseudo-terminal whose other end the gate opens."""

    def __init__(self) -> None:
        self.device, self._gates_end = pty.openpty()
        self.path = os.ttyname(self._gates_end)

    def send(self, some: bytes) -> None:
        os.write(self.device, some)

    def close(self) -> None:
        for fd in (self.device, self._gates_end):
            os.close(fd)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


@pytest.mark.parametrize("text", CARRIERS)
def test_a_serial_scanners_bytes_become_the_code_through_a_thread(line: Line, text: str) -> None:
    scanner = make_scanner("serial", device=line.path, prefix="#")
    try:
        assert scanner.trouble() is None
        line.send(b"#]Q1" + text.encode() + b"\r")
        assert awaited(scanner) == text.encode()
    finally:
        scanner.close()


def test_a_serial_scanner_is_read_raw_and_without_echo(line: Line) -> None:
    """A terminal's defaults would swallow Ctrl-C and Ctrl-S in a code, and wait for a newline."""
    kind = SerialDevice()
    fd = kind.open(Path(line.path))
    line.send(b"a\x03\x13\x04b")
    got = b""
    while len(got) < 5:
        try:
            got += os.read(fd, 64)
        except BlockingIOError:
            continue
    assert got == b"a\x03\x13\x04b"
    os.set_blocking(line.device, False)
    with pytest.raises(BlockingIOError):
        os.read(line.device, 1)
    os.close(fd)


def test_a_device_that_is_not_serial_is_refused_and_closed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    before = len(list(Path("/proc/self/fd").iterdir()))
    scanner = make_scanner("serial", device=str(tmp_path / "file"))
    assert scanner.trouble() is not None
    scanner.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_device_that_cannot_be_grabbed_is_not_read(tmp_path: Path) -> None:
    """Otherwise scanned codes would also be typed on the console."""
    (tmp_path / "file").write_bytes(typed("SECRET\n"))
    scanner = make_scanner("evdev", device=str(tmp_path / "file"))
    assert scanner.trouble() is not None
    assert scanner.read() is None
    scanner.close()


def test_a_defect_of_our_own_is_logged_and_the_thread_goes_on(socket: Socket) -> None:
    class Wrong(Plugged):
        tries = 0

        def feed(self, some: bytes, codes: ScannedCodes, now_s: float) -> None:
            self.tries += 1
            if self.tries == 1:
                raise ValueError("a mistake")
            super().feed(some, codes, now_s)

    # with a real clock, because a code is complete only after a pause
    reader = ScannerReader("event7", Wrong(socket), ScannedCodes())
    with capture_logs() as logs:
        scanner = HandScanner(reader)
        socket.feed(typed("LOST\n"))
        until(lambda: logs)
        socket.feed(typed(code_id() + "\n"))
        code = awaited(scanner)
        scanner.close()
    assert code == code_id().encode()
    assert logs[0]["event"].startswith("the scanner's thread failed")


def test_without_a_scanner_nothing_is_read_and_there_is_no_trouble() -> None:
    scanner = make_scanner("none")
    assert isinstance(scanner, NoScanner)
    assert (scanner.read(), scanner.trouble()) == (None, None)
    scanner.close()
