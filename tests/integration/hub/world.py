"""What the hub's tests set up: a night with tickets and tables, scan records, a gate on MQTT."""

from __future__ import annotations

import contextlib
import ssl
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.subscribeoptions import SubscribeOptions

from gate.rules.model import FeedRow, Kind, Reason, Ruling, ScanRecord
from hub.db.connection import Connection
from hub.db.statements import query
from sync.wire.messages import Ack, Change, decode
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics
from tests.patience import PATIENCE_S

START = datetime(2026, 1, 30, 23, 0, tzinfo=UTC)
PATIENCE = PATIENCE_S


def later(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def record(seq: int = 1, **changes: Any) -> ScanRecord:
    """A scan of gate-1, with what the test needs changed."""
    base = ScanRecord(
        scan_id=str(uuid.uuid4()),
        gate_id="gate-1",
        epoch="e1",
        seq=seq,
        boot_id="boot",
        occurred_at=later(seq),
        monotonic_ms=seq * 1000,
        verdict=Ruling.ADMIT,
        reason=Reason.FIRST_ENTRY,
        line=11,
        kind=Kind.GA,
    )
    return msgspec.structs.replace(base, **changes)


def call(conn: Connection, function: str, *values: Any) -> Any:
    """The one column of the row that a function of the database returns."""
    row = conn.execute(f"SELECT {function} AS answer".encode(), values).fetchone()
    assert row is not None
    return row["answer"]


class World:
    """Rows in a test's database. Every method that adds something returns its id."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn
        self._count = 0

    def one(self, sql: str, *values: Any) -> Any:
        """The first column of the first row."""
        row = self.conn.execute(sql.encode(), values).fetchone()
        return None if row is None else next(iter(row.values()))

    def all(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.conn.execute(sql.encode(), values).fetchall()]

    def run(self, sql: str, *values: Any) -> None:
        self.conn.execute(sql.encode(), values)

    def event(self, code: str = "PF", starts_in: float = 60) -> str:
        """A night whose doors are open and which starts in so many minutes; it ends seven hours later."""
        return str(
            self.one(
                "INSERT INTO events"
                " (name, code, event_date, doors_open_at, starts_at, ends_at, venue_capacity)"
                " SELECT %s, %s, current_date, least(at, now()) - interval '1 hour', at,"
                " at + interval '7 hours', 500 FROM (SELECT now() + make_interval(secs => %s) AS at) n"
                " RETURNING id",
                f"Night {code}",
                code,
                starts_in * 60,
            )
        )

    def moved(self, event_id: str, starts_in: float) -> None:
        """The night starts in so many minutes instead, or has started; it ends seven hours later."""
        self.run(
            "UPDATE events SET doors_open_at = least(n.at, now()) - interval '1 hour', starts_at = n.at,"
            " ends_at = n.at + interval '7 hours' FROM (SELECT now() + make_interval(secs => %s) AS at) n"
            " WHERE id = %s",
            starts_in * 60,
            event_id,
        )

    def ticket(self, event_id: str, guest: str = "Ana", **columns: Any) -> str:
        self._count += 1
        code = columns.pop("code", f"MGY-PF-20260130-{self._count:016d}")
        ticket_id = self.one(
            "INSERT INTO tickets (ticket_id, event_id, qr_code_data, guest_name, status, qr_signature)"
            " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
            code,
            event_id,
            code,
            guest,
            columns.pop("status", "issued"),
            columns.pop("signature", None),
        )
        assert not columns
        return str(ticket_id)

    def table(self, event_id: str, seats: int = 8) -> str:
        self._count += 1
        return str(
            self.one(
                "INSERT INTO event_vip_tables (event_id, table_number, table_name, tier, capacity)"
                " VALUES (%s, %s, 'Mezcal', 'premium', %s) RETURNING id",
                event_id,
                self._count,
                seats,
            )
        )

    def reservation(
        self, event_id: str, status: str = "confirmed", package: str = "{}", seats: int = 8
    ) -> str:
        table = self.table(event_id, seats)
        return str(
            self.one(
                "INSERT INTO vip_reservations (event_id, event_vip_table_id, table_number, purchaser_name,"
                " status, package_snapshot) VALUES (%s, %s, %s, 'Luis', %s, %s) RETURNING id",
                event_id,
                table,
                self._count,
                status,
                package,
            )
        )

    def guest_pass(self, reservation: str, number: int = 1, status: str = "issued") -> str:
        self._count += 1
        return str(
            self.one(
                "INSERT INTO vip_guest_passes (reservation_id, guest_number, guest_name, qr_code_token,"
                " status) VALUES (%s, %s, %s, %s, %s) RETURNING id",
                reservation,
                number,
                f"Guest {number}",
                f"VIP-PASS-{self._count:016d}",
                status,
            )
        )

    def link(self, reservation: str, ticket: str, host: bool = False) -> None:
        self.run(
            "INSERT INTO vip_linked_tickets (vip_reservation_id, ticket_id, is_booker_purchase)"
            " VALUES (%s, %s, %s)",
            reservation,
            ticket,
            host,
        )

    def gate(self, gate_id: str, token_hash: str, event_id: str | None = None, venue: str = "maguey") -> None:
        """A gate created yesterday: it may have been away since then, so that all it sends is a backlog."""
        self.run(
            "INSERT INTO gates (gate_id, venue, name, token_hash, created_at)"
            " VALUES (%s, %s, %s, %s, now() - interval '1 day')",
            gate_id,
            venue,
            gate_id.upper(),
            token_hash,
        )
        if event_id is not None:
            self.run("INSERT INTO gate_events (gate_id, event_id) VALUES (%s, %s)", gate_id, event_id)

    def changes(self, event_id: str, since: int = 0) -> list[Change]:
        wanted = {"event_id": event_id, "since": since, "limit": 100_000}
        rows = self.conn.execute(query("changes_since"), wanted).fetchall()
        return [msgspec.json.decode(row["change"], type=Change) for row in rows]

    def feed(self, event_id: str) -> list[FeedRow]:
        rows = self.conn.execute(query("snapshot_rows"), {"event_id": event_id}).fetchall()
        return [msgspec.json.decode(row["line"], type=FeedRow) for row in rows]


class GateOnMqtt:
    """A gate's end of MQTT: publishes scans, hears acks; `heard` keeps every other message.

    :param tls: its identity, for a broker that asks for one.
    :param hears: the filters below its venue.
    """

    def __init__(
        self,
        port: int,
        venue: str,
        gate_id: str = "gate-1",
        tls: ssl.SSLContext | None = None,
        hears: Sequence[str] = ("#",),
    ) -> None:
        self.topics = Topics(venue=venue)
        self.gate_id = gate_id
        self.acks: list[Ack] = []
        self.heard: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, f"{venue}-{gate_id}", protocol=paho.MQTTv5)
        self._client.on_message = self._on_message
        if tls is not None:
            self._client.tls_set_context(tls)
        wanted = [(f"maguey/v1/{venue}/{one}", SubscribeOptions(qos=1)) for one in hears]
        self._client.on_connect = lambda client, *_: client.subscribe(wanted)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect_async("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, *records: ScanRecord) -> None:
        self.send_raw(encode_scans(records))

    def send_raw(self, payload: bytes, topic: str | None = None) -> None:
        sent = self._client.publish(topic or self.topics.scans(self.gate_id), payload, qos=1)
        sent.wait_for_publish(PATIENCE)

    def resend(self, *records: ScanRecord) -> bool:
        """Do as a gate does: send until the last one is acknowledged."""
        wanted = Ack(epoch=records[-1].epoch, seq=records[-1].seq)
        for _ in range(int(PATIENCE * 4)):
            with contextlib.suppress(RuntimeError):  # not connected
                self.send(*records)
            if self.wait(lambda: wanted in self.acks, 0.25):
                return True
        return False

    def wait_for_ack(self, seq: int, epoch: str = "e1", count: int = 1) -> bool:
        """Wait until `count` acks of exactly this were heard."""
        return self.wait(lambda: self.acks.count(Ack(epoch=epoch, seq=seq)) >= count)

    def wait(self, until: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        with self._changed:
            return self._changed.wait_for(until, seconds)

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        with self._changed:
            if message.topic == self.topics.ack(self.gate_id):
                self.acks.append(decode(bytes(message.payload), Ack))
            else:
                self.heard.append((message.topic, bytes(message.payload)))
            self._changed.notify_all()
