"""paho's client for a backlog: it reads ahead, and sends acknowledgements together.

paho makes three system calls for every message and one for every acknowledgement, and at each of them the
interpreter may switch to another thread of the hub.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from paho.mqtt.enums import MQTTErrorCode

from sync.wire.without_properties import PlainClient

READ_AHEAD = 64 * 1024
"""Bytes read at once: a few hundred messages of one record."""
_PUBACK = 0x40
"""Type and flags of an acknowledgement (MQTT 5, 3.4.1)."""


class ReadAhead:
    """A socket that is read in small pieces, and reads from the system in large ones."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._held = b""
        self._at = 0

    def recv(self, size: int) -> bytes:
        """As `socket.recv`, whose errors it passes on."""
        if self._at == len(self._held):
            self._held, self._at = self._sock.recv(READ_AHEAD), 0
        part = self._held[self._at : self._at + size]
        self._at += len(part)
        return part

    def pending(self) -> int:
        """Bytes read ahead, which the system no longer has; paho asks this of TLS sockets."""
        held = len(self._held) - self._at
        return held or (self._sock.pending() if hasattr(self._sock, "pending") else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class BacklogClient(PlainClient):
    """It uses private names of paho. A version without them is only slower; nothing else changes."""

    _ahead: ReadAhead | None = None

    def _create_socket(self) -> Any:
        self._ahead = ReadAhead(super()._create_socket())
        return self._ahead

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """As paho's, until everything read ahead is used up."""
        code = super().loop_read(max_packets)
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and self._is_ahead():
            code = super().loop_read(max_packets)
        return code

    def _is_ahead(self) -> bool:
        return self._sock is not None and self._ahead is not None and self._ahead.pending() > 0

    def drop_larger(self, most: int) -> list[tuple[str, int]]:
        """Drop queued and unacknowledged messages longer than `most` bytes of topic and payload.

        Call it from `on_connect`, after which paho sends them all again.

        :returns: each one's topic and length of payload.
        """
        with self._out_message_mutex:
            large = [m for m in self._out_messages.values() if len(m.topic) + len(m.payload) > most]
            for message in large:
                del self._out_messages[message.mid]
        return [(message.topic, len(message.payload)) for message in large]

    def ack_all(self, mids: Iterable[int]) -> None:
        """As `ack` of each of these messages at QoS 1, but sent together."""
        if packets := b"".join(struct.pack("!BBH", _PUBACK, 2, mid) for mid in mids):
            self._packet_queue(_PUBACK, packets, 0, 1)
