"""One connection to a real broker."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.servers import Mosquitto, free_port, mosquitto
from sync.broker.mqtt import BrokerAddress, Connected, Disconnected, LinkError, LinkEvent, Message, MqttLink
from sync.wire.messages import LARGEST
from tests.patience import PATIENCE_S, until

WILL = ("maguey/v1/maguey/gates/gate-1/status", b'{"online":false}')


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path / "mosquitto") as broker:
        yield broker


class Listener:
    """A link and the events it reported."""

    def __init__(self, port: int, client_id: str, *topics: str) -> None:
        self.told: queue.SimpleQueue[LinkEvent] = queue.SimpleQueue()
        broker = BrokerAddress(host="127.0.0.1", port=port)
        self.link = MqttLink(broker, client_id, lambda _link, event: self.told.put(event), WILL, topics)

    def next(self) -> LinkEvent:
        return self.told.get(timeout=PATIENCE_S)


def test_a_message_goes_from_one_link_to_another_and_not_back(broker: Mosquitto) -> None:
    here, there = Listener(broker.port, "gate-1", "a/#"), Listener(broker.port, "gate-2", "a/#")
    assert (here.next(), there.next()) == (Connected(), Connected())
    assert here.link.publish("a/b", b"first")
    assert there.next() == Message("a/b", b"first")
    assert there.link.publish("a/b", b"second")
    assert here.next() == Message("a/b", b"second")  # its own never came
    here.link.close()
    there.link.close()


def test_a_broker_that_is_killed_is_noticed(broker: Mosquitto) -> None:
    listener = Listener(broker.port, "gate-1")
    assert listener.next() == Connected()
    broker.kill()
    assert isinstance(listener.next(), Disconnected)
    assert not listener.link.publish("a", b"x")
    listener.link.close()


def test_a_missing_broker_is_reported_as_disconnected_and_raises_nothing() -> None:
    listener = Listener(free_port(), "gate-1")
    assert isinstance(listener.next(), Disconnected)
    listener.link.close()


def test_a_gate_that_vanishes_leaves_its_will_and_one_that_leaves_says_so(broker: Mosquitto) -> None:
    watcher = Listener(broker.port, "watcher", WILL[0])
    assert watcher.next() == Connected()
    gate = Listener(broker.port, "gate-1")
    assert gate.next() == Connected()
    # a second client with the same id makes the broker drop the first, as a vanished line does
    usurper = Listener(broker.port, "gate-1")
    assert usurper.next() == Connected()
    assert watcher.next() == Message(*WILL)
    usurper.link.close(farewell=(WILL[0], b'{"online":false,"bye":true}'))
    assert watcher.next() == Message(WILL[0], b'{"online":false,"bye":true}')
    gate.link.close()
    watcher.link.close()


def test_the_broker_says_that_a_namesake_took_the_session_over() -> None:
    """Mosquitto 2.0 only closes the connection; others give the reason, as MQTT 5 has it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server.getsockname()[1], "gate-1")
        line, _ = server.accept()
        with line:
            line.recv(1000)
            line.sendall(bytes.fromhex("2003000000"))  # CONNACK
            assert listener.next() == Connected()
            line.sendall(bytes.fromhex("e0028e00"))  # DISCONNECT, session taken over
            told = listener.next()
    assert isinstance(told, Disconnected)
    assert told.taken_over
    listener.link.close()


def test_tls_files_that_cannot_be_used_are_explained(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    broker = BrokerAddress(host="127.0.0.1", port=1, ca_file=str(broken))
    with pytest.raises(LinkError, match=r"hub\.ca_file"):
        MqttLink(broker, "gate-1", lambda *_: None, WILL, [])


def test_the_links_own_loop_counts_its_turns_for_the_watchdog(broker: Mosquitto) -> None:
    here, there = Listener(broker.port, "gate-1"), Listener(broker.port, "gate-2", "a/#")
    assert (here.next(), there.next()) == (Connected(), Connected())
    before = here.link.beats()
    assert here.link.publish("a/b", b"x")
    assert there.next() == Message("a/b", b"x")
    until(lambda: here.link.beats() > before)  # counted at the end of the turn that sent it
    here.link.close()
    there.link.close()


def test_retained_messages_are_told_apart_from_new_ones(broker: Mosquitto) -> None:
    here, witness = Listener(broker.port, "gate-1"), Listener(broker.port, "gate-2", "a/#")
    assert (here.next(), witness.next()) == (Connected(), Connected())
    here.link.publish("a/b", b"old", retain=True)
    assert witness.next() == Message("a/b", b"old")
    late = Listener(broker.port, "gate-3", "a/#")
    told = [late.next(), late.next()]  # the broker need not confirm before it sends
    assert Connected() in told
    assert Message("a/b", b"old", retained=True) in told
    here.link.publish("a/b", b"new", retain=True)
    assert late.next() == Message("a/b", b"new")
    for listener in (here, witness, late):
        listener.link.close()


def test_a_packet_larger_than_any_message_ends_the_line_before_any_of_it_is_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server.getsockname()[1], "gate-1")
        line, _ = server.accept()
        with line:
            asked = line.recv(1000)
            assert b"\x27" + LARGEST.to_bytes(4, "big") in asked  # Maximum Packet Size (MQTT 5, 3.1.2.11.4)
            line.sendall(bytes.fromhex("2003000000"))  # CONNACK
            assert listener.next() == Connected()
            line.sendall(bytes.fromhex("32ffffff7f") + b"\x00\x05a/b/c")  # PUBLISH of 256 MiB
            told = listener.next()
    assert isinstance(told, Disconnected)
    assert "268435455 bytes" in told.why
    listener.link.close()
