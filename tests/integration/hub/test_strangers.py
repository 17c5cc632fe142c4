"""A stranger who asks the hub over HTTP costs a bounded number of connections, seconds, bytes and lines.

Real sockets, and a server configured like the real one; its deadlines are shorter only where a test would
have to wait. `test_stranger_requests` tests how many requests somebody has.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from demo.servers import free_port
from hub.config import HubConfig
from hub.web.connection_slots import MOST, MOST_OF_ADDRESS, MOST_OF_GATE, ConnectionSlots
from hub.web.server import Deadlines
from tests.integration.hub.test_api import TOKEN, hashed
from tests.integration.hub.visiting import (
    CONFIG,
    GATE,
    NEVER,
    OTHER,
    PROXY,
    STRANGER,
    Server,
    guarded,
    is_ended,
    is_open,
    read,
    request,
    serving,
)
from tests.integration.hub.world import PATIENCE, World


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Answers /long with 64 MB, /told once it has the whole body, and the rest at once."""
    if scope["type"] != "http":
        return
    size = 64_000_000 if scope["path"] == "/long" else 0
    if scope["path"] == "/told":
        while (await receive()).get("more_body"):
            pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    for _ in range(size // 64_000):
        await send({"type": "http.response.body", "body": bytes(64_000), "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


# --- seconds and bytes ---

POST = "POST /told HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = "POST /told HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW: dict[str, tuple[str, str]] = {
    "says nothing": ("", ""),
    "half a head": ("GET / HTTP/1.1\r\nX: y\r\n", ""),
    "drips a head": ("GET / HTTP/1.1\r\n", "X: y\r\n"),
    "half a body": (POST, ""),
    "drips a body": (POST, "x"),
    "drips chunks": (CHUNKED, "1\r\nx\r\n"),
    "half a head after an answer": ("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", ""),
    "drips a head after an answer": ("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n", "X: y\r\n"),
    "drips a body that was answered": (POST.replace("/told", "/"), "x"),
}


@pytest.fixture(scope="module")
def hasty() -> Iterator[Server]:
    """A server whose every deadline is short."""
    with serving(
        plain, Deadlines(head=0.3, body=0.3, answer=0.6, next=0.3, stall=0.3, request_bytes=200_000)
    ) as made:
        yield made


@pytest.mark.parametrize("how", SLOW)
def test_a_slow_sender_is_cut_off_even_if_it_sends_a_little_now_and_then(hasty: Server, how: str) -> None:
    first, then = SLOW[how]
    with hasty.connect(STRANGER, first) as line, ThreadPoolExecutor(1) as reader:
        ended = reader.submit(is_ended, line)
        while not wait([ended], 0.02).done:
            with contextlib.suppress(ConnectionError):
                line.sendall(then.encode())
        assert ended.result()


def test_a_client_that_reads_nothing_is_cut_off(hasty: Server) -> None:
    with hasty.connect(STRANGER, request("/long"), buffer=4096) as line:
        gone(hasty, 1)
        assert is_ended(line)


def test_a_client_that_reads_a_little_now_and_then_is_cut_off(hasty: Server) -> None:
    """It still gets what the system has buffered for it."""
    with hasty.connect(STRANGER, request("/long"), buffer=4096) as line, contextlib.suppress(ConnectionError):
        assert line.recv(100)
        while len(hasty.lines):
            line.recv(100)
            time.sleep(0.005)


def test_an_answer_nobody_reads_is_not_kept_after_the_connection_ends(hasty: Server) -> None:
    asked = request("/long") + request("/") * 50
    with hasty.connect(STRANGER, asked, buffer=4096):
        gone(hasty, 1)


def gone(server: Server, most: int) -> None:
    """Wait until so many connections came and all are gone."""
    was_there = False
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        was_there = was_there or len(server.lines) >= most
        if was_there and not len(server.lines):
            return
        time.sleep(0.005)
    raise AssertionError(f"{len(server.lines)} connections stay")


@pytest.mark.parametrize(
    "asked",
    [
        "GET / HTTP/1.1\r\nX: " + "x" * 100_000,
        "GET /" + "x" * 100_000,
        CHUNKED + "40000\r\n" + "x" * 0x40000 + "\r\n",
        POST.replace("100000", "99999999") + "x" * 250_000,
        POST.replace("/told", "/").replace("100000", "99999999") + "x" * 250_000,
    ],
    ids=lambda asked: asked[:30],
)
def test_a_request_has_a_maximum_size(hasty: Server, asked: str) -> None:
    with hasty.connect(STRANGER) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(asked.encode())
        assert is_ended(line)


WORDS = [
    b"GET / HTTP/1.1\r\n", b"POST /told HTTP/1.1\r\n", b"HEAD /long HTTP/1.0\r\n", b"OPTIONS * HTTP/1.1\r\n",
    b"Host: x\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Connection: close\r\n",
    b"X-Forwarded-For: \xff,,[::1\r\n", b"\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffffffffffffff\r\n",
    b"\x00", b"GET /%00%ff?\xc3 HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01",
]  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.lists(st.sampled_from(WORDS) | st.binary(max_size=8), max_size=12), ends=st.booleans())
def test_whatever_a_client_sends_the_connection_ends_and_the_server_goes_on(
    hasty: Server, said: list[bytes], ends: bool
) -> None:
    with capture_logs() as logged, hasty.connect(PROXY) as line, contextlib.suppress(OSError):
        for part in said:
            line.sendall(part)
        if ends:
            line.shutdown(socket.SHUT_WR)
        is_ended(line)
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    assert hasty.ask(OTHER, "/")[0] == 200


# --- connections ---


def test_the_oldest_silent_connection_of_an_address_gives_way() -> None:
    with serving(plain, NEVER) as server, contextlib.ExitStack() as stack:
        lines = [stack.enter_context(server.connect(STRANGER)) for _ in range(MOST_OF_ADDRESS)]
        assert server.ask(STRANGER, "/")[0] == 200
        assert is_ended(lines[0])
        assert is_open(lines[1])
        assert server.ask(OTHER, "/")[0] == 200


def test_strangers_cost_a_gate_neither_its_connection_nor_another_one(
    config: HubConfig, world: World
) -> None:
    world.gate("gate-1", hashed(TOKEN), world.event())
    with (
        guarded(config, NEVER, ConnectionSlots(most=40, most_of_address=20)) as server,
        contextlib.ExitStack() as stack,
    ):
        gate = stack.enter_context(server.connect(STRANGER, request(CONFIG, TOKEN)))
        assert read(gate)[0] == 200
        for number in range(120):
            stack.enter_context(server.connect(f"127.0.1.{number % 4}", "GET / HTTP/1.1\r\n"))
            stack.enter_context(server.connect(STRANGER, "GET / HTTP/1.1\r\n"))
        assert server.ask(STRANGER, CONFIG, TOKEN)[0] == 200
        assert len(server.lines) <= 40
        gate.sendall(request(CONFIG, TOKEN).encode())
        assert read(gate)[0] == 200


def test_a_gates_own_connections_are_bounded_and_cost_no_other_gate_one(
    config: HubConfig, world: World
) -> None:
    event = world.event()
    world.gate("gate-1", hashed(TOKEN), event)
    world.gate("gate-2", hashed("other"), event)
    with guarded(config, NEVER) as server, contextlib.ExitStack() as stack:
        other = stack.enter_context(server.connect(GATE, request("/api/gates/gate-2/config", "other")))
        assert read(other)[0] == 200
        lines = []
        for _ in range(MOST_OF_GATE + 1):
            lines.append(stack.enter_context(server.connect(GATE, request(CONFIG, TOKEN))))
            assert read(lines[-1])[0] == 200
        assert is_ended(lines[0])
        assert is_open(lines[1])
        assert is_open(other)


def test_1100_half_sent_requests_silence_nobody_and_fill_no_log(config_file: Path, world: World) -> None:
    """The real program, with the usual limit of open files."""
    world.gate("gate-1", hashed(TOKEN), world.event())
    port = free_port()
    config_file.write_text(f"{config_file.read_text()}[web]\nport = {port}\n")
    log = config_file.with_name("web.log")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    command = [
        "prlimit",
        "--nofile=1024:1024",
        sys.executable,
        "-m",
        "hub.cli.main",
        "web",
        "--config",
        str(config_file),
    ]
    try:
        with (
            log.open("wb") as out,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True) as web,
            contextlib.ExitStack() as stack,
        ):
            stack.callback(web.terminate)
            assert web.stdout is not None
            assert web.stdout.readline() == f"listening on http://127.0.0.1:{port}\n"
            server = Server.__new__(Server)
            server.port = port
            before = peak_kb(web.pid)
            half = "GET /healthz HTTP/1.1\r\nX:"
            from_where = [PROXY if number % 2 else f"127.0.0.{2 + number % 100}" for number in range(1100)]
            with futures.ThreadPoolExecutor(50) as crowd:
                for line in crowd.map(server.connect, from_where, [half] * 1100):
                    stack.enter_context(line)
            files = len(list(Path(f"/proc/{web.pid}/fd").iterdir()))
            for address in (PROXY, OTHER):
                assert server.ask(address, "/healthz")[0] == 200
                assert server.ask(address, CONFIG, TOKEN)[0] == 200
            assert files < 1024
            assert peak_kb(web.pid) - before < 60_000
            assert len(list(Path(f"/proc/{web.pid}/fd").iterdir())) < MOST + 64
        assert log.stat().st_size < 10_000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def peak_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])
