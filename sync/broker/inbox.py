"""What waits for sync's loop: this gate's own events in order, and a queue for each of the other gates.

Putting never blocks: the caller may be the thread that keeps the connection to the broker alive. So a full
queue drops what arrives, of that gate alone. The other gates' messages are taken in fair turns, as many as
the loop can handle between two beats; those of one gate stay in order.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from sync.broker.mqtt import Message, MqttLink

Own = TypeVar("Own")
"""An event of this gate's own: see `sync.service.SyncEvent`."""

OWN_MESSAGES = 10_000
OWN_BYTES = 32 * 1024 * 1024
"""For the hub's messages; more than arrive while the largest night is written."""
MOST_GATES = 64
"""More than any venue has; further ones are ignored."""
MESSAGES = 2_000
BYTES = 4 * 1024 * 1024
"""For one gate: a backlog of 5,000 scans, should the cache be blocked when it arrives."""
ALL_BYTES = 24 * 1024 * 1024
"""For all gates together; beyond it none may have more than an equal share."""
LONGEST = 256 * 1024
"""Longest message of another gate that is read, as `sync.wire.scans.MESSAGE_LIMIT`."""
COST = 400
"""Memory a waiting message takes beside its payload, in bytes."""
PIECE = 64
PIECE_BYTES = 512 * 1024
"""Most of the other gates' messages taken at once: some ten milliseconds of work on the slowest machine."""


class PeerMessage(msgspec.Struct, frozen=True):
    """A message of another gate."""

    gate_id: str
    link: MqttLink
    message: Message


class Arrivals(msgspec.Struct):
    """What one gate sent since the last call, kept or dropped."""

    messages: int = 0
    bytes: int = 0
    dropped: int = 0


class _Lane(msgspec.Struct):
    waiting: deque[PeerMessage]
    bytes: int = 0

    def add(self, heard: PeerMessage) -> None:
        self.waiting.append(heard)
        self.bytes += _size(heard.message)

    def pop(self) -> PeerMessage:
        heard = self.waiting.popleft()
        self.bytes -= _size(heard.message)
        return heard


class Inbox(Generic[Own]):
    """Any thread may put; one takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._own: deque[tuple[MqttLink | None, Own]] = deque()
        self._own_messages = self._own_bytes = 0
        self._lanes: dict[str, _Lane] = {}
        self._bytes = 0
        self._arrived: dict[str, Arrivals] = {}
        self._ignored: frozenset[str] = frozenset()
        self._lost = 0

    def put(self, item: tuple[MqttLink | None, Own]) -> None:
        """Add an event of the connection, the hub or the door, with the link it came on."""
        event = item[1]
        with self._lock:
            if isinstance(event, Message):
                if self._own_messages >= OWN_MESSAGES or self._own_bytes >= OWN_BYTES:
                    self._lost += 1
                    return
                self._own_messages += 1
                self._own_bytes += _size(event)
            self._own.append(item)
        self._news.set()

    def put_heard(self, heard: PeerMessage) -> None:
        """Add a message of another gate; dropped if too much of that gate is waiting."""
        gate_id, size = heard.gate_id, _size(heard.message)
        with self._lock:
            if gate_id in self._ignored or not self._knows(gate_id):
                return
            arrived, lane = self._arrived[gate_id], self._lanes[gate_id]
            arrived.messages += 1
            arrived.bytes += size
            if self._is_full(lane, size):
                arrived.dropped += 1
                return
            lane.add(heard)
            self._bytes += size
        self._news.set()

    def ignore(self, gates: Iterable[str]) -> None:
        """From now on ignore these gates and no others; drop what waits of them."""
        with self._lock:
            self._ignored = frozenset(gates)
            for gate_id in self._ignored & self._lanes.keys():
                self._bytes -= self._lanes.pop(gate_id).bytes

    def wait(self, timeout: float) -> None:
        """Wait until there is something, or for `timeout` seconds."""
        self._news.wait(timeout)

    def empty(self) -> bool:
        """Whether nothing arrived since everything that could be taken was taken."""
        return not self._news.is_set()

    def get_nowait(self) -> tuple[MqttLink | None, Own]:
        """The oldest event of this gate's own. Raises `queue.Empty`."""
        with self._lock:
            if not self._own:
                raise queue.Empty
            item = self._own.popleft()
            if isinstance(item[1], Message):
                self._own_messages -= 1
                self._own_bytes -= _size(item[1])
            return item

    def take_heard(self, may: Callable[[PeerMessage], bool]) -> list[PeerMessage]:
        """Some of the other gates' messages, one of each gate in turn.

        :param may: whether a message may be taken now; if not, that gate's messages stay this time.
        """
        taken: list[PeerMessage] = []
        with self._lock:
            self._news.clear()
            ready, size = deque(gate_id for gate_id, lane in self._lanes.items() if lane.waiting), 0
            while ready and len(taken) < PIECE and size < PIECE_BYTES:
                gate_id = ready.popleft()
                lane = self._lanes[gate_id]
                if may(lane.waiting[0]):
                    self._lanes[gate_id] = self._lanes.pop(gate_id)  # to the end: it had its turn
                    taken.append(lane.pop())
                    size += _size(taken[-1].message)
                    if lane.waiting:
                        ready.append(gate_id)
            self._bytes -= size
            is_rest = bool(ready or self._own)
        if is_rest:
            self._news.set()
        return taken

    def take_arrived(self) -> dict[str, Arrivals]:
        """What each gate sent since this was last called."""
        with self._lock:
            arrived, self._arrived = self._arrived, {gate_id: Arrivals() for gate_id in self._lanes}
        return {gate_id: count for gate_id, count in arrived.items() if count.messages}

    def heard_of(self) -> frozenset[str]:
        """The other gates that sent something and are not ignored."""
        with self._lock:
            return frozenset(self._lanes)

    def take_lost(self) -> int:
        """How many of the hub's messages were dropped since this was last called."""
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def _knows(self, gate_id: str) -> bool:
        if gate_id not in self._lanes:
            if len(self._lanes) >= MOST_GATES:
                return False
            self._lanes[gate_id] = _Lane(waiting=deque())
        self._arrived.setdefault(gate_id, Arrivals())
        return True

    def _is_full(self, lane: _Lane, size: int) -> bool:
        if size > LONGEST or len(lane.waiting) >= MESSAGES or lane.bytes + size > BYTES:
            return True
        return self._bytes + size > ALL_BYTES and lane.bytes + size > ALL_BYTES // len(self._lanes)


def _size(message: Message) -> int:
    return len(message.payload) + COST
