"""The claim loop's inbox: packets of doors, answers of the hub, changes of the connection."""

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
"""Most waiting messages of the hub; more than it sends while the claim loop is busy for a moment."""
MOST_OF_DOORS = 1_000
LONGEST = max(SMALL_LIMIT, LONGEST_ENVELOPE)
"""Longest message of the hub, in bytes; a longer one is refused."""


class DoorLine(Protocol):
    """One connection of a door."""

    def send(self, packet: bytes) -> bool:
        """Send a packet; False if nobody receives it. Does not wait."""

    def close(self) -> None:
        """Close it; the door sees that at once."""


class FromDoor(msgspec.Struct, frozen=True):
    """A packet from a door."""

    door: DoorLine
    message: ToSync


class FromHub(msgspec.Struct, frozen=True):
    """A message on one of `ClaimLoop.topics`."""

    link: MqttLink
    message: Message


class BrokerUp(msgspec.Struct, frozen=True):
    """The broker is connected."""

    link: MqttLink


class BrokerDown(msgspec.Struct, frozen=True):
    """The broker is not connected."""


ClaimEvent = FromDoor | FromHub | BrokerUp | BrokerDown


class ClaimInbox:
    """Events in order; any thread may put.

    Beyond a bound, messages of the hub or of doors are dropped, as on a failing line. Changes of the
    connection are never dropped.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[ClaimEvent] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._counts: Counter[type[ClaimEvent]] = Counter()
        self._dropped = 0

    def put(self, event: ClaimEvent) -> None:
        """Add an event, or drop it. Does not wait."""
        with self._lock:
            if self._counts[type(event)] >= _MOST.get(type(event), sys.maxsize):
                self._dropped += 1
                return
            self._counts[type(event)] += 1
            self._waiting.put(_cut(event) if isinstance(event, FromHub) else event)

    def get(self, timeout: float) -> ClaimEvent:
        """The oldest event; does not wait if `timeout` is 0. Raises `queue.Empty`."""
        event = self._waiting.get(timeout=timeout) if timeout else self._waiting.get_nowait()
        with self._lock:
            self._counts[type(event)] -= 1
        return event

    def empty(self) -> bool:
        """Whether nothing waits."""
        return self._waiting.empty()

    def take_dropped(self) -> int:
        """How many were dropped since this was last called."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
        return dropped


_MOST: dict[type[ClaimEvent], int] = {FromHub: MOST_OF_HUB, FromDoor: MOST_OF_DOORS}


def _cut(event: FromHub) -> FromHub:
    """Keep of a message only enough to show that it is too long."""
    message = event.message
    if len(message.payload) <= LONGEST:
        return event
    return FromHub(event.link, msgspec.structs.replace(message, payload=message.payload[: LONGEST + 1]))
