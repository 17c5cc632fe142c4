"""Who asks the hub over HTTP and is no gate costs a bounded number of connections, seconds, bytes and lines.

Real sockets, and a server that is configured like the real one; only where a test would have to wait are the
deadlines shorter. All of 127.0.0.0/8 is this machine: strangers come from addresses of their own in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs

from demo.servers import free_port
from hub.api import make_app, token_hashes
from hub.config import HubConfig, Web
from hub.lines import MOST, MOST_OF_GATE, MOST_OF_HOME, Lines
from hub.seldom import Seldom
from hub.strangers import GATE_PER_MINUTE, PAY_OR_SHOW_PER_MINUTE, READS_PER_MINUTE, Strangers
from hub.web import Connection, Deadlines, server_config
from tests.integration.hub.test_api import TOKEN, hashed
from tests.integration.hub.world import PATIENCE, World

STRANGER, GATE, OTHER, PROXY = "127.0.0.7", "127.0.0.8", "127.0.0.9", "127.0.0.1"
NEVER = Deadlines(head=9999, body=9999, answer=9999, next=9999, stall=9999)
CONFIG = "/api/gates/gate-1/config"


class Server:
    """A web server in a thread."""

    def __init__(
        self, app: Any, deadlines: Deadlines | None = None, lines: Lines[Connection] | None = None
    ) -> None:
        self.port = free_port()
        self.lines: Lines[Connection] = Lines() if lines is None else lines
        config = server_config(app, Web(port=self.port), Seldom(), self.lines, deadlines)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.005)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE)

    def connect(self, address: str, text: str | bytes = b"", buffer: int = 0) -> socket.socket:
        """From an address of this machine; says something at once."""
        line = socket.socket()
        line.settimeout(PATIENCE)
        if buffer:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        line.bind((address, 0))
        line.connect(("127.0.0.1", self.port))
        line.sendall(text.encode() if isinstance(text, str) else text)
        return line

    def ask(self, address: str, path: str, token: str = "", method: str = "GET", **headers: str) -> Answer:
        """A request on a connection of its own."""
        with self.connect(address, request(path, token, method, **headers)) as line:
            return read(line)


Answer = tuple[int, dict[str, str]]


def request(path: str, token: str = "", method: str = "GET", **headers: str) -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Authorization: Bearer {token}"] if token else []
    return "\r\n".join([*lines, "", ""])


def read(line: socket.socket) -> Answer:
    """Status and headers of an answer, all of which is read."""
    text = b""
    while b"\r\n\r\n" not in text:
        piece = line.recv(65536)
        if not piece:
            raise ConnectionError("no answer")
        text += piece
    head, _, body = text.partition(b"\r\n\r\n")
    first, *others = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (other.partition(": ") for other in others)}
    while len(body) < int(headers.get("content-length", 0)):
        body += line.recv(65536)
    return int(first.split()[1]), headers


def is_ended(line: socket.socket) -> bool:
    """Wait until the server ends it."""
    try:
        while line.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def is_open(line: socket.socket) -> bool:
    """Whether a question on it is still answered."""
    try:
        line.sendall(request("/healthz").encode())
        return read(line)[0] == 200
    except ConnectionError:
        return False


@contextlib.contextmanager
def serving(
    app: Any, deadlines: Deadlines | None = None, lines: Lines[Connection] | None = None
) -> Iterator[Server]:
    with contextlib.closing(Server(app, deadlines, lines)) as made:
        yield made


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
    """Whose every deadline is short."""
    with serving(
        plain, Deadlines(head=0.3, body=0.3, answer=0.6, next=0.3, stall=0.3, request_bytes=200_000)
    ) as made:
        yield made


@pytest.mark.parametrize("how", SLOW)
def test_a_slow_sender_is_ended_however_little_it_sends_now_and_then(hasty: Server, how: str) -> None:
    first, then = SLOW[how]
    with hasty.connect(STRANGER, first) as line:
        ended = threading.Thread(target=is_ended, args=(line,), daemon=True)
        ended.start()
        while ended.is_alive():
            ended.join(0.02)
            with contextlib.suppress(ConnectionError):
                line.sendall(then.encode())


def test_a_reader_who_reads_nothing_is_ended(hasty: Server) -> None:
    with hasty.connect(STRANGER, request("/long"), buffer=4096) as line:
        gone(hasty, 1)
        assert is_ended(line)


def test_a_reader_who_reads_little_now_and_then_is_ended(hasty: Server) -> None:
    """What the system still holds for it, it may have."""
    with hasty.connect(STRANGER, request("/long"), buffer=4096) as line, contextlib.suppress(ConnectionError):
        assert line.recv(100)
        while len(hasty.lines):
            line.recv(100)
            time.sleep(0.005)


def test_an_answer_that_nobody_takes_is_not_kept_after_the_connections_end(hasty: Server) -> None:
    asked = request("/long") + request("/") * 50
    with hasty.connect(STRANGER, asked, buffer=4096):
        gone(hasty, 1)


def gone(server: Server, most: int) -> None:
    """Wait until it came and went."""
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
def test_a_request_has_a_largest_size(hasty: Server, asked: str) -> None:
    with hasty.connect(STRANGER) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(asked.encode())
        assert is_ended(line)


# --- connections ---


def test_of_one_address_the_oldest_silent_connection_gives_way() -> None:
    with serving(plain, NEVER) as server, contextlib.ExitStack() as stack:
        lines = [stack.enter_context(server.connect(STRANGER)) for _ in range(MOST_OF_HOME)]
        assert server.ask(STRANGER, "/")[0] == 200
        assert is_ended(lines[0])
        assert is_open(lines[1])
        assert server.ask(OTHER, "/")[0] == 200


def test_strangers_never_cost_a_gate_the_connection_it_has_nor_keep_it_from_another(
    config: HubConfig, world: World
) -> None:
    world.gate("gate-1", hashed(TOKEN), world.event())
    with guarded(config, NEVER, Lines(most=40, most_of_home=20)) as server, contextlib.ExitStack() as stack:
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
        "hub.cli",
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


# --- requests ---


@contextlib.contextmanager
def guarded(
    config: HubConfig,
    deadlines: Deadlines | None = None,
    lines: Lines[Connection] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Server]:
    """The hub's own application, as `maguey-hub web` serves it."""
    inner = make_app(config)
    with serving(Strangers(inner, lambda: token_hashes(inner), clock), deadlines, lines) as made:
        yield made


@pytest.fixture
def hub(config: HubConfig, world: World) -> Iterator[Server]:
    world.gate("gate-1", hashed(TOKEN), world.event())
    with guarded(config) as made:
        yield made


def statuses(answers: Sequence[Answer]) -> dict[int, int]:
    return dict(Counter(status for status, _ in answers))


def test_650_wrong_tokens_are_refused_by_the_minute_and_the_gate_behind_the_same_address_is_not(
    hub: Server,
) -> None:
    with capture_logs() as logged:
        answers = [hub.ask(STRANGER, CONFIG, f"wrong-{number}") for number in range(650)]
        assert statuses(answers) == {401: PAY_OR_SHOW_PER_MINUTE, 429: 650 - PAY_OR_SHOW_PER_MINUTE}
        assert 0 < int(answers[-1][1]["retry-after"]) <= 60
        assert answers[-1][1]["content-type"] == "application/problem+json"
        for _ in range(2 * PAY_OR_SHOW_PER_MINUTE):
            assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 200
        assert hub.ask(OTHER, CONFIG, "wrong")[0] == 401
    assert len(logged) < 5


def test_a_right_token_never_counts(hub: Server) -> None:
    for _ in range(3 * PAY_OR_SHOW_PER_MINUTE):
        assert hub.ask(GATE, CONFIG, TOKEN)[0] == 200
    assert hub.ask(GATE, CONFIG, "wrong")[0] == 401


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (CONFIG, "GET"),
        ("/api/gates/nobody/config", "GET"),
        ("/api/gates/gate-1/no-such-thing", "GET"),
        ("/api/gates/", "GET"),
        ("/api/gates/enroll", "POST"),
        ("/api/orders/create-checkout", "POST"),
    ],
)
def test_whatever_shows_or_pays_and_is_refused_counts(hub: Server, path: str, method: str) -> None:
    asked = [hub.ask(STRANGER, path, method=method)[0] for _ in range(PAY_OR_SHOW_PER_MINUTE + 3)]
    assert 429 not in asked[:PAY_OR_SHOW_PER_MINUTE]
    assert asked[PAY_OR_SHOW_PER_MINUTE:] == [429] * 3


def test_strangers_read_200_times_a_minute(hub: Server) -> None:
    with hub.connect(STRANGER) as line:
        for number in range(READS_PER_MINUTE):
            line.sendall(request(("/healthz", "/schema/openapi.json", "/no/such")[number % 3]).encode())
            assert read(line)[0] in (200, 404)
        line.sendall(request("/healthz").encode())
        assert read(line)[0] == 429
        assert is_ended(line)
    assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 200
    assert hub.ask(OTHER, "/healthz")[0] == 200


def test_webhooks_are_not_counted(hub: Server) -> None:
    for _ in range(PAY_OR_SHOW_PER_MINUTE + 5):
        assert hub.ask(STRANGER, "/api/webhooks/stripe", method="POST")[0] == 404
    assert hub.ask(STRANGER, CONFIG, "wrong")[0] == 401


def test_a_minute_later_a_stranger_may_ask_again(config: HubConfig, world: World) -> None:
    world.gate("gate-1", hashed(TOKEN), world.event())
    now = [0.0]
    with guarded(config, clock=lambda: now[0]) as hub:
        for _ in range(PAY_OR_SHOW_PER_MINUTE):
            assert hub.ask(STRANGER, CONFIG, "wrong")[0] == 401
        status, headers = hub.ask(STRANGER, CONFIG, "wrong")
        assert (status, headers["retry-after"]) == (429, "60")
        now[0] += 60
        assert hub.ask(STRANGER, CONFIG, "wrong")[0] == 401


def test_a_gate_that_asks_without_an_end_is_refused_alone(config: HubConfig, world: World) -> None:
    event = world.event()
    world.gate("gate-1", hashed(TOKEN), event)
    world.gate("gate-2", hashed("other"), event)
    with guarded(config, clock=lambda: 0.0) as hub, hub.connect(GATE) as line:
        for _ in range(GATE_PER_MINUTE):
            line.sendall(request(CONFIG, TOKEN).encode())
            assert read(line)[0] == 200
        line.sendall(request(CONFIG, TOKEN).encode())
        status, headers = read(line)
        assert (status, headers["retry-after"]) == (429, "60")
        assert hub.ask(GATE, "/api/gates/gate-2/config", "other")[0] == 200


def test_a_gate_that_was_revoked_behind_a_used_up_address_is_a_stranger(
    config: HubConfig, world: World
) -> None:
    world.gate("gate-1", hashed(TOKEN), world.event())
    now = [0.0]
    with guarded(config, clock=lambda: now[0]) as hub:
        for _ in range(PAY_OR_SHOW_PER_MINUTE):
            hub.ask(STRANGER, CONFIG, "wrong")
        assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 200
        world.run("UPDATE gates SET status = 'revoked', revoked_at = now() WHERE gate_id = 'gate-1'")
        assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 403
        now[0] += 6
        assert hub.ask(STRANGER, CONFIG, TOKEN)[0] == 429


def test_whose_request_a_proxy_hands_on_counts_and_nobody_else_is_believed(hub: Server) -> None:
    def ask(address: str, says: str) -> int:
        return hub.ask(address, CONFIG, "wrong", **{"X-Forwarded-For": says})[0]

    for _ in range(PAY_OR_SHOW_PER_MINUTE):
        assert ask(PROXY, "203.0.113.9") == 401
    assert ask(PROXY, "203.0.113.9") == 429
    assert ask(PROXY, "made up, 203.0.113.9") == 429
    assert ask(PROXY, "203.0.113.10") == 401
    for number in range(PAY_OR_SHOW_PER_MINUTE):
        assert ask(STRANGER, f"203.0.113.{number}") == 401
    assert ask(STRANGER, "203.0.113.99") == 429


def test_while_postgres_is_away_a_gate_is_told_so_and_its_requests_do_not_count(config: HubConfig) -> None:
    import msgspec

    away = msgspec.structs.replace(config.postgres, dsn="host=127.0.0.1 port=1 dbname=none user=x")
    inner = make_app(msgspec.structs.replace(config, postgres=away))
    inner.state.pool.timeout = 0.05
    with capture_logs() as logged, serving(Strangers(inner, lambda: token_hashes(inner))) as hub:
        assert {hub.ask(GATE, CONFIG, TOKEN)[0] for _ in range(PAY_OR_SHOW_PER_MINUTE + 5)} == {503}
    assert [line["event"] for line in logged].count("no answer from Postgres") == 1


@pytest.mark.parametrize(
    "text", [b"\x00\xff" * 50, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_what_is_no_http_costs_one_log_line_a_minute(hub: Server, text: bytes) -> None:
    with capture_logs() as logged:
        for _ in range(50):
            with hub.connect(STRANGER, text) as line, contextlib.suppress(ConnectionError):
                line.shutdown(socket.SHUT_WR)
                is_ended(line)
    assert len(logged) <= 2, json.dumps([str(line) for line in logged])
