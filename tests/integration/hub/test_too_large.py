"""A message larger than the broker takes is set aside and named, and holds up nothing (protocol 4.5)."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from demo.servers import Mosquitto, mosquitto
from hub.config import Mqtt
from hub.mqtt.link import BrokerLink
from sync.broker.mqtt import BrokerAddress, Connected, LinkEvent, MqttLink
from sync.wire.messages import PACKET
from tests.integration.hub.world import PATIENCE, GateOnMqtt

TAKES = 100_000
TOO_LARGE = b"x" * TAKES
TOPIC = "maguey/v1/maguey/alerts"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "small", f"allow_anonymous true\nmax_packet_size {TAKES}") as broker:
        yield broker


def heard(gate: GateOnMqtt) -> list[bytes]:
    return [payload for topic, payload in gate.heard if topic == TOPIC]


def test_messages_after_one_that_is_too_large_arrive(server: Mosquitto) -> None:
    """Otherwise it would end the connection and be the first thing sent again on the next one, for ever."""
    with GateOnMqtt(server.port, "maguey") as gate, capture_logs() as lines:
        broker = BrokerLink(Mqtt(port=server.port), "maguey-hub-test")
        broker.publish(TOPIC, TOO_LARGE)  # before it is known how much this broker takes
        broker.publish(TOPIC, b"first")
        assert gate.wait(lambda: heard(gate) == [b"first"])
        connects = broker.connects  # 2 where the first one was sent before the broker had said what it takes
        for _ in range(3):
            broker.publish(TOPIC, TOO_LARGE)
        broker.publish(TOPIC, b"second")
        assert gate.wait(lambda: heard(gate) == [b"first", b"second"])
        assert broker.connects == connects
        broker.close()
    aside = [line for line in lines if line["event"] == "oversized message dropped"]
    assert [(line["topic"], line["bytes"]) for line in aside] == [(TOPIC, TAKES)]  # named once
    assert [line["accepts"] for line in lines if line["event"] == "message size limited by broker"] == [TAKES]


def test_nothing_larger_than_our_own_bound_goes_to_a_broker_that_takes_anything(tmp_path: Path) -> None:
    with (
        mosquitto(tmp_path / "large") as server,
        GateOnMqtt(server.port, "maguey") as gate,
        capture_logs() as lines,
    ):
        broker = BrokerLink(Mqtt(port=server.port), "maguey-hub-test")
        broker.publish(TOPIC, b"x" * PACKET)
        broker.publish(TOPIC, b"next")
        assert gate.wait(lambda: heard(gate) == [b"next"])
        broker.close()
    assert [line["accepts"] for line in lines if line["event"] == "oversized message dropped"] == [PACKET]


def test_a_gate_whose_message_is_too_large_for_its_broker_stays_connected(server: Mosquitto) -> None:
    events: queue.SimpleQueue[LinkEvent] = queue.SimpleQueue()
    with GateOnMqtt(server.port, "maguey") as listener, capture_logs() as lines:
        at = BrokerAddress(host="127.0.0.1", port=server.port)
        link = MqttLink(at, "gate-9", lambda _link, event: events.put(event), (TOPIC, b""), [])
        assert events.get(timeout=PATIENCE) == Connected()
        for _ in range(3):
            assert link.publish(TOPIC, TOO_LARGE)  # handed over: sending it again would change nothing
        assert link.publish(TOPIC, b"next")
        assert listener.wait(lambda: heard(listener) == [b"next"])
        assert events.empty()
        link.close()
    assert len([line for line in lines if line["event"] == "oversized message dropped"]) == 1
