"""A hub to measure: real servers on a real disk, the hub's own processes, a night of tickets."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion

from demo.club import Program
from demo.servers import Mosquitto, Postgres, free_port, mosquitto, postgres
from gate.common.uuids import new_uuid7
from gate.rules.model import Kind, Reason, Ruling, ScanRecord
from hub.config import HubConfig, Mqtt, Web
from hub.config import Postgres as PostgresSection
from hub.db.migrate import migrate
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics

VENUE = "bench"
TOKEN = "a token for measuring only"
PATIENCE_S = 300.0
TOPICS = Topics(venue=VENUE)


@dataclass(frozen=True)
class Ticket:
    """What a scan needs of a ticket."""

    subject_id: str
    code_hash: str


@dataclass
class HubBed:
    """The servers, the database and its night."""

    folder: Path
    broker: Mosquitto
    database: Postgres
    config: HubConfig
    event_id: str = ""
    tickets: list[Ticket] = field(default_factory=list)
    _used: int = 0
    _programs: list[Program] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        """Connection string of the hub's database as its owner; the hub has a login of its own."""
        return self.database.database("maguey")

    def connect(self) -> psycopg.Connection[Any]:
        """A connection to the hub's database in autocommit mode."""
        return psycopg.connect(self.dsn, autocommit=True)

    def program(self, name: str) -> Program:
        """One of the hub's commands, not started."""
        toml = self.folder / "hub.toml"
        made = Program(
            f"hub {name}", ["hub.cli.main", name, "--config", str(toml)], self.folder / f"{name}.log"
        )
        self._programs.append(made)
        return made

    def stop(self) -> None:
        """Stop all programs."""
        for program in self._programs:
            program.stop()

    def take(self, count: int) -> list[Ticket]:
        """The next unused tickets."""
        taken = self.tickets[self._used : self._used + count]
        if len(taken) < count:
            raise ValueError(f"the night has too few tickets for {count} more")
        self._used += count
        return taken


@contextlib.contextmanager
def open_hub(folder: Path, tickets: int, gates: int = 20) -> Iterator[HubBed]:
    """A migrated hub with one night; its programs are not started."""
    folder.mkdir(parents=True, exist_ok=True)
    with mosquitto(folder / "mosquitto") as broker, postgres(folder / "postgres") as database:
        with psycopg.connect(database.dsn, autocommit=True) as admin:
            admin.execute("create database maguey")
        config = HubConfig(
            venue=VENUE,
            postgres=PostgresSection(dsn=database.hub("maguey")),
            mqtt=Mqtt(port=broker.port),
            web=Web(port=free_port()),
        )
        (folder / "hub.toml").write_text(
            f'venue = "{VENUE}"\n[postgres]\ndsn = "{config.postgres.dsn}"\n'
            f"[mqtt]\nport = {broker.port}\n[web]\nport = {config.web.port}\n"
            # in some of the figures one gate stands for a whole venue
            "[watch]\nguests_per_second = 100\n"
        )
        migrate(database.database("maguey"))
        database.make_hub_login()
        bed = HubBed(folder, broker, database, config)
        _sell(bed, tickets, gates)
        try:
            yield bed
        finally:
            bed.stop()


def _sell(bed: HubBed, tickets: int, gates: int) -> None:
    with bed.connect() as conn:
        (bed.event_id,) = conn.execute(
            "insert into events (name, code, event_date, doors_open_at, ends_at, venue_capacity) values"
            " ('Bench', 'BN', current_date, now() - interval '1 hour', now() + interval '8 hours', 500)"
            " returning id::text"
        ).fetchone() or ("",)
        conn.execute(
            "insert into tickets (ticket_id, event_id, qr_code_data, guest_name) select code, %s, code, 'Ana'"
            " from (select 'MGY-BN-20260130-' || lpad(n::text, 16, '0') as code"
            " from generate_series(1, %s) n) t",
            (bed.event_id, tickets),
        )
        conn.execute(
            # created yesterday: their scans count as a day's backlog, and are not throttled
            "insert into gates (gate_id, venue, name, token_hash, created_at) select 'gate-' || n, %s,"
            " 'GATE ' || n, encode(sha256(%s), 'hex'), now() - interval '1 day'"
            " from generate_series(1, %s) n",
            (VENUE, TOKEN.encode(), gates),
        )
        conn.execute("insert into gate_events select gate_id, %s from gates", (bed.event_id,))
        conn.execute("analyze")
        rows = conn.execute("select id::text, code_hash from tickets order by qr_code_data").fetchall()
    bed.tickets = [Ticket(*row) for row in rows]


@dataclass
class Gate:
    """Numbers the records of one gate."""

    gate_id: str
    event_id: str
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    seq: int = 0

    def scan(self, ticket: Ticket) -> ScanRecord:
        """A first entry, now."""
        self.seq += 1
        at = datetime.now(UTC) + timedelta(milliseconds=self.seq)
        return ScanRecord(
            scan_id=new_uuid7(at, os.urandom),
            gate_id=self.gate_id,
            epoch=self.epoch,
            seq=self.seq,
            boot_id=self.boot_id,
            occurred_at=at,
            monotonic_ms=self.seq,
            clock="synced",
            clock_offset_ms=0,
            clock_uncertainty_ms=5,
            verdict=Ruling.ADMIT,
            reason=Reason.FIRST_ENTRY,
            line=11,
            kind=Kind.GA,
            event_id=self.event_id,
            subject_id=ticket.subject_id,
            code_hash=ticket.code_hash,
            released=True,
        )


Packet = tuple[str, bytes]
"""Topic and payload."""


def packets(bed: HubBed, gates: Sequence[Gate], scans: int, size: int) -> list[Packet]:
    """Messages with `size` scans each, `scans` in all, from the gates in turn."""
    made: list[Packet] = []
    tickets = iter(bed.take(scans))
    turn = 0
    left = scans
    while left:
        gate = gates[turn % len(gates)]
        batch = [gate.scan(next(tickets)) for _ in range(min(size, left))]
        made.append((TOPICS.scans(gate.gate_id), encode_scans(batch)))
        left, turn = left - len(batch), turn + 1
    return made


class Client:
    """A client of the broker; `heard` gets each message with its time of arrival (`time.perf_counter`)."""

    def __init__(self, port: int, client_id: str, *topics: str) -> None:
        self.heard: queue.SimpleQueue[tuple[float, str, bytes]] = queue.SimpleQueue()
        self._up = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self._client.max_inflight_messages_set(100)
        self._client.max_queued_messages_set(0)
        self._client.on_socket_open = lambda _c, _d, sock: sock.setsockopt(  # type: ignore[attr-defined]
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )
        self._client.on_connect = lambda client, *_: self._subscribe(client, topics)
        self._client.on_subscribe = lambda *_: self._up.set()
        self._client.on_message = lambda _c, _u, m: self.heard.put(
            (time.perf_counter(), m.topic, bytes(m.payload))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not self._up.wait(PATIENCE_S):
            raise TimeoutError("the broker does not answer")

    def _subscribe(self, client: paho.Client, topics: Sequence[str]) -> None:
        if topics:
            client.subscribe([(topic, 1) for topic in topics])
        else:
            self._up.set()

    def answers(self, topic: str) -> None:
        """Echo every message on this topic."""

        def again(client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
            client.publish(topic, message.payload, qos=1)

        self._client.on_message = again

    def say(self, topic: str, payload: bytes) -> paho.MQTTMessageInfo:
        """Publish at QoS 1."""
        return self._client.publish(topic, payload, qos=1)

    def say_all(self, wanted: Sequence[Packet]) -> None:
        """Publish, and wait until the broker has everything."""
        for info in [self.say(*packet) for packet in wanted]:
            info.wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, checked every 10 ms. Raises `TimeoutError`."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)
