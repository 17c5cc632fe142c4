"""MQTT to Postgres with real servers: the ack follows the commit, whatever dies on the way."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from demo.servers import Mosquitto, Postgres, postgres
from gate.common.outage import SharedOutage
from gate.rules.model import Reason, Ruling
from hub import service
from hub.config import HubConfig, Mqtt
from hub.config import Postgres as PostgresConfig
from hub.db.connection import Connection, connect
from hub.db.migrate import migrate
from hub.ingest import consumer
from hub.mqtt.inbox import Delivery, FairInbox
from hub.mqtt.link import client_id
from sync.wire.messages import Ack, Delta, Head, decode
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, record
from tests.patience import until


@contextlib.contextmanager
def running(config: HubConfig) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(config, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def gate(config: HubConfig) -> Iterator[GateOnMqtt]:
    with GateOnMqtt(config.mqtt.port, config.venue) as connected:
        yield connected


def test_scans_are_committed_and_acknowledged(config: HubConfig, gate: GateOnMqtt, world: World) -> None:
    event = world.event()
    ticket = world.ticket(event)
    with running(config):
        assert gate.wait(lambda: any(topic == gate.topics.head(event) for topic, _ in gate.heard))
        gate.send(record(1, subject_id=ticket), record(2, verdict=Ruling.DENY, reason=Reason.ALREADY_USED))
        assert gate.wait_for_ack(2)
        assert world.one("SELECT count(*) FROM scan_logs") == 2
        assert world.one("SELECT status FROM tickets") == "checked_in"
        assert gate.wait(lambda: bool(deltas(gate, event)))
        newest = world.one("SELECT admission_version FROM events")
        assert [change.version for delta in deltas(gate, event) for change in delta.changes] == [newest]
        assert gate.wait(lambda: heads(gate, event)[-1] == Head(event_id=event, version=newest, count=1))


def deltas(gate: GateOnMqtt, event: str) -> list[Delta]:
    return [decode(payload, Delta) for topic, payload in gate.heard if topic == gate.topics.deltas(event)]


def heads(gate: GateOnMqtt, event: str) -> list[Head]:
    return [decode(payload, Head) for topic, payload in gate.heard if topic == gate.topics.head(event)]


def test_a_sale_reaches_the_gates(config: HubConfig, gate: GateOnMqtt, world: World) -> None:
    event = world.event()
    with running(config):
        assert gate.wait(lambda: bool(heads(gate, event)))
        for _ in range(120):
            world.ticket(event)
        assert gate.wait(lambda: bool(heads(gate, event)) and heads(gate, event)[-1].version == 121)
        versions = [change.version for delta in deltas(gate, event) for change in delta.changes]
        # a link that was lost for a moment sends again what was not acknowledged
        assert list(dict.fromkeys(versions)) == list(range(2, 122))


def test_duplicates_are_acknowledged_again(config: HubConfig, gate: GateOnMqtt, world: World) -> None:
    with running(config):
        scan = record(1)
        assert gate.resend(scan)
        heard = gate.acks.count(Ack(epoch="e1", seq=1))
        gate.send(scan)
        assert gate.wait_for_ack(1, count=heard + 1)
    assert world.one("SELECT count(*) FROM scan_logs") == 1


def test_a_gap_holds_the_ack_until_it_is_filled(config: HubConfig, gate: GateOnMqtt) -> None:
    with running(config):
        assert gate.resend(record(1))
        gate.send(record(3))
        gate.send(record(5))
        gate.send(record(2))
        assert gate.wait_for_ack(3)


def test_bad_messages_are_kept_and_the_next_one_is_processed(
    config: HubConfig, gate: GateOnMqtt, world: World
) -> None:
    with running(config):
        assert gate.resend(record(1))
        gate.send_raw(b"\x00 nothing a hub reads")
        gate.send_raw(b"x" * 300_000)
        gate.send(record(2, gate_id="gate-7"))
        gate.send(record(2))
        assert gate.wait_for_ack(2)
    errors = [row[0] for row in world.all("SELECT error FROM scan_quarantine ORDER BY received_at")]
    assert len(errors) == 3
    assert world.one("SELECT count(*) FROM scan_logs") == 2


def test_no_ack_while_postgres_is_away(shared_broker: Mosquitto, tmp_path: Path) -> None:
    with postgres(tmp_path / "pg") as server:
        migrate(server.dsn)
        config = HubConfig(
            venue="outage", postgres=PostgresConfig(dsn=server.dsn), mqtt=Mqtt(port=shared_broker.port)
        )
        with GateOnMqtt(shared_broker.port, "outage") as gate, running(config):
            assert gate.resend(record(1))
            server.kill()
            for seq in range(2, 50):
                gate.send(record(seq))
            assert {ack.seq for ack in gate.acks} == {1}
            server.start()
            assert gate.wait_for_ack(49)
            assert stored(server) == list(range(1, 50))


class KnownOutage(SharedOutage):
    """Which parts of the hub are without Postgres."""

    without: ClassVar[set[str]] = set()

    def began(self, user: str, reason: str) -> None:
        super().began(user, reason)
        self.without.add(user)

    def over(self, user: str) -> None:
        super().over(user)
        self.without.discard(user)


def test_an_outage_of_postgres_is_one_log_line_and_its_end_another(
    shared_broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though six threads of the hub work in it."""
    monkeypatch.setattr(service, "SharedOutage", KnownOutage)
    threads = {"ingest", "feed", "statuses", "claims", "lock watch", "settle"}
    with postgres(tmp_path / "pg") as server, capture_logs() as logs:
        migrate(server.dsn)
        config = HubConfig(
            venue="silence", postgres=PostgresConfig(dsn=server.dsn), mqtt=Mqtt(port=shared_broker.port)
        )
        with GateOnMqtt(shared_broker.port, "silence") as gate, running(config):
            assert gate.resend(record(1))
            server.stop()
            until(lambda: KnownOutage.without == threads, lambda: str(KnownOutage.without))
            server.start()
            until(lambda: not KnownOutage.without, lambda: str(KnownOutage.without))
            assert gate.resend(record(2))
    assert levels(logs, "Postgres") == ["warning", "info"]


class Watching:
    """A broker link that notes, at each publish and acknowledgement, how many scans are committed by then."""

    def __init__(self, world: World, *messages: Delivery) -> None:
        self.inbox = FairInbox()
        for message in messages:
            self.inbox.put(message)
        self.connects, self.is_up = 1, True
        self.seen: list[tuple[str, int]] = []
        self._world = world

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:  # noqa: ARG002 - a `Line`'s
        self._look(topic.rsplit("/", 1)[1])

    def acknowledge(self, *messages: Delivery) -> None:
        self._look(f"{len(messages)} PUBACKs")

    def tend(self) -> None:
        pass

    def _look(self, told: str) -> None:
        self.seen.append((told, self._world.one("SELECT count(*) FROM scan_logs")))


def test_neither_broker_nor_gate_gets_an_ack_before_the_commit(
    config: HubConfig, conn: Connection, world: World
) -> None:
    topic = Topics(venue=config.venue).scans("gate-1")
    line = Watching(world, *(Delivery(topic, encode_scans([record(seq)]), seq, 1) for seq in (1, 2, 3)))
    consumer.Consumer(config, line).turn(conn, PATIENCE)
    assert line.seen == [("3 PUBACKs", 3), ("ack", 3)]


def stored(server: Postgres) -> list[int]:
    with connect(server.dsn) as conn:
        return [row[0] for row in World(conn).all("SELECT seq FROM scan_logs ORDER BY seq")]


def test_a_broker_restart_is_survived(config: HubConfig, world: World, tmp_path: Path) -> None:
    from demo.servers import mosquitto

    with mosquitto(tmp_path / "mq") as broker:
        mine = msgspec.structs.replace(config, mqtt=Mqtt(port=broker.port))
        with GateOnMqtt(broker.port, config.venue) as gate, running(mine):
            assert gate.resend(record(1))
            broker.kill()
            broker.start()
            # what was sent meanwhile may be lost; a gate sends again until it is acknowledged
            assert gate.resend(*(record(seq) for seq in range(2, 21)))
    assert world.all("SELECT seq FROM scan_logs ORDER BY seq") == [(seq,) for seq in range(1, 21)]


def test_a_broker_outage_is_one_log_line_and_its_end_another(config: HubConfig, tmp_path: Path) -> None:
    """Though the hub has three links to it."""
    from demo.servers import mosquitto

    with mosquitto(tmp_path / "mq") as broker, capture_logs() as logs:
        mine = msgspec.structs.replace(config, mqtt=Mqtt(port=broker.port))
        with GateOnMqtt(broker.port, config.venue) as gate, running(mine):
            assert gate.resend(record(1))
            broker.kill()
            await_lines(logs, "MQTT broker", 1)
            broker.start()
            await_lines(logs, "MQTT broker", 2)
    assert levels(logs, "MQTT broker") == ["warning", "info"]


def levels(logs: Sequence[Mapping[str, Any]], server: str) -> list[str]:
    """Of the lines about a server."""
    return [line["log_level"] for line in logs if line["event"].startswith(server)]


def await_lines(logs: Sequence[Mapping[str, Any]], server: str, count: int) -> None:
    until(lambda: len(levels(logs, server)) >= count, lambda: str(logs))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_mqtt_thread_is_replaced(config: HubConfig, gate: GateOnMqtt) -> None:
    with running(config):
        assert gate.resend(record(1))
        (thread,) = [found for found in threading.enumerate() if found.name.endswith(client_id(config.venue))]
        raise_in(thread)
        assert gate.resend(record(2))
        assert not thread.is_alive()


def raise_in(thread: threading.Thread) -> None:
    import ctypes

    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
    thread.join(PATIENCE)


def test_a_second_hub_stands_by_and_takes_over(config: HubConfig, gate: GateOnMqtt, conn: Connection) -> None:
    with running(config) as first:
        assert gate.resend(record(1))
        with running(config):
            gate.send(record(2))
            assert gate.wait_for_ack(2)
            first.set()
            assert gate.resend(record(3))


def start_hub(config_file: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "hub.cli.main", "ingest", "--config", str(config_file)])


def test_kill_9_in_mid_stream_loses_and_doubles_nothing(
    config: HubConfig, config_file: Path, gate: GateOnMqtt, world: World
) -> None:
    event = world.event()
    world.gate("gate-1", "", event, config.venue)
    tickets = [world.ticket(event) for _ in range(100)]
    scans = [record(seq, subject_id=tickets[seq % 100]) for seq in range(1, 2001)]
    kills = 0
    hub = start_hub(config_file)
    try:
        while (acked := max((ack.seq for ack in gate.acks), default=0)) < len(scans):
            for start in range(acked, min(acked + 600, len(scans)), 20):
                gate.send(*scans[start : start + 20])
            heard = len(gate.acks)
            gate.wait(lambda before=heard: len(gate.acks) > before, 5.0)  # type: ignore[misc]
            if kills < 3:
                kills += 1
                hub.kill()
                hub.wait()
                hub = start_hub(config_file)
        hub.terminate()
        assert hub.wait(PATIENCE) == 0
    finally:
        hub.kill()
        hub.wait()
    kept = world.all("SELECT seq, scan_id::text FROM scan_logs ORDER BY seq")
    assert kept == [(scan.seq, scan.scan_id) for scan in scans]
    assert world.one("SELECT count(*) FROM tickets WHERE status = 'checked_in'") == 100
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_an_unmigrated_database_is_an_outage_and_loses_nothing(
    config: HubConfig, gate: GateOnMqtt, server: Postgres
) -> None:
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE bare_{config.venue.replace('-', '_')}".encode())
    dsn = server.database(f"bare_{config.venue.replace('-', '_')}")
    bare = msgspec.structs.replace(config, postgres=PostgresConfig(dsn=dsn))
    with running(bare):
        migrate(dsn)
        assert gate.resend(record(1))


def test_while_a_batch_cannot_be_written_no_more_than_the_next_one_is_read(
    config: HubConfig, conn: Connection, world: World, owner_dsn: str
) -> None:
    """What is read leaves the inbox with its bounds for each gate; and a batch stays as large as it was."""
    line, rooms = Watching(world), Topics(venue=config.venue)
    messages = [
        Delivery(
            rooms.scans(gate),
            encode_scans([record(seq, gate_id=gate) for seq in range(first, first + 50)]),
            1,
            1,
        )
        for first in range(1, 400, 50)
        for gate in ("gate-1", "gate-2", "gate-3", "gate-4")
    ]
    for gate in ("gate-1", "gate-2", "gate-3", "gate-4"):
        world.gate(gate, "", venue=config.venue)
    for message in messages:
        line.inbox.put(message)
    conn.execute("SET lock_timeout = '20ms'")
    with ThreadPoolExecutor(1) as writer, connect(owner_dsn) as other:
        hub = consumer.Consumer(config, line, writer=writer)
        other.execute("LOCK TABLE scan_places IN ACCESS EXCLUSIVE MODE")
        for _ in range(5):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                hub.turn(conn, 0)
        assert line.seen == []
        waiting = [line.inbox.get_nowait() for _ in range(len(messages) - 20)]
        with pytest.raises(queue.Empty):
            line.inbox.get_nowait()
        for message in waiting:
            line.inbox.put(message)
        other.rollback()
        for _ in range(4):
            hub.turn(conn, 0)
    assert world.one("SELECT count(*) FROM scan_logs") == 50 * len(messages)
    assert [told for told, _ in line.seen if "PUBACK" in told] == ["10 PUBACKs"] * 3 + ["2 PUBACKs"]
