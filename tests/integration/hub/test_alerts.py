"""Alerts to staff: each record raises one, after the commit, and not too often (protocol 4.2)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from demo.servers import free_port
from gate.rules.alert import Alert
from gate.rules.model import EventKind, Reason, Ruling, ScanRecord
from hub.config import HubConfig, Mqtt, Watch
from hub.db.connection import Connection
from hub.gates import alerts as alerting
from hub.gates.alerts import AlertPublisher, UnusedGrantsCheck
from hub.ingest.batch import merge, read_batch, write_batch
from hub.mqtt.inbox import Delivery
from hub.mqtt.link import BrokerLink
from sync.wire.messages import decode
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics
from tests.integration.hub.asking import VENUE, Night, after, new_id
from tests.integration.hub.test_consumer import running
from tests.integration.hub.world import GateOnMqtt, World, later, record

NO_SCAN = {"verdict": Ruling.NONE, "line": 0, "record": "event"}
TOLD = [
    EventKind.GUESSING,
    EventKind.TAMPER,
    EventKind.FREE_PASSAGE,
    EventKind.INTRUSION,
    EventKind.SENSOR_SILENT,
]


def happened(seq: int, reason: EventKind) -> ScanRecord:
    return record(seq, reason=reason, **NO_SCAN)


@pytest.fixture
def gate(config: HubConfig) -> Iterator[GateOnMqtt]:
    with GateOnMqtt(config.mqtt.port, config.venue) as connected:
        yield connected


def alerts(gate: GateOnMqtt) -> list[Alert]:
    return [decode(payload, Alert) for topic, payload in gate.heard if topic == gate.topics.alerts()]


@pytest.mark.parametrize("reason", TOLD)
def test_an_event_staff_must_know_of_raises_one_alert(
    config: HubConfig, gate: GateOnMqtt, world: World, reason: EventKind
) -> None:
    event = happened(1, reason)
    with running(config):
        assert gate.resend(event)
        assert gate.wait(lambda: bool(alerts(gate)))
    assert alerts(gate) == [Alert(id=event.scan_id, gate="gate-1", reason=reason.value, at=later(1))]
    assert world.all("SELECT record, reason, released FROM scan_logs") == [("event", reason.value, False)]
    (payload,) = [payload for topic, payload in gate.heard if topic == gate.topics.alerts()]
    assert msgspec.json.decode(payload)["v"] == 1


def test_a_record_sent_again_raises_no_second_alert(
    config: HubConfig, gate: GateOnMqtt, world: World
) -> None:
    event = happened(1, EventKind.GUESSING)
    salvaged = msgspec.structs.replace(event, epoch="e2")
    with running(config):
        assert gate.resend(event)
        assert gate.wait(lambda: bool(alerts(gate)))
        forget_when(world)
        gate.send(event)
        assert gate.resend(salvaged)
        assert gate.resend(event, happened(2, EventKind.TAMPER))
        assert gate.wait(lambda: alerts(gate)[-1].reason == "tamper")
    assert [alert.reason for alert in alerts(gate)] == ["guessing", "tamper"]


def forget_when(world: World) -> None:
    """Make the alerts sent so far an hour old."""
    world.run("UPDATE alerts SET sent_at = sent_at - interval '1 hour'")


def test_events_that_need_no_action_are_kept_without_an_alert(
    config: HubConfig, gate: GateOnMqtt, world: World
) -> None:
    quiet = [
        EventKind.HELD_OPEN,
        EventKind.CLOSED,
        EventKind.RESUMED,
        EventKind.TEST_PULSE,
        EventKind.FREE_PASSAGE_OVER,
    ]
    with running(config):
        assert gate.resend(
            *(happened(seq, reason) for seq, reason in enumerate(quiet, 1)),
            record(6, verdict=Ruling.DENY, reason=Reason.FORGED),
            happened(7, EventKind.TAMPER),
        )
        assert gate.wait(lambda: bool(alerts(gate)))
    assert [alert.reason for alert in alerts(gate)] == ["tamper"]
    assert world.one("SELECT count(*) FROM scan_logs WHERE record = 'event'") == 6


def test_frequent_events_share_one_alert(
    config: HubConfig, gate: GateOnMqtt, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "EVERY_SECONDS", 1800)  # all of it comes within that time
    with running(config):
        assert gate.resend(happened(1, EventKind.INTRUSION))
        assert gate.wait(lambda: bool(alerts(gate)))
        for start in range(2, 302, 50):
            assert gate.resend(*(happened(seq, EventKind.INTRUSION) for seq in range(start, start + 50)))
        # another gate and another reason do not wait
        gate.send_raw(
            encode_scans([msgspec.structs.replace(happened(1, EventKind.INTRUSION), gate_id="gate-2")]),
            gate.topics.scans("gate-2"),
        )
        assert gate.wait(lambda: alerts(gate)[-1].gate == "gate-2")
        assert [alert.count for alert in alerts(gate)] == [1, 1]
        forget_when(world)
        assert gate.wait(lambda: len(alerts(gate)) == 3)
    assert (alerts(gate)[2].count, alerts(gate)[2].at) == (300, later(2))
    assert world.one("SELECT count(*) FROM alerts WHERE sent_at IS NULL") == 0


def test_alerts_committed_by_a_hub_that_died_are_sent_by_the_next(
    config: HubConfig, gate: GateOnMqtt, conn: Connection
) -> None:
    topics = Topics(venue=config.venue)
    message = Delivery(topics.scans("gate-1"), encode_scans([happened(1, EventKind.GUESSING)]), 1, 1)
    write_batch(conn, merge([read_batch(message, topics)]))
    elsewhere = Topics(venue="elsewhere")
    message = Delivery(elsewhere.scans("gate-1"), encode_scans([happened(2, EventKind.TAMPER)]), 1, 1)
    write_batch(conn, merge([read_batch(message, elsewhere)]))
    assert alerts(gate) == []
    with running(config):
        assert gate.wait(lambda: bool(alerts(gate)))
    assert [alert.reason for alert in alerts(gate)] == ["guessing"]
    assert conn.execute(b"SELECT venue FROM alerts WHERE sent_at IS NULL").fetchall() == [
        {"venue": "elsewhere"}
    ]


def test_an_alert_waits_in_postgres_while_the_broker_is_away(world: World, conn: Connection) -> None:
    topics = Topics(venue="maguey")
    message = Delivery(topics.scans("gate-1"), encode_scans([happened(1, EventKind.GUESSING)]), 1, 1)
    write_batch(conn, merge([read_batch(message, topics)]))
    broker = BrokerLink(Mqtt(port=free_port()), "hub-without-broker")
    try:
        AlertPublisher(broker, topics).publish_due(conn)
    finally:
        broker.close()
    assert world.one("SELECT count(*) FROM alerts WHERE sent_at IS NULL") == 1


@pytest.fixture
def night(world: World) -> Night:
    return Night(world, gates=2)


def greedy(conn: Connection, seconds: float) -> list[tuple[str, str]]:
    """The alerts there are after a check this many seconds into the night."""
    UnusedGrantsCheck(VENUE, Watch(unused_grants=3, unused_minutes=10)).check(conn, after(seconds))
    rows = conn.execute(b"SELECT gate_id, reason FROM alerts ORDER BY number").fetchall()
    return [(row["gate_id"], row["reason"]) for row in rows]


def test_a_gate_that_claims_tickets_and_admits_nobody_raises_one_alert(
    night: Night, conn: Connection
) -> None:
    for _ in range(4):
        night.ask("gate-1", night.code())
    assert greedy(conn, 60) == []  # scans may be on their way
    assert greedy(conn, 61) == [("gate-1", "unused_grants")]
    assert greedy(conn, 599) == [("gate-1", "unused_grants")]
    assert greedy(conn, 661) == [("gate-1", "unused_grants")]  # the grants of ten minutes ago no longer count


@pytest.mark.parametrize("harmless", ["three only", "scanned", "given back"])
def test_a_working_gate_raises_no_alert(night: Night, conn: Connection, harmless: str) -> None:
    for _ in range(3):
        night.ask("gate-1", night.code())
        night.ask("gate-2", night.code())
    scan, code = new_id(), night.code()
    if harmless != "three only":
        night.ask("gate-1", code, scan)
    if harmless == "scanned":
        night.ingest("gate-1", 1, code, scan)
    elif harmless == "given back":
        night.give_back("gate-1", scan)
    assert greedy(conn, 90) == []


def test_a_grant_the_gate_says_it_never_used_still_counts(night: Night, conn: Connection) -> None:
    """Otherwise a gate that takes every ticket for half a minute, over and over, would raise no alert."""
    for _ in range(4):
        night.ask("gate-1", night.code())
    night.world.run("UPDATE claims SET released_at = now(), released_by = 'unused'")
    assert greedy(conn, 90) == [("gate-1", "unused_grants")]
