"""A gate that sends far too much is cut off: the broker sends the hub none of it (protocol 4.5)."""

from __future__ import annotations

import contextlib
import queue
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from hub.config import Mqtt
from hub.mqtt.inbox import Delivery
from hub.mqtt.link import BrokerLink
from hub.mqtt.subscriptions import Subscriptions, VenueGates
from sync.wire.cutoff import MESSAGES, PAUSE_MS, UNNUMBERED, FilterChange
from sync.wire.topics import Topics
from tests.integration.hub.test_fairness import FLOODER, VENUE, Club, club
from tests.integration.hub.world import PATIENCE, GateOnMqtt
from tests.integration.test_broker import CONFIG
from tests.patience import until
from tests.raw_mqtt import RawGate

__all__ = ["club"]

TOPICS = Topics(venue=VENUE)
SHORTEST, LONGEST = (ms / 1000 for ms in PAUSE_MS)


@dataclass
class Link:
    """One of the hub's links, and the clock it goes by."""

    broker: BrokerLink
    venue_gates: VenueGates
    clock: list[float]
    heard: list[Delivery] = field(default_factory=list)

    def forward(self, seconds: float) -> None:
        self.clock[0] += seconds
        self.broker.tend()

    def until_it_hears(self, payload: bytes) -> None:
        """Drain until this payload has arrived, and everything before it."""
        while not any(message.payload == payload for message in self.heard):
            self.hear(self.broker.inbox.get(timeout=PATIENCE))
        self.drain()

    def until_cut_off(self, flooder: RawGate, topic: str, qos: int) -> None:
        """Send until the hub cuts the flooder off, however many messages the broker has no room for."""
        while self.broker.inbox.cut_off != {FLOODER}:
            flooder.send([topic], qos, 500)
            self.drain()

    def drain(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self.hear(self.broker.inbox.get_nowait())

    def hear(self, message: Delivery) -> None:
        self.broker.acknowledge(message)
        self.heard.append(message)

    def until_the_broker_knows(self, gate: GateOnMqtt) -> None:
        """Wait until the broker has processed all this link told it: it takes one thing after another."""
        before = len(gate.acks)
        self.broker.publish(TOPICS.ack(gate.gate_id), b'{"v":1,"epoch":"e","seq":1}')
        assert gate.wait(lambda: len(gate.acks) > before)

    def said_by(self, gate_id: str) -> int:
        return sum(message.topic.split("/")[4] == gate_id for message in self.heard)


@pytest.fixture
def link(club: Club) -> Iterator[Link]:
    mine = club.hub_authority.issue("maguey-hub")
    config = Mqtt(
        port=club.hub_port,
        ca_file=str(club.authority.file),
        cert_file=str(mine.certificate),
        key_file=str(mine.key),
    )
    clock, venue_gates = [1000.0], VenueGates()
    venue_gates.names = frozenset({"gate-1", FLOODER})
    wide = (TOPICS.claims(), TOPICS.status(), TOPICS.scans())
    broker = BrokerLink(
        config, "maguey-hub/cutoff/test", *wide, session_s=0, venue_gates=venue_gates, now=lambda: clock[0]
    )
    assert broker.wait_until_up(PATIENCE)
    yield Link(broker, venue_gates, clock)
    broker.close()


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("leaf", ["claims", "status", "scans"])
def test_an_excessive_flood_is_not_even_sent_to_the_hub(club: Club, link: Link, leaf: str, qos: int) -> None:
    topic = getattr(TOPICS, leaf)(FLOODER)
    with club.gate("gate-1") as honest, RawGate(club.port, FLOODER, club.tls(FLOODER)) as flooder:
        link.until_the_broker_knows(honest)
        link.until_cut_off(flooder, topic, qos)
        link.until_the_broker_knows(honest)
        honest.send_raw(b"first", TOPICS.claims("gate-1"))
        link.until_it_hears(b"first")
        before = link.said_by(FLOODER)
        flooder.send([topic], qos, 5 * int(MESSAGES.at_once))
        honest.send_raw(b"second", TOPICS.claims("gate-1"))
        link.until_it_hears(b"second")
        assert link.said_by(FLOODER) == before
        # the flood ends, and after a while the gate is listened to again by itself
        link.forward(SHORTEST + 1)
        link.until_the_broker_knows(honest)
        flooder.send([topic], 1, 1, b"in earnest")
        link.until_it_hears(b"in earnest")
    assert link.broker.inbox.cut_off == frozenset()


def test_a_gate_that_is_new_is_heard_while_another_floods(club: Club, link: Link) -> None:
    with club.gate("gate-1") as honest, RawGate(club.port, FLOODER, club.tls(FLOODER)) as flooder:
        link.until_cut_off(flooder, TOPICS.claims(FLOODER), 1)
        with club.gate("gate-2") as new:
            link.venue_gates.names |= {"gate-2"}
            link.broker.tend()
            link.until_the_broker_knows(honest)
            new.send_raw(b"I am new", TOPICS.claims("gate-2"))
            link.until_it_hears(b"I am new")
            assert link.broker.inbox.cut_off == {FLOODER}


def test_a_message_at_qos_0_counts_for_many_because_no_gate_sends_one(club: Club, link: Link) -> None:
    with club.gate("gate-1") as honest, RawGate(club.port, FLOODER, club.tls(FLOODER)) as flooder:
        link.until_the_broker_knows(honest)
        few = int(MESSAGES.at_once) // UNNUMBERED + 1
        flooder.send([TOPICS.claims(FLOODER)], 1, few)
        honest.send_raw(b"after them", TOPICS.claims("gate-1"))
        link.until_it_hears(b"after them")
        assert link.broker.inbox.cut_off == frozenset()
        flooder.send([TOPICS.claims(FLOODER)], 0, few)
        until(lambda: link.broker.inbox.cut_off == {FLOODER})


def test_messages_the_broker_kept_for_an_absent_hub_are_no_flood() -> None:
    text = (CONFIG / "maguey.conf").read_text()
    (kept,) = re.findall(r"^max_queued_messages (\d+)$", text, re.MULTILINE)
    (on_the_way,) = re.findall(r"^max_inflight_messages (\d+)$", text, re.MULTILINE)
    assert int(kept) + int(on_the_way) < int(MESSAGES.at_once)


def test_filters_left_in_the_session_by_another_hub_process_are_dropped() -> None:
    venue_gates = VenueGates()
    subscriptions = Subscriptions([TOPICS.scans()], venue_gates, lambda: 1000.0)
    subscriptions.connected(has_session=True)
    assert subscriptions.next_change() == FilterChange(subscribe=(TOPICS.scans(),))
    venue_gates.names = frozenset({"gate-1", FLOODER})
    assert subscriptions.next_change() == FilterChange(
        unsubscribe=(TOPICS.scans("gate-1"), TOPICS.scans(FLOODER))
    )
    assert subscriptions.next_change() == FilterChange()
    subscriptions.count(TOPICS.scans(FLOODER), 1 << 30, 1)
    told = subscriptions.next_change()
    assert told == FilterChange((TOPICS.scans("gate-1"),), (TOPICS.scans(),))
