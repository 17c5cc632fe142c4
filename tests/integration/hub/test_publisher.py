"""The feed goes out over MQTT: every change at once, by generation, even after a database was restored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from gate.rules.model import Admission, Status
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.feed import publisher as feed
from hub.mqtt.inbox import Delivery, FairInbox
from hub.mqtt.link import BrokerLink
from sync.wire.messages import Delta, Head, decode
from sync.wire.topics import Topics
from tests.integration.hub.world import GateOnMqtt, World

TOPICS = Topics(venue="maguey")


class Line:
    """A broker in memory: keeps what was published, in order."""

    def __init__(self) -> None:
        self.inbox = FairInbox()
        self.connects = 1
        self.is_up = True
        self.out: list[Any] = []

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        assert retain == topic.endswith("/head")
        self.out.append(decode(payload, Head if retain else Delta))

    def acknowledge(self, *messages: Delivery) -> None: ...

    def tend(self) -> None: ...


class Publishing:
    """A publisher whose clock is moved by hand."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self.line = Line()
        self.seconds = 0.0
        self.publisher = feed.Publisher(self.line, TOPICS, now=lambda: self.seconds)

    def turn(self) -> list[Any]:
        """What is published now."""
        self.line.out.clear()
        self.publisher.publish_new(self.conn)
        self.publisher.publish_heads(self.conn)
        return list(self.line.out)


@pytest.fixture
def publishing(conn: Connection) -> Publishing:
    return Publishing(conn)


def put_back(world: World, event: str, version: int) -> None:
    """The database as it was at an earlier version."""
    world.run("DELETE FROM tickets")
    world.run("DELETE FROM admission_changes WHERE event_id = %s AND version > %s", event, version)
    world.run("UPDATE events SET admission_version = %s WHERE id = %s", version, event)


def test_a_change_goes_out_once_and_its_head_after_it(publishing: Publishing, world: World) -> None:
    event = world.event()
    assert publishing.turn() == [Head(event_id=event, version=1, count=0)]
    world.ticket(event)
    delta, head = publishing.turn()
    assert isinstance(delta, Delta)
    assert [change.version for change in delta.changes] == [2]
    assert head == Head(event_id=event, version=2, count=1)
    assert publishing.turn() == []


def test_every_head_is_published_again_after_a_connect_and_now_and_then(
    publishing: Publishing, world: World
) -> None:
    """A broker that crashed may have found an older head on its disk."""
    head = Head(event_id=world.event(), version=1, count=0)
    publishing.turn()
    publishing.line.connects += 1
    assert publishing.turn() == [head]
    publishing.seconds += 29
    assert publishing.turn() == []
    publishing.seconds += 1
    assert publishing.turn() == [head]


def test_a_new_generation_is_published_at_once_and_is_in_every_delta(
    publishing: Publishing, world: World
) -> None:
    event = world.event()
    publishing.turn()
    assert world.one("SELECT feed_restored('backup of Friday put back', 'Ana')") == 1
    [head] = publishing.turn()
    assert head.generation > 1
    world.ticket(event)
    assert [told.generation for told in publishing.turn()] == [head.generation] * 2


def test_a_database_restored_under_a_running_hub_is_reported_and_followed(
    publishing: Publishing, world: World
) -> None:
    event = world.event()
    for _ in range(5):
        world.ticket(event)
    publishing.turn()
    put_back(world, event, 3)
    assert publishing.turn() == [Head(event_id=event, version=3, count=0)]
    world.ticket(event)
    delta, head = publishing.turn()
    assert isinstance(delta, Delta)
    assert (delta.changes[0].version, head) == (4, Head(event_id=event, version=4, count=1))


def test_each_restore_makes_a_generation_never_used_before(world: World) -> None:
    """Even when the same backup is restored again, which contains the old generation."""
    world.event()
    generations = []
    for _ in range(2):
        world.run("UPDATE events SET feed_generation = 1")
        world.one("SELECT feed_restored('again', 'Ana')")
        generations.append(world.one("SELECT feed_generation FROM events"))
    assert 1 < generations[0] < generations[1]


@contextlib.contextmanager
def hub(config: HubConfig) -> Iterator[None]:
    broker = BrokerLink(config.mqtt, f"feed-{config.venue}")
    with contextlib.closing(broker), feed.feed_worker(config, broker):
        yield


def told(gate: GateOnMqtt, event: str) -> list[Admission]:
    """The admissions of the deltas a gate has heard."""
    deltas = [decode(payload, Delta) for topic, payload in gate.heard if topic == gate.topics.deltas(event)]
    rows = [change.row for delta in deltas for change in delta.changes]
    return [row for row in rows if isinstance(row, Admission)]


def hears(gate: GateOnMqtt, event: str, newest: list[Status]) -> bool:
    """Wait until the gate has heard of the night, and `newest` is the status of its last changed ticket."""
    return gate.wait(lambda: bool(gate.heard) and [row.status for row in told(gate, event)][-1:] == newest)


def test_a_refund_and_a_cancellation_reach_every_connected_gate_at_once(
    config: HubConfig, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change itself wakes the publisher: with an hour between two looks nothing else could be in time."""
    monkeypatch.setattr(feed, "_POLL_SECONDS", 3600.0)
    event = world.event()
    ticket = world.ticket(event)
    with contextlib.ExitStack() as stack:
        gates = [
            stack.enter_context(GateOnMqtt(config.mqtt.port, config.venue, f"gate-{number}"))
            for number in range(3)
        ]
        stack.enter_context(hub(config))
        for gate in gates:
            assert hears(gate, event, [])
        for status in (Status.CANCELLED, Status.REFUNDED):
            world.run("UPDATE tickets SET status = %s WHERE id = %s", status, ticket)
            for gate in gates:
                assert hears(gate, event, [status])
