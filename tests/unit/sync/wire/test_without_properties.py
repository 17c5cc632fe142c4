"""The properties of a message are removed before paho parses them, whatever they are."""

from __future__ import annotations

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from sync.wire.without_properties import PlainClient, without_properties

TOPIC = b"maguey/v1/maguey/gates/gate-1/scans"
EMPTY_PROPERTY = b"\x26\0\0\0\0"  # a user property without name and value


def length(number: int) -> bytes:
    """A variable byte integer (MQTT 5, 1.5.5)."""
    digits = bytearray()
    while True:
        number, digit = divmod(number, 128)
        digits.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(digits)


def publish(properties: bytes, payload: bytes, qos: int) -> tuple[int, bytes]:
    mid = b"\0\7" if qos else b""
    name = len(TOPIC).to_bytes(2, "big") + TOPIC
    return 0x30 | qos << 1, name + mid + length(len(properties)) + properties + payload


def heard(command: int, packet: bytes) -> mqtt.MQTTMessage:
    client = PlainClient(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, manual_ack=True)
    messages: list[mqtt.MQTTMessage] = []
    client.on_message = lambda _client, _data, message: messages.append(message)
    client._in_packet |= {"command": command, "packet": bytearray(packet)}
    client._handle_publish()
    return messages[0]


@pytest.mark.parametrize("qos", [0, 1])
@given(properties=st.binary(max_size=300), payload=st.binary(max_size=50))
def test_a_message_arrives_without_its_properties_whatever_they_are(
    qos: int, properties: bytes, payload: bytes
) -> None:
    message = heard(*publish(properties, payload, qos))
    assert (message.topic.encode(), message.payload, message.qos) == (TOPIC, payload, qos)
    assert message.mid == (7 if qos else 0)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_megabyte_of_properties_is_removed_quickly(qos: int) -> None:
    """paho alone takes minutes to parse them, longer than a test may run."""
    assert heard(*publish(EMPTY_PROPERTY * 200_000, b"{}", qos)).payload == b"{}"


@given(command=st.integers(0x30, 0x3F), packet=st.binary(max_size=60))
def test_removing_properties_never_raises(command: int, packet: bytes) -> None:
    assert len(without_properties(command, packet)) <= max(len(packet), 1)
