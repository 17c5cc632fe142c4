"""What strangers and accidents send: none of it stops the venue (invariant 5)."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from demo.servers import mosquitto
from hub import service
from hub.config import HubConfig, Mqtt
from hub.db import worker
from hub.db.connection import Connection, connect
from hub.feed import publisher as feed
from hub.ingest import batch as ingest
from hub.ingest.batch import Batch, Quarantined, merge, read_batch, write_batch
from hub.mqtt.inbox import Delivery
from hub.mqtt.link import MAXIMUM_PACKET, BrokerLink
from sync.wire.messages import Ack, Head
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics
from tests.integration.hub.test_consumer import deltas, heads, running
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, later, record

TOPICS = Topics(venue="maguey")


@pytest.fixture
def gate(config: HubConfig) -> Iterator[GateOnMqtt]:
    with GateOnMqtt(config.mqtt.port, config.venue) as connected:
        yield connected


def take(conn: Connection, *messages: Delivery) -> list[tuple[str, Ack]]:
    return write_batch(conn, merge([read_batch(message, TOPICS) for message in messages])).acks


def message(payload: bytes, gate: str = "gate-1") -> Delivery:
    return Delivery(TOPICS.scans(gate), payload, 1, 1)


def one_raw(**fields: Any) -> bytes:
    return msgspec.json.encode({"v": 1, "scans": [msgspec.to_builtins(record(1)) | fields]})


def test_a_giant_epoch_or_gate_id_holds_up_nobody(world: World, conn: Connection) -> None:
    bad = [message(one_raw(epoch=secrets.token_hex(6000))), message(b"garbage", secrets.token_hex(6000))]
    good = message(encode_scans([record(1)]))
    for _ in range(2):
        assert take(conn, *bad, good) == [("gate-1", Ack(epoch="e1", seq=1))]
    assert world.all("SELECT epoch, seq, gate_id FROM scan_quarantine ORDER BY gate_id") == [
        (None, None, "gate-1"),
        (None, None, None),
    ]


def test_a_record_that_even_the_quarantine_refuses_is_logged_and_dropped(
    world: World, conn: Connection
) -> None:
    impossible = (
        Quarantined(topic="t", gate_id="g" * 20, raw=b"x", error="e", epoch=secrets.token_hex(9000), seq=1),
        Quarantined(topic="\ud800", gate_id=None, raw=b"x", error="e"),
        Quarantined(topic="t", gate_id="\0", raw=b"x", error="e"),
    )
    with capture_logs() as logs:
        acks = write_batch(
            conn, Batch(records=(record(1),), quarantined=impossible[1:], topics={"gate-1": "t"})
        ).acks
        ingest._quarantine(conn, impossible[0])
    assert acks == [("gate-1", Ack(epoch="e1", seq=1))]
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0
    assert [entry["event"] for entry in logs] == ["quarantine failed; dropped"] * 3


def test_the_quarantine_keeps_the_first_64_kib_and_the_length(world: World, conn: Connection) -> None:
    take(conn, message(b"x" * 300_000))
    assert world.all("SELECT octet_length(raw), raw_length FROM scan_quarantine") == [(65_536, 300_000)]


def test_an_impossible_time_is_quarantined_and_the_watermark_passes(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    odd = ("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2026-01-30T23:00:00")
    for seq, at in enumerate(odd, 1):
        found = take(conn, message(one_raw(seq=seq, occurred_at=at, subject_id=ticket)))
        assert found == [("gate-1", Ack(epoch="e1", seq=seq))]
    assert world.one("SELECT status FROM tickets") == "issued"
    assert world.one("SELECT count(*) FROM scan_logs") == 0


def test_a_place_written_as_text_moves_the_watermark(conn: Connection) -> None:
    assert take(conn, message(one_raw(seq="1"))) == [("gate-1", Ack(epoch="e1", seq=1))]


def test_the_hub_reads_and_writes_times_in_utc(dsn: str) -> None:
    with connect(f"{dsn} options='-c search_path=public'") as conn:
        row = conn.execute(b"SHOW timezone").fetchone()
        path = conn.execute(b"SHOW search_path").fetchone()
    assert (row, path) == ({"TimeZone": "UTC"}, {"search_path": "public"})


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE events SET ends_at = 'infinity'",
        "UPDATE events SET doors_open_at = '-infinity'",
        "UPDATE events SET ends_at = '10000-01-01'",
        "UPDATE tickets SET checked_in_at = '10000-01-01'",
    ],
)
def test_a_time_no_gate_can_read_is_refused_by_the_database(world: World, change: str) -> None:
    world.ticket(world.event())
    with pytest.raises(Exception, match="_times"):
        world.run(change)


def test_a_change_no_gate_can_read_is_left_out_and_the_feed_goes_on(
    config: HubConfig, gate: GateOnMqtt, world: World
) -> None:
    event, other = world.event(), world.event("PS")
    with running(config):
        assert gate.wait(lambda: bool(heads(gate, event)) and bool(heads(gate, other)))
        world.run(
            "WITH e AS (UPDATE events SET admission_version = admission_version + 1 WHERE id = %s"
            " RETURNING *)"
            ' INSERT INTO admission_changes SELECT id, admission_version, \'{"t": "?"}\' FROM e',
            event,
        )
        world.ticket(event)
        world.ticket(other)
        assert gate.wait(lambda: bool(deltas(gate, event)) and bool(deltas(gate, other)))
        assert [change.version for delta in deltas(gate, event) for change in delta.changes] == [3]


def test_the_feed_survives_any_exception_and_says_so_once(
    config: HubConfig, gate: GateOnMqtt, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = world.event()
    failures = iter(range(2))

    def parts(event_id: str, rows: Any) -> Any:
        if next(failures, None) is not None:
            raise ZeroDivisionError("a bug")
        return real(event_id, rows)

    real = feed._parts
    monkeypatch.setattr(feed, "_parts", parts)
    monkeypatch.setattr(worker, "RETRY_S", 0.0)
    with capture_logs() as logs, running(config):
        assert gate.wait(lambda: bool(heads(gate, event)))
        world.ticket(event)
        assert gate.wait(lambda: bool(deltas(gate, event)))
    assert [entry["worker"] for entry in logs if entry["event"] == "worker failed"] == ["feed"]


def test_after_a_broker_crash_heads_and_acks_are_retained_again(
    config: HubConfig, world: World, tmp_path: Path
) -> None:
    event = world.event()
    with mosquitto(tmp_path / "mq") as broker:
        mine = msgspec.structs.replace(config, mqtt=Mqtt(port=broker.port))
        with running(mine):
            with GateOnMqtt(broker.port, config.venue) as before:
                assert before.resend(record(1), record(2))
                assert before.resend(record(1, epoch="e2"))
                assert before.wait(lambda: bool(heads(before, event)))
            broker.kill()
            # nothing it retained is on its disk: it saves every half hour
            broker.start()
            with GateOnMqtt(broker.port, config.venue) as after:
                assert after.wait(lambda: Head(event_id=event, version=1, count=0) in heads(after, event))
                assert after.wait_for_ack(1, "e2")
                assert after.acks[-1] == Ack(epoch="e2", seq=1)


def test_every_head_is_sent_again_now_and_then(
    config: HubConfig, gate: GateOnMqtt, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_ALL_HEADS_SECONDS", 0.0)
    event = world.event()
    with running(config):
        assert gate.wait(lambda: len(heads(gate, event)) >= 4)


def test_a_night_that_is_completed_publishes_its_last_versions(
    config: HubConfig, gate: GateOnMqtt, world: World
) -> None:
    event = world.event()
    ticket = world.ticket(event)
    with running(config):
        assert gate.wait(lambda: bool(heads(gate, event)))
        with world.conn.transaction():
            world.run("UPDATE tickets SET status = 'refunded' WHERE id = %s", ticket)
            world.run("UPDATE events SET status = 'completed'")
        assert gate.wait(lambda: Head(event_id=event, version=4, count=1) in heads(gate, event))
        assert [change.version for delta in deltas(gate, event) for change in delta.changes] == [3, 4]


def test_qos_0_is_dropped_and_does_not_cut_the_link(
    config: HubConfig, gate: GateOnMqtt, world: World
) -> None:
    with capture_logs() as logs, running(config):
        assert gate.resend(record(1))
        for seq in (2, 3, 4):
            gate._client.publish(gate.topics.scans("gate-1"), encode_scans([record(seq)]), qos=0)
        gate.send(record(2))
        assert gate.wait_for_ack(2)
    assert world.all("SELECT seq FROM scan_logs ORDER BY seq") == [(1,), (2,)]
    told = [entry["event"] for entry in logs]
    assert told.count("message at QoS 0 dropped; gates send at QoS 1") == 1
    assert not any(" failed" in event for event in told)


def test_a_giant_message_is_not_delivered(config: HubConfig, gate: GateOnMqtt) -> None:
    topic = gate.topics.scans("gate-1")
    link = BrokerLink(config.mqtt, f"hub-{config.venue}", gate.topics.scans())
    try:
        while not link.inbox._turns:  # until the subscription works
            gate.send_raw(b"small", topic)
        gate.send_raw(b"x" * (MAXIMUM_PACKET + 1), topic)
        gate.send_raw(b"end", topic)
        heard = set()
        while b"end" not in heard:
            heard.add(link.inbox.get(timeout=PATIENCE).payload)
        assert heard == {b"small", b"end"}
    finally:
        link.close()


def test_a_deadlock_is_tried_again_on_the_same_connection(world: World, conn: Connection, dsn: str) -> None:
    """The database is made to report one, as it would to the loser of two."""
    world.run("CREATE SEQUENCE tries")
    world.run("GRANT USAGE ON SEQUENCE tries TO service_role")
    world.run(
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('tries') < 3 THEN RAISE 'lost' USING errcode = 'deadlock_detected'; END IF;"
        " RETURN new; END $$"
    )
    world.run("CREATE TRIGGER lose BEFORE INSERT ON scan_logs FOR EACH ROW EXECUTE FUNCTION lose()")
    assert take(conn, message(encode_scans([record(1)]))) == [("gate-1", Ack(epoch="e1", seq=1))]
    assert not conn.closed
    assert world.one("SELECT last_value FROM tries") == 3


def test_an_unmigrated_database_is_explained_once(
    config: HubConfig, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run("DROP TABLE scan_quarantine, admission_changes CASCADE")
    attempts = threading.Semaphore(0)

    def counted(dsn: str, autocommit: bool = False) -> Connection:
        attempts.release()
        return connect(dsn, autocommit)

    monkeypatch.setattr(service, "connect", counted)
    monkeypatch.setattr(service, "_RETRY_SECONDS", 0.0)
    with capture_logs() as logs, running(config):
        assert all(attempts.acquire(timeout=PATIENCE) for _ in range(3))
    (entry,) = logs
    assert "run 'maguey-hub migrate'" in entry["reason"]


def test_first_entry_and_reentry_come_out_the_same_in_any_order(world: World, conn: Connection) -> None:
    event = world.event()
    results = []
    for number in range(12):
        reservation = world.reservation(event)
        guest, linked = world.guest_pass(reservation), world.ticket(event)
        world.link(reservation, linked)
        scans = [
            record(
                place, gate_id=f"g{place}", epoch=f"e{number}", occurred_at=later(place), subject_id=subject
            )
            for place, subject in enumerate((guest, linked, guest, linked, guest, linked), 1)
        ]
        random.Random(number).shuffle(scans)
        for scan in scans:
            take(conn, message(encode_scans([scan]), scan.gate_id))
        results.append(
            world.all(
                "SELECT scanned_at, scanned_by, scan_type, pass_id IS NULL FROM vip_scan_logs"
                " WHERE reservation_id = %s ORDER BY scanned_at",
                reservation,
            )
            + world.all(
                "SELECT checked_in_at, checked_in_by, checked_in_guests, status FROM vip_reservations"
                " WHERE id = %s",
                reservation,
            )
        )
    assert [row[2] for row in results[0]] == ["first_entry"] * 2 + ["reentry"] * 4 + [2]
    assert results[0][-1][:2] == (later(1), "g1")
    assert all(result == results[0] for result in results)
