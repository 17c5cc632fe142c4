"""paho's client, made for a backlog: it reads ahead, and acknowledges in one go.

paho asks the system three times for every message and once for every acknowledgement, and each time
the hub's other threads may take the interpreter from it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from paho.mqtt.enums import MQTTErrorCode

from sync.wire.without_properties import PlainClient

READ_AHEAD = 64 * 1024
"""Bytes asked for at once: some hundred messages of one record."""
_PUBACK = 0x40
"""Type and flags of an acknowledgement (MQTT 5, 3.4.1)."""


class ReadAhead:
    """A socket that gives bytes in small pieces, and gets them from the system in large ones."""

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
        """Bytes that are here though the system has nothing to read; paho asks this of TLS sockets."""
        held = len(self._held) - self._at
        return held or (self._sock.pending() if hasattr(self._sock, "pending") else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class BacklogClient(PlainClient):
    """Should another paho not know the names used here, it is as slow as any, and nothing else changes."""

    _ahead: ReadAhead | None = None

    def _create_socket(self) -> Any:
        self._ahead = ReadAhead(super()._create_socket())
        return self._ahead

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """As paho's, and on through everything that was read ahead."""
        code = super().loop_read(max_packets)
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and self._is_ahead():
            code = super().loop_read(max_packets)
        return code

    def _is_ahead(self) -> bool:
        return self._sock is not None and self._ahead is not None and self._ahead.pending() > 0

    def drop_larger(self, most: int) -> list[tuple[str, int]]:
        """Forget what waits to be sent, or sent again, and is longer than so many bytes, topic and payload.

        To be called from `on_connect`, after which paho sends all of it again.

        :returns: topic and length of the payload of each.
        """
        with self._out_message_mutex:
            large = [m for m in self._out_messages.values() if len(m.topic) + len(m.payload) > most]
            for message in large:
                del self._out_messages[message.mid]
        return [(message.topic, len(message.payload)) for message in large]

    def ack_all(self, mids: Iterable[int]) -> None:
        """As `ack` of each, of messages at QoS 1, sent together."""
        if packets := b"".join(struct.pack("!BBH", _PUBACK, 2, mid) for mid in mids):
            self._packet_queue(_PUBACK, packets, 0, 1)
