"""What is sent to systemd, over real datagram sockets."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gate.common.systemd import Notifier, watchdog_ms
from tests.patience import PATIENCE_S

ABSTRACT = "@maguey-" + uuid.uuid4().hex


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A socket like systemd's, and the address NOTIFY_SOCKET gives for it."""
    address = str(tmp_path / "notify") if request.param == "path" else ABSTRACT
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address if request.param == "path" else "\0" + address[1:])
        listening.settimeout(PATIENCE_S)
        yield address, listening


def test_every_message_is_one_datagram(manager: tuple[str, socket.socket]) -> None:
    address, listening = manager
    notifier = Notifier(address)
    assert all((notifier.ready(), notifier.status("two\nlines"), notifier.watchdog(), notifier.stopping()))
    told = [listening.recv(4096) for _ in range(4)]
    assert told == [b"READY=1", b"STATUS=two lines", b"WATCHDOG=1", b"STOPPING=1"]
    notifier.close()


def test_without_notify_socket_nothing_is_sent_and_nothing_is_logged() -> None:
    with capture_logs() as log:
        assert Notifier("").ready()
    assert log == []


def test_a_manager_that_is_gone_loses_the_message_and_is_logged_once(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    with capture_logs() as log:
        assert [notifier.ready(), notifier.watchdog(), notifier.watchdog()] == [False] * 3
    assert len(log) == 1
    notifier.close()


@pytest.mark.parametrize("address", ["vsock:2:1", "a\0b", "x" * 200, "/"])
def test_an_invalid_notify_address_raises_no_error(address: str) -> None:
    notifier = Notifier(address)
    assert not notifier.ready()
    notifier.close()


def test_a_manager_that_reads_nothing_never_blocks_the_service(manager: tuple[str, socket.socket]) -> None:
    address, _ = manager
    notifier = Notifier(address)
    told = [notifier.watchdog() for _ in range(10_000)]  # more than any socket takes unread
    assert not told[-1]
    notifier.close()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "12000000"}, 12_000),
        ({"WATCHDOG_USEC": "12000000", "WATCHDOG_PID": "42"}, 12_000),
        ({"WATCHDOG_USEC": "12000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "10"}, 1),
    ],
)
def test_the_watchdog_time_is_read_as_sd_watchdog_enabled_reads_it(
    environ: dict[str, str], expected: int | None
) -> None:
    assert watchdog_ms(environ, 42) == expected
