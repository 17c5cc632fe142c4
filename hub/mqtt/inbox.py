"""Messages from the broker, handed out gate by gate in turn (protocol 4.5).

A gate that floods fills its own place here and nobody else's. What exceeds that is dropped, and acknowledged
to the broker at once. Nothing is lost: a gate sends again what the hub itself has not acknowledged.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque

import msgspec


class Delivery(msgspec.Struct, frozen=True):
    """An unacknowledged message. `connection`: the connection that gave it its `mid`. `retained`: the broker
    had it before this connection, nobody knows for how long. `at_us`: when it came by the hub's clock, in
    microseconds since 1970; 0 if unknown."""

    topic: str
    payload: bytes
    mid: int
    connection: int
    retained: bool = False
    at_us: int = 0


HELD_MESSAGES = 10_000
"""Messages of one gate that may wait here. More than the broker keeps (config/mosquitto), because Mosquitto
2.0.11 sends more than the hub's RECEIVE_MAXIMUM once some were acknowledged."""
HELD_BYTES = 48 * 1024 * 1024
"""And their bytes; 1,000 batches take 40 MiB. A single message may be larger if nothing else waits."""


class FairInbox:
    """As `queue.SimpleQueue`, but bounded for each sender, and senders take turns; oldest first of each.

    Filled from one thread, emptied from another. `cut_off`: gates that are not subscribed to for now, because
    they flooded; set by the thread that fills it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._filled = threading.Event()
        self._waiting: dict[str, deque[Delivery]] = {}
        self._bytes: dict[str, int] = {}
        self._turns: deque[str] = deque()
        self.cut_off: frozenset[str] = frozenset()

    def put(self, message: Delivery) -> bool:
        """Queue a message; False if too much of its sender waits already."""
        sender = _sender(message)
        with self._lock:
            waiting = self._waiting.get(sender)
            held = self._bytes.get(sender, 0)
            if waiting is None:
                waiting = self._waiting[sender] = deque()
                self._turns.append(sender)
            elif len(waiting) >= HELD_MESSAGES or held + len(message.payload) > HELD_BYTES:
                return False
            waiting.append(message)
            self._bytes[sender] = held + len(message.payload)
        self._filled.set()
        return True

    def get(self, timeout: float) -> Delivery:
        """The next message. Raises `queue.Empty` if none comes for `timeout` seconds."""
        until = time.monotonic() + timeout
        while True:
            self._filled.clear()
            try:
                return self.get_nowait()
            except queue.Empty:
                if not self._filled.wait(max(0.0, until - time.monotonic())):
                    raise

    def get_nowait(self) -> Delivery:
        """The next message. Raises `queue.Empty` if there is none."""
        with self._lock:
            if not self._turns:
                raise queue.Empty
            sender = self._turns.popleft()
            waiting = self._waiting[sender]
            message = waiting.popleft()
            if waiting:
                self._bytes[sender] -= len(message.payload)
                self._turns.append(sender)
            else:
                del self._waiting[sender], self._bytes[sender]
            return message


def _sender(message: Delivery) -> str:
    """The only one that may write there: the topic without its last level (protocol 4.2)."""
    return message.topic.rpartition("/")[0]
