"""A gate's MQTT 5 client down at the bytes: sends as fast as a socket takes it, which no library does."""

from __future__ import annotations

import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from tests.patience import PATIENCE_S

_CONNECT, _PINGREQ, _PINGRESP = 0x10, b"\xc0\0", b"\xd0\0"
AT_A_TIME = 500
"""Messages in one piece."""


def _length(number: int) -> bytes:
    """A variable byte integer (MQTT 5, 1.5.5)."""
    made = b""
    while True:
        number, low = divmod(number, 128)
        made += bytes([low | (128 if number else 0)])
        if not number:
            return made


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text.encode())) + text.encode()


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _length(len(body)) + body


def _publish(topic: str, payload: bytes, qos: int, mid: int) -> bytes:
    number = struct.pack("!H", mid) if qos else b""
    return _packet(0x30 | qos << 1, _text(topic) + number + b"\0" + payload)


class RawGate:
    """Connected as `gate_id`; hears nothing but acknowledgements. `sent`: messages so far.

    A socket with TLS is used by one thread at a time.
    """

    def __init__(self, port: int, gate_id: str, tls: ssl.SSLContext) -> None:
        self.sent = 0
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self._socket = tls.wrap_socket(plain, server_hostname="127.0.0.1")
        hello = _text("MQTT") + bytes([5, 2]) + struct.pack("!H", 60) + b"\0" + _text(gate_id)
        self._socket.sendall(_packet(_CONNECT, hello))
        self._over = threading.Event()
        self._flood: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()
        self._socket.close()

    def send(self, topics: Sequence[str], qos: int, count: int, payload: bytes = b"x") -> None:
        """Send so many messages, to each topic in turn; return when the broker has taken the last of them."""
        while count > 0:
            self._piece(topics, qos, min(count, AT_A_TIME), payload)
            count -= AT_A_TIME

    def flood(self, topics: Sequence[str], qos: int, payload: bytes = b"x") -> None:
        """Send without end, in a thread, until `stop`; as fast as the broker takes it, piece by piece."""

        def go_on() -> None:
            while not self._over.is_set():
                self._piece(topics, qos, AT_A_TIME, payload)

        self._flood = threading.Thread(target=go_on)
        self._flood.start()

    def stop(self) -> None:
        """End the flood."""
        self._over.set()
        if self._flood is not None:
            self._flood.join(PATIENCE_S)

    def meanwhile(self, act: Callable[[], object]) -> int:
        """How many were sent while this was done."""
        before = self.sent
        act()
        return self.sent - before

    def _piece(self, topics: Sequence[str], qos: int, count: int, payload: bytes) -> None:
        """Ends with a ping, whose answer says that all was taken. No acknowledgement has its bytes."""
        turns = zip(range(1, count + 1), itertools.cycle(topics), strict=False)
        messages = b"".join(_publish(topic, payload, qos, mid) for mid, topic in turns)
        self._socket.sendall(messages + _PINGREQ)
        held = b""
        while _PINGRESP not in held:
            piece = self._socket.recv(1 << 16)
            assert piece, "the broker ended the connection"
            held = held[-1:] + piece
        self.sent += count
