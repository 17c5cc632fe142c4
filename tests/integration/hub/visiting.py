"""A web server as `maguey-hub web` runs it, in a thread, and clients from addresses of their own.

All of 127.0.0.0/8 is this machine.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from demo.servers import free_port
from gate.common.seldom import Seldom
from hub.config import HubConfig, Web
from hub.web.api import make_app, token_hashes
from hub.web.connection_slots import ConnectionSlots
from hub.web.request_limits import RequestLimits
from hub.web.server import Deadlines, HttpConnection, server_config
from tests.integration.hub.world import PATIENCE

STRANGER, GATE, OTHER, PROXY = "127.0.0.7", "127.0.0.8", "127.0.0.9", "127.0.0.1"
NEVER = Deadlines(head=9999, body=9999, answer=9999, next=9999, stall=9999)
CONFIG = "/api/gates/gate-1/config"


class Server:
    """A web server in a thread."""

    def __init__(
        self,
        app: Any,
        deadlines: Deadlines | None = None,
        lines: ConnectionSlots[HttpConnection] | None = None,
    ) -> None:
        self.port = free_port()
        self.lines: ConnectionSlots[HttpConnection] = ConnectionSlots() if lines is None else lines
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
        """Connect from an address of this machine, and send this text at once."""
        line = socket.socket()
        line.settimeout(PATIENCE)
        if buffer:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        line.bind((address, 0))
        line.connect(("127.0.0.1", self.port))
        line.sendall(text.encode() if isinstance(text, str) else text)
        return line

    def ask(self, address: str, path: str, token: str = "", method: str = "GET", **headers: str) -> Answer:
        """Send a request on a connection of its own."""
        with self.connect(address, request(path, token, method, **headers)) as line:
            return read(line)


Answer = tuple[int, dict[str, str]]


def request(path: str, token: str = "", method: str = "GET", **headers: str) -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Authorization: Bearer {token}"] if token else []
    return "\r\n".join([*lines, "", ""])


def read(line: socket.socket) -> Answer:
    """Read the whole answer; return its status and headers."""
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
    """Wait until the server ends the connection."""
    try:
        while line.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


def is_open(line: socket.socket) -> bool:
    """Whether a request on it is still answered."""
    try:
        line.sendall(request("/healthz").encode())
        return read(line)[0] == 200
    except ConnectionError:
        return False


@contextlib.contextmanager
def serving(
    app: Any, deadlines: Deadlines | None = None, lines: ConnectionSlots[HttpConnection] | None = None
) -> Iterator[Server]:
    with contextlib.closing(Server(app, deadlines, lines)) as made:
        yield made


@contextlib.contextmanager
def guarded(
    config: HubConfig,
    deadlines: Deadlines | None = None,
    lines: ConnectionSlots[HttpConnection] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Server]:
    """The hub's own application, as `maguey-hub web` serves it."""
    inner = make_app(config)
    with serving(RequestLimits(inner, lambda: token_hashes(inner), clock), deadlines, lines) as made:
        yield made
