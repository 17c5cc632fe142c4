"""One gate harms no other: floods beside honest gates (protocol 4.5; quality 7.1, invariants 19 and 20).

The broker is configured as in config/mosquitto, with certificates and ACL; the hub is a process of its own.
Nothing here measures speed: the tests wait for what they expect, and every bound is a count.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from demo.servers import free_port, mosquitto_of
from gate.rules.alert import Alert
from gate.rules.first_entry import Claim, Grant, Returned
from gate.rules.model import ScanRecord
from hub.config import HubConfig
from hub.db.connection import Connection
from hub.gates.budgets import GateFloods
from hub.gates.status_listener import StatusListener
from hub.ingest import consumer
from hub.ingest.batch import Batch, write_batch
from hub.ingest.consumer import BATCH_RECORDS
from hub.mqtt.inbox import Delivery
from sync.wire.messages import GateStatus, Probe, decode, encode
from sync.wire.scans import BATCH_LIMIT, encode_scans
from sync.wire.topics import Topics
from tests.certificates import Authority
from tests.integration.hub.asking import Desk, Night, new_id
from tests.integration.hub.test_claims import Asking
from tests.integration.hub.test_consumer import Watching
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, record
from tests.integration.test_broker import _production
from tests.raw_mqtt import RawGate

VENUE = "maguey"
HONEST = ("gate-1", "gate-2")
FLOODER = "gate-3"
AT_ONCE = 300
"""Admissions a gate may send at once (`hub.gates.budgets`), and a batch that exceeds that."""
MOST = AT_ONCE + BATCH_LIMIT
BEHIND = 10_000
"""If the flood sends fewer messages than this until a claim is answered, the claim did not wait for them."""
GROWTH_KIB = 96 * 1024


class Door(Asking):
    """A door with a hub: claims, admits whom it is granted, and sends that scan until it is acknowledged."""

    seq = 0

    @functools.cached_property
    def epoch(self) -> str:
        """No other door has it: the broker may still hold scans of the last test for the hub."""
        return new_id()

    def ask(self, night: Night, code: str = "") -> tuple[Claim, Grant]:
        """Claim this ticket, or a new one."""
        code = code or night.code()
        claim = Claim(scan_id=new_id(), code_hash=code, event_id=night.event, epoch=self.epoch)
        grant = self.claim(claim)
        assert grant is not None
        return claim, grant

    def admit(self, night: Night, code: str) -> bool:
        claim, grant = self.ask(night, code)
        if grant.answer != "granted":
            return False
        self.seq += 1
        about = {"gate_id": self.gate_id, "epoch": self.epoch, "event_id": night.event, "code_hash": code}
        scan = record(self.seq, scan_id=claim.scan_id, **about)
        assert self.resend(scan)
        return True


@dataclass
class Club:
    """A broker as in production, and the authority that issues its certificates."""

    authority: Authority
    hub_authority: Authority
    port: int
    hub_port: int

    def tls(self, name: str) -> ssl.SSLContext:
        mine = self.authority.issue(name)
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.load_cert_chain(mine.certificate, mine.key)
        return context

    def gate(self, name: str) -> Door:
        hears = ("alerts", f"gates/{name}/ack", f"gates/{name}/grants")
        return Door(self.port, VENUE, name, self.tls(name), hears)


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Club]:
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.issue("127.0.0.1", file="broker", address="127.0.0.1")
    authority.list_revoked()
    the_hubs = Authority(tmp_path_factory.mktemp("hub-authority"), "Maguey test hub authority")
    hub_port = free_port()
    folder = tmp_path_factory.mktemp("broker")
    with mosquitto_of(
        folder, lambda home, port: _production(authority, the_hubs, home, port, hub_port)
    ) as broker:
        yield Club(authority, the_hubs, broker.port, hub_port)


class Hub:
    """`maguey-hub ingest` on that broker; `log`: its lines."""

    def __init__(self, club: Club, dsn: str, folder: Path) -> None:
        mine = club.hub_authority.issue("maguey-hub")
        file = folder / "hub.toml"
        file.write_text(
            f'venue = "{VENUE}"\n[postgres]\ndsn = "{dsn}"\n[mqtt]\nport = {club.hub_port}\n'
            f'ca_file = "{club.authority.file}"\ncert_file = "{mine.certificate}"\nkey_file = "{mine.key}"\n'
        )
        self._log = folder / "hub.log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "hub.cli.main", "ingest", "--config", str(file)]
            self._process = subprocess.Popen(command, stderr=log)

    def lines(self) -> list[str]:
        return self._log.read_text().splitlines()

    def memory_kib(self) -> int:
        """Peak memory (proc(5))."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def night(world: World) -> Night:
    """Its gates were never away, so all they send is current."""
    night = Night(world, gates=3, venue=VENUE)
    world.run("UPDATE gates SET created_at = now()")
    return night


@pytest.fixture
def hub(club: Club, dsn: str, tmp_path: Path, night: Night) -> Iterator[Hub]:
    running = Hub(club, dsn, tmp_path)
    yield running
    running.end()


@contextlib.contextmanager
def flooding(gate: GateOnMqtt, topic: str, payloads: Iterator[bytes]) -> Iterator[threading.Event]:
    """Publish as fast as possible until the block is left. The event is set once a hundred are out."""
    stop, begun = threading.Event(), threading.Event()

    def publish() -> None:
        for number, payload in enumerate(payloads):
            if stop.is_set():
                return
            with contextlib.suppress(RuntimeError):
                gate.send_raw(payload, topic)
            if number == 100:
                begun.set()

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield begun
    finally:
        stop.set()
        thread.join(PATIENCE)


def forged(night: Night, codes: list[str]) -> Iterator[bytes]:
    """Well-formed batches of admissions of other guests' tickets; then of unknown ones."""
    numbers = itertools.count(1)
    guests = itertools.chain(codes, (f"{number:064x}" for number in itertools.count(1)))
    while True:
        yield encode_scans(
            [
                record(
                    next(numbers), gate_id=FLOODER, code_hash=next(guests), event_id=night.event, epoch="f"
                )
                for _ in range(BATCH_LIMIT)
            ]
        )


def named(gate: GateOnMqtt) -> list[str]:
    alerts = [decode(payload, Alert) for topic, payload in gate.heard if topic == gate.topics.alerts()]
    return [alert.gate for alert in alerts if alert.reason == "flooding"]


def test_a_flood_of_scans_harms_no_other_gate_and_is_named(
    club: Club, hub: Hub, night: Night, world: World
) -> None:
    guests, bait = [night.code() for _ in range(20)], [night.code() for _ in range(1_000)]
    with club.gate(HONEST[0]) as one, club.gate(HONEST[1]) as two, club.gate(FLOODER) as three:
        assert one.admit(night, guests[0])
        before = hub.memory_kib()
        began = time.monotonic()
        with flooding(three, three.topics.scans(FLOODER), forged(night, bait)) as begun:
            assert begun.wait(PATIENCE)
            entered = 1
            for first, code in zip(itertools.cycle((one, two)), guests[1:], strict=False):
                second = two if first is one else one
                entered += first.admit(night, code) + second.admit(night, code)
            assert one.wait(lambda: named(one) == [FLOODER])
            assert two.wait(lambda: named(two) == [FLOODER])
        lasted = time.monotonic() - began
    assert entered == len(guests)  # each of them once, though both gates asked for each
    kept = dict(world.all("SELECT gate_id, count(*) FROM scan_logs GROUP BY gate_id"))
    assert sum(kept[gate] for gate in HONEST) == len(guests)
    assert kept[FLOODER] <= MOST + 3 * (lasted + 10) + BATCH_LIMIT
    assert world.one("SELECT count(*) FROM scan_conflicts WHERE code_hash = ANY (%s)", guests) == 0
    assert hub.memory_kib() - before < GROWTH_KIB
    assert len(hub.lines()) < 20
    assert len([line for line in hub.lines() if "more than any door can" in line]) == 1


def test_a_flood_of_claims_keeps_no_guest_out_elsewhere_and_is_named(
    club: Club, hub: Hub, night: Night, world: World
) -> None:
    guests = [night.code() for _ in range(1_000)]
    claims = (
        encode(Claim(scan_id=new_id(), code_hash=code, event_id=night.event, epoch="f")) for code in guests
    )
    with club.gate(HONEST[0]) as one, club.gate(FLOODER) as three:
        assert one.admit(night, night.code())
        began = time.monotonic()
        with flooding(three, three.topics.claims(FLOODER), claims) as begun:
            assert begun.wait(PATIENCE)
            assert one.wait(lambda: named(one) == [FLOODER])
            # the flooder's first claims: if they were granted, they were taken back
            assert [one.admit(night, code) for code in guests[:20]] == [True] * 20
        lasted = time.monotonic() - began
    granted = "SELECT count(*) FROM claims WHERE gate_id = %s AND answer = 'granted'"
    assert world.one(granted, FLOODER) <= 95 + 3 * lasted  # as many as walk through a door in that time
    assert world.one(f"{granted} AND released_at IS NULL", FLOODER) == 0
    assert len(hub.lines()) < 20


def test_junk_costs_a_bounded_number_of_rows_and_log_lines(
    club: Club, hub: Hub, night: Night, world: World
) -> None:
    junk = (b"junk %d" % number for number in itertools.count())
    with club.gate(HONEST[0]) as one, club.gate(FLOODER) as three:
        assert one.admit(night, night.code())
        began = time.monotonic()
        with flooding(three, three.topics.scans(FLOODER), junk):
            assert one.wait(lambda: named(one) == [FLOODER])
            assert one.admit(night, night.code())
        lasted = time.monotonic() - began
    assert world.one("SELECT count(*) FROM scan_quarantine") <= 1250 + 12 * (lasted + 10)
    assert len(hub.lines()) < 20


@pytest.mark.parametrize(
    ("leaves", "qos"), [(("claims",), 0), (("claims",), 1), (("scans", "status", "claims", "replies"), 0)]
)
def test_claims_are_answered_beside_a_flood_of_small_messages_which_is_named(
    club: Club, hub: Hub, night: Night, leaves: tuple[str, ...], qos: int
) -> None:
    """The flood is as fast as the broker takes it. What was sent until a claim was answered shows whether the
    claim waited behind it: the hub cannot take a fifth of the flood.
    """
    topics = [f"maguey/v1/{VENUE}/gates/{FLOODER}/{leaf}" for leaf in leaves]
    with club.gate(HONEST[0]) as one, RawGate(club.port, FLOODER, club.tls(FLOODER)) as three:
        assert one.admit(night, night.code())
        before = hub.memory_kib()
        three.flood(topics, qos)
        assert one.wait(lambda: named(one) == [FLOODER])
        waited = [three.meanwhile(lambda: one.ask(night)) for _ in range(30)]
        assert one.admit(night, night.code())
        three.stop()
    assert len([sent for sent in waited if sent < BEHIND]) > 20
    assert hub.memory_kib() - before < GROWTH_KIB
    assert len(hub.lines()) < 20
    if (leaves, qos) == (("claims",), 0):
        with club.gate(FLOODER) as three_again:
            assert three_again.admit(night, night.code())


# --- turn by turn ---


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def batch(
    gate: str, first: int, count: int = BATCH_LIMIT, epoch: str = "e1"
) -> tuple[bytes, list[ScanRecord]]:
    records = [record(seq, gate_id=gate, epoch=epoch) for seq in range(first, first + count)]
    return encode_scans(records), records


def put(line: Watching, config: HubConfig, gate: str, payload: bytes) -> bool:
    return line.inbox.put(Delivery(Topics(venue=config.venue).scans(gate), payload, 1, 1))


def test_an_honest_gates_scan_is_in_the_first_batch_despite_a_waiting_flood(
    config: HubConfig, conn: Connection, world: World
) -> None:
    line = Watching(world)
    world.gate("flooder", "", venue=config.venue)
    for number in range(100):
        put(line, config, "flooder", batch("flooder", 1 + number * BATCH_LIMIT)[0])
    put(line, config, "gate-1", batch("gate-1", 1, 1)[0])
    consumer.Consumer(config, line).turn(conn, PATIENCE)
    assert world.one("SELECT count(*) FROM scan_logs WHERE gate_id = 'gate-1'") == 1
    assert world.one("SELECT count(*) FROM scan_logs") <= BATCH_RECORDS + BATCH_LIMIT


def test_records_over_a_gates_share_are_dropped_and_taken_when_sent_again(
    config: HubConfig, conn: Connection, world: World
) -> None:
    clock, line = Clock(), Watching(world)
    world.gate("gate-1", "", venue=config.venue)
    world.run("UPDATE gates SET created_at = now()")
    hub, sent = consumer.Consumer(config, line, clock), [batch("gate-1", 1 + n * 50)[0] for n in range(10)]
    for payload in sent:
        put(line, config, "gate-1", payload)
    for _ in range(2):
        hub.turn(conn, 0.0)
    assert not line.inbox._turns  # the broker was told that it may forget all of it
    assert AT_ONCE <= world.one("SELECT count(*) FROM scan_logs") <= MOST
    for _ in range(20):
        clock.now += 30
        for payload in sent:
            put(line, config, "gate-1", payload)
        hub.turn(conn, 0.0)
    assert world.one("SELECT count(*) FROM scan_logs") == 500
    assert world.one("SELECT seq FROM gate_watermarks") == 500
    assert world.all("SELECT gate_id, reason FROM alerts") == [("gate-1", "flooding")]


def test_a_flood_raises_an_alert_every_ten_minutes_and_its_end_is_logged_once(
    conn: Connection, world: World
) -> None:
    clock = Clock()
    floods = GateFloods("maguey", "scans", clock)
    told = []
    with capture_logs() as logs:
        for second in range(0, 1_400, 10):
            clock.now = float(second)
            if second < 1_000:
                floods.turned_away("gate-9")
            if floods.record(conn):
                told.append(second)
            world.run("UPDATE alerts SET at = at - interval '10 seconds'")
    assert told == [0, 600]
    assert world.all("SELECT gate_id, reason, venue FROM alerts") == [("gate-9", "flooding", "maguey")] * 2
    assert [(line["gate_id"], line["turned_away"]) for line in logs] == [("gate-9", 100)]


def test_the_backlog_of_twenty_gates_is_taken_at_once_and_nobody_is_named(
    config: HubConfig, conn: Connection, world: World
) -> None:
    """The gates were offline for a day; `make bench ONLY=ingest` does the same with 100,000 scans."""
    line = Watching(world)
    for n in range(20):
        world.gate(f"gate-{n}", "", venue=config.venue)
    for number in range(9):
        for n in range(20):
            assert put(line, config, f"gate-{n}", batch(f"gate-{n}", 1 + number * 50)[0])
    hub = consumer.Consumer(config, line, Clock())
    while line.inbox._turns:
        hub.turn(conn, 0.0)
    assert world.one("SELECT count(*) FROM scan_logs") == 9 * 20 * 50
    assert world.one("SELECT count(*) FROM alerts") == 0


def test_a_salvaged_journal_sent_again_as_a_whole_is_no_flood(
    config: HubConfig, conn: Connection, world: World
) -> None:
    clock, line = Clock(), Watching(world)
    world.gate("gate-1", "", venue=config.venue)
    hub = consumer.Consumer(config, line, clock)
    journal = [record(seq) for seq in range(1, 1501)]
    for epoch in ("e1", "e2"):
        numbered = [msgspec.structs.replace(one, epoch=epoch) for one in journal]
        for start in range(0, len(journal), BATCH_LIMIT):
            put(line, config, "gate-1", encode_scans(numbered[start : start + BATCH_LIMIT]))
        while line.inbox._turns:
            hub.turn(conn, 0.0)
        # from now on the hub counts as having everything from this gate
        world.run("UPDATE gates SET created_at = now()")
        clock.now += 10
    assert world.one("SELECT seq FROM gate_watermarks WHERE epoch = 'e2'") == 1500
    assert world.one("SELECT count(*) FROM alerts") == 0


# --- claims, turn by turn ---


@pytest.fixture
def desk(conn: Connection) -> Desk:
    return Desk(conn)


def test_a_gate_that_claims_too_fast_gets_no_answer_and_its_grants_are_freed(
    world: World, conn: Connection, desk: Desk
) -> None:
    night = Night(world)
    codes = [night.code() for _ in range(150)]

    def claim(code: str) -> Claim:
        return Claim(scan_id=new_id(), code_hash=code, event_id=night.event, epoch="e1")

    for start in range(0, len(codes), 50):
        for code in codes[start : start + 50]:
            desk.hear("gate-1", claim(code))
        desk.turn()
        desk.wait(0.2)
    assert world.all("SELECT gate_id, reason FROM alerts") == [("gate-1", "flooding")]
    assert world.one("SELECT count(*) FROM claims WHERE answer = 'granted'") <= 95
    assert world.one("SELECT count(*) FROM claims WHERE released_at IS NULL") == 0
    desk.hear("gate-1", Probe(id=1))
    assert desk.turn() == []
    for code in codes[:10]:
        desk.hear("gate-2", claim(code))
    assert [message.answer for _, message in desk.turn()] == ["granted"] * 10  # type: ignore[union-attr]
    desk.wait(120)
    desk.hear("gate-1", Probe(id=2))
    desk.hear("gate-1", claim(codes[140]))
    assert len(desk.turn()) == 2  # it kept quiet, so it is answered again


def test_a_flood_of_returns_makes_a_bounded_number_of_rows(world: World, desk: Desk) -> None:
    Night(world)
    for _ in range(20):
        for _ in range(100):
            desk.hear("gate-1", Returned(scan_id=new_id()))
        desk.turn()
        desk.wait(1)
    assert world.one("SELECT count(*) FROM claims") <= 90 + 3 * 21


# --- statuses and replies, turn by turn ---


def test_a_flood_of_statuses_is_bounded_and_another_gate_is_heard(conn: Connection, world: World) -> None:
    world.gate("gate-1", "")
    world.gate("gate-2", "")
    topics, line = Topics(venue="maguey"), Watching(world)
    heard, now = StatusListener(line, topics), datetime.now(UTC)
    with capture_logs() as logs:
        for turn in range(20):
            for number in range(100):
                junk = b"junk" if number % 2 else encode(GateStatus(gate_id="gate-1", online=True))
                line.inbox.put(Delivery(topics.status("gate-1"), junk, 1, 1))
            if turn == 19:
                line.inbox.put(
                    Delivery(topics.status("gate-2"), encode(GateStatus(gate_id="gate-2", online=True)), 1, 1)
                )
            heard.turn(conn, 0.0, now + timedelta(seconds=turn))
    assert world.all("SELECT gate_id FROM gate_status ORDER BY gate_id") == [("gate-1",), ("gate-2",)]
    assert world.all("SELECT gate_id, reason FROM alerts") == [("gate-1", "flooding")]
    assert len(logs) <= 2


def test_the_hub_knows_since_when_a_gates_records_are_incomplete(conn: Connection, world: World) -> None:
    """By its own count: nothing a gate says of its journal makes its budget larger."""
    world.gate("gate-1", "")
    topics, line, now = Topics(venue="maguey"), Watching(world), datetime.now(UTC)
    heard = StatusListener(line, topics)

    def complete(last_seq: int, at: datetime) -> datetime | None:
        status = GateStatus(
            gate_id="gate-1", online=True, epoch="e1", last_seq=last_seq, acked=last_seq, boot_id="b1",
            monotonic_ms=last_seq + 1,
        )  # fmt: skip
        line.inbox.put(Delivery(topics.status("gate-1"), encode(status), 1, 1))
        heard.turn(conn, 0.0, at)
        found: datetime | None = world.one("SELECT complete_at FROM gate_status")
        return found

    assert complete(0, now) == now
    assert complete(BATCH_LIMIT, now + timedelta(seconds=10)) == now + timedelta(seconds=10)
    assert complete(20_000, now + timedelta(seconds=20)) == now + timedelta(seconds=10)
    records = tuple(record(seq) for seq in range(1, 101))
    write_batch(conn, Batch(records=records, topics={"gate-1": topics.scans("gate-1")}))
    assert complete(20_001, now + timedelta(seconds=30)) == now + timedelta(seconds=10)
    world.run("UPDATE gate_watermarks SET seq = 20002")
    assert complete(20_002, now + timedelta(seconds=40)) == now + timedelta(seconds=40)
