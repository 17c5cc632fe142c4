"""What waits for the loop of the claims: packets of doors, answers of the hub, changes of the connection."""

from __future__ import annotations

import queue
import sys
import threading
from collections import Counter
from typing import Protocol

import msgspec

from gate.hotline.messages import ToSync
from gate.rules.command import LONGEST_ENVELOPE
from sync.broker.mqtt import Message, MqttLink
from sync.wire.messages import SMALL_LIMIT

MOST_OF_HUB = 1_000
"""Messages of the hub that wait; more than it answers and asks while this loop stands for a moment."""
MOST_OF_DOORS = 1_000
LONGEST = max(SMALL_LIMIT, LONGEST_ENVELOPE)
"""Of a message of the hub, in bytes; one that is longer is refused, whatever it says."""


class DoorLine(Protocol):
    """One connection of a door."""

    def send(self, packet: bytes) -> bool:
        """Hand over a packet; False if nobody takes it. Does not wait."""

    def close(self) -> None:
        """End it; the other side sees that at once."""


class FromDoor(msgspec.Struct, frozen=True):
    """A packet of the door."""

    door: DoorLine
    message: ToSync


class FromHub(msgspec.Struct, frozen=True):
    """A message on one of `ClaimLoop.topics`."""

    link: MqttLink
    message: Message


class BrokerUp(msgspec.Struct, frozen=True):
    """There is a connection to the broker."""

    link: MqttLink


class BrokerDown(msgspec.Struct, frozen=True):
    """There is none."""


ClaimEvent = FromDoor | FromHub | BrokerUp | BrokerDown


class ClaimInbox:
    """What waits, in its order; put into from any thread. Of the hub, and of the doors, no more than a bound:
    what is beyond it is dropped, as on a line that fails. What became of the line is never dropped.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[ClaimEvent] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._counts: Counter[type[ClaimEvent]] = Counter()
        self._dropped = 0

    def put(self, event: ClaimEvent) -> None:
        """Does not wait."""
        with self._lock:
            if self._counts[type(event)] >= _MOST.get(type(event), sys.maxsize):
                self._dropped += 1
                return
            self._counts[type(event)] += 1
            self._waiting.put(_cut(event) if isinstance(event, FromHub) else event)

    def get(self, timeout: float) -> ClaimEvent:
        """The oldest; 0: without waiting for one. Raises `queue.Empty`."""
        event = self._waiting.get(timeout=timeout) if timeout else self._waiting.get_nowait()
        with self._lock:
            self._counts[type(event)] -= 1
        return event

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._waiting.empty()

    def take_dropped(self) -> int:
        """How many there was no room for since this was last called."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped


_MOST: dict[type[ClaimEvent], int] = {FromHub: MOST_OF_HUB, FromDoor: MOST_OF_DOORS}


def _cut(event: FromHub) -> FromHub:
    """As much of it as shows that it is too long."""
    message = event.message
    if len(message.payload) <= LONGEST:
        return event
    return FromHub(event.link, msgspec.structs.replace(message, payload=message.payload[: LONGEST + 1]))
