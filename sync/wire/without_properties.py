"""Removes MQTT 5 properties from received messages; neither hub nor gates use any.

paho 2.1 copies the rest of the packet for each property it parses, so a message with 1 MB of user properties
blocks the connection's only thread for minutes, and with it everybody's claims, scans and acknowledgements.
Any gate may publish such a message on its own topics. So the properties are removed before paho parses them;
the rest of the message is handled like any other, and counts against its sender.
"""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

_MOST_DIGITS = 4
"""Bytes a length is written in, at most (MQTT 5, 1.5.5)."""


def without_properties(command: int, packet: bytes) -> bytes:
    """The variable header and payload of a PUBLISH (MQTT 5, 3.3.2) with a property length of 0.

    :param command: the packet's first byte.
    :returns: a packet of another form is unchanged, for paho to refuse.
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
    """paho's client, but it ignores the properties of a message."""

    def _handle_publish(self) -> MQTTErrorCode:
        incoming = self._in_packet
        packet = without_properties(incoming["command"], bytes(incoming["packet"]))
        incoming["packet"] = bytearray(packet)
        return super()._handle_publish()
