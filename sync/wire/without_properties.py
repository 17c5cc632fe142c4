"""Messages without their MQTT 5 properties, of which neither hub nor gates read any.

paho 2.1 copies the rest of the packet for each property it takes apart, so a message of 1 MB of user
properties keeps the connection's only thread for minutes, and with it everybody's claims, scans and
acknowledgements. Any gate may publish such a message on its own topics. So they are left out before paho
looks at them; what remains of the message goes the way of every other, and is counted against its sender.
"""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

_MOST_DIGITS = 4
"""Bytes a length is written in, at most (MQTT 5, 1.5.5)."""


def without_properties(command: int, packet: bytes) -> bytes:
    """The variable header and payload of a PUBLISH (MQTT 5, 3.3.2) with a property length of 0.

    :param command: the packet's first byte.
    :returns: what is no such packet as it was, for paho to refuse.
    """
    at = 2 + int.from_bytes(packet[:2], "big") + (2 if command & 0b110 else 0)
    length = 0
    for digit in range(_MOST_DIGITS):
        if at + digit >= len(packet):
            return packet
        length |= (packet[at + digit] & 0x7F) << (7 * digit)
        if packet[at + digit] < 0x80:
            end = at + digit + 1 + length
            return packet[:at] + b"\0" + packet[end:] if end <= len(packet) else packet
    return packet


class PlainClient(paho.Client):
    """paho's client, which reads no property of a message."""

    def _handle_publish(self) -> MQTTErrorCode:
        incoming = self._in_packet
        packet = without_properties(incoming["command"], bytes(incoming["packet"]))
        incoming["packet"] = bytearray(packet)
        return super()._handle_publish()
