"""From the moment a gate is revoked, nothing it sends counts, and everybody knows (protocol 4.5)."""

from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gate.rules.alert import Alert
from gate.rules.command import OrderReply
from gate.rules.model import EventKind, Ruling, ScanRecord
from hub.config import HubConfig
from hub.db.call import call
from hub.db.connection import Connection, connect
from hub.errors import UsageError
from hub.gates.alerts import AlertPublisher
from hub.gates.orders import take_reply
from hub.gates.revocation import revoke
from hub.gates.signing_key import make_key
from hub.gates.status_listener import StatusListener
from hub.ingest.batch import Batch, read_batch, write_batch
from hub.mqtt.inbox import Delivery, FairInbox
from sync.wire.messages import Ack, GateStatus, decode, encode
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics
from tests.integration.hub.asking import NOW, VENUE, Night, new_id
from tests.integration.hub.test_cli import hub
from tests.integration.hub.test_lending import until_blocked
from tests.integration.hub.world import GateOnMqtt, World, record


@pytest.fixture
def night(world: World) -> Night:
    return Night(world)


class Line:
    """A `hub.mqtt.link.HubLink` without a network."""

    def __init__(self) -> None:
        self.inbox = FairInbox()
        self.connects = 1
        self.is_up = True
        self.said: list[tuple[str, bytes]] = []

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> None:  # noqa: ARG002
        self.said.append((topic, payload))

    def acknowledge(self, *messages: Delivery) -> None:
        pass

    def tend(self) -> None:
        pass


def take(conn: Connection, *records: ScanRecord) -> list[tuple[str, Ack]]:
    topics = {r.gate_id: Topics(venue=VENUE).scans(r.gate_id) for r in records}
    return write_batch(conn, Batch(records=records, topics=topics)).acks


def revoked(conn: Connection, gate_id: str = "gate-1") -> str:
    return revoke(conn, VENUE, gate_id, actor="Eva", reason="stolen from the door", now=datetime.now(UTC))


EFFECTS = (
    "SELECT * FROM tickets ORDER BY id",
    "SELECT * FROM vip_guest_passes ORDER BY id",
    "SELECT * FROM vip_reservations ORDER BY id",
    "SELECT * FROM vip_scan_logs ORDER BY id",
    "SELECT * FROM scan_conflicts ORDER BY id",
    "SELECT * FROM admission_changes ORDER BY event_id, version",
    "SELECT * FROM scan_logs ORDER BY scan_id",
    "SELECT * FROM scan_places ORDER BY scan_id",
    "SELECT * FROM boots ORDER BY 1, 2, 3",
    "SELECT * FROM boot_clocks ORDER BY 1, 2",
    "SELECT * FROM claims ORDER BY scan_id",
    "SELECT * FROM alerts ORDER BY number",
)


def effects(world: World) -> list[Any]:
    return [world.all(sql) for sql in EFFECTS]


def code_of(number: uuid.UUID) -> str:
    """A code of its own for a night."""
    return "".join(chr(ord("A") + int(digit, 16)) for digit in number.hex[:6])


def evidence(world: World, gate_id: str = "gate-1") -> int:
    found = world.one("SELECT count(*) FROM scan_quarantine WHERE gate_id = %s", gate_id)
    assert isinstance(found, int)
    return found


def test_a_revoked_gates_scans_are_kept_as_evidence_and_change_nothing(
    night: Night, world: World, conn: Connection
) -> None:
    known, other = world.ticket(night.event), world.ticket(night.event)
    table = world.reservation(night.event)
    guest = world.guest_pass(table)
    before = record(1, event_id=night.event, subject_id=known)
    take(conn, before)
    revoked(conn)
    counted = effects(world)
    late = [
        record(2, event_id=night.event, subject_id=other),
        record(3, event_id=night.event, subject_id=guest, kind="vip_pass"),
        record(4, event_id=night.event, subject_id=known),
        record(5, record="annulled", refers_to=before.scan_id, verdict=Ruling.NONE, reason=EventKind.EXPIRED),
        record(6, record="event", verdict=Ruling.NONE, reason="tamper"),
        record(7, code_hash="e" * 64, event_id=night.event),
    ]
    assert take(conn, before, *late) == [("gate-1", Ack(epoch="e1", seq=7))]
    assert effects(world) == counted
    assert evidence(world) == len(late)
    assert world.one("SELECT checked_in_by FROM tickets WHERE id = %s", known) == "gate-1"
    # sent again, it adds nothing
    take(conn, before, *late)
    assert evidence(world) == len(late)


def test_the_others_of_a_batch_with_a_revoked_gate_count(
    night: Night, world: World, conn: Connection
) -> None:
    ticket = world.ticket(night.event)
    revoked(conn)
    take(
        conn,
        record(1, event_id=night.event, subject_id=ticket),
        record(1, gate_id="gate-2", event_id=night.event, subject_id=ticket),
    )
    assert world.all("SELECT checked_in_by FROM tickets") == [("gate-2",)]
    assert world.all("SELECT gate_id FROM scan_logs") == [("gate-2",)]
    assert world.one("SELECT count(*) FROM scan_conflicts") == 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    scans=st.lists(
        st.tuples(st.sampled_from(["gate-1", "gate-2"]), st.integers(0, 3), st.booleans()),
        min_size=1,
        max_size=12,
    ),
    at=st.integers(0, 12),
)
def test_of_scans_around_a_revocation_only_those_before_it_count(
    world: World, conn: Connection, scans: list[tuple[str, int, bool]], at: int
) -> None:
    event = world.event(code_of(uuid.uuid4()))
    gates = {name: f"{name}-{uuid.uuid4().hex[:8]}" for name in ("gate-1", "gate-2")}
    for gate_id in gates.values():
        world.gate(gate_id, "", event, VENUE)
    tickets = [world.ticket(event, code=f"MGY-PF-{uuid.uuid4().hex.upper()}") for _ in range(4)]
    seq = dict.fromkeys(gates, 0)
    counts: dict[str, int] = {}
    for number, (name, ticket, enters) in enumerate(scans):
        if number == at:
            revoked(conn, gates["gate-1"])
        seq[name] += 1
        one = record(seq[name], gate_id=gates[name], event_id=event, subject_id=tickets[ticket])
        take(conn, one if enters else msgspec.structs.replace(one, verdict=Ruling.DENY))
        if name == "gate-1" and number >= at:
            continue
        counts[gates[name]] = counts.get(gates[name], 0) + 1
    names = list(gates.values())
    kept = dict(
        world.all("SELECT gate_id, count(*) FROM scan_logs WHERE gate_id = ANY(%s) GROUP BY 1", names)
    )
    assert kept == counts
    late = seq["gate-1"] - counts.get(gates["gate-1"], 0)
    assert evidence(world, gates["gate-1"]) == late
    entered = world.one(
        "SELECT count(*) FROM tickets t JOIN scan_logs s ON s.scan_id = t.checked_in_scan"
        " WHERE t.event_id = %s AND t.status = 'checked_in'",
        event,
    )
    assert entered == world.one("SELECT count(*) FROM tickets WHERE event_id = %s AND is_used", event)


def test_a_revoked_gate_is_granted_nothing_and_its_grants_are_freed_at_once(
    night: Night, world: World, conn: Connection
) -> None:
    held, used = night.code(), night.code()
    scan = new_id()
    assert [night.answer("gate-1", held), night.answer("gate-1", used, scan)] == ["granted", "granted"]
    night.ingest("gate-1", 1, used, scan)
    revoked(conn)
    free = world.all("SELECT code_hash, released_by FROM claims WHERE released_at IS NOT NULL")
    assert free == [(held, "revoked")]
    assert night.ask("gate-1", night.code()) == {"refused": "the gate was revoked"}
    assert [night.answer("gate-2", held), night.answer("gate-2", used)] == ["granted", "taken"]


def test_a_revoked_homes_answer_about_its_tickets_does_not_count(
    night: Night, world: World, conn: Connection
) -> None:
    """Otherwise it could call every ticket used, and its guests would be refused everywhere."""
    night.divide("gate-1")
    code, scan = night.code(), new_id()
    told = night.ask("gate-2", code, scan, heard=["gate-1", "gate-2"])
    assert told is not None
    assert told["lend"] == "gate-1"
    revoked(conn)
    wanted = {"venue": VENUE, "home": "gate-1", "scan": scan, "code_hash": code, "lent": False}
    assert call(conn, "take_lend_answer", used=True, heard=["gate-1"], now=NOW, **wanted) is None
    assert world.one("SELECT answer FROM claims WHERE scan_id = %s", scan) is None
    # nor is it asked any more, whether it was heard or not
    told = night.ask("gate-2", night.code(), heard=["gate-1", "gate-2"])
    assert told is not None
    assert told["grant"] == {"answer": "elsewhere", "home": "gate-1"}


def test_a_revoked_gates_statuses_and_replies_to_orders_do_not_count(
    night: Night, world: World, conn: Connection
) -> None:
    order = new_id()
    world.run(
        "INSERT INTO commands (id, venue, gate_id, action, text, reason, actor, key_id, issued_at,"
        " expires_at)"
        " VALUES (%s, %s, 'gate-1', 'release', '', 'r', 'a', 'C1', %s, %s)", order, VENUE, NOW,
        NOW + timedelta(seconds=30),
    )  # fmt: skip
    revoked(conn)
    status = GateStatus(
        gate_id="gate-1", online=True, version="1", boot_id="b", clock="synced", at=NOW, monotonic_ms=5,
        clock_uncertainty_ms=3, epoch="e1", last_seq=0, acked=0, door=True,
    )  # fmt: skip
    line = Line()
    statuses = StatusListener(line, Topics(venue=VENUE))
    line.inbox.put(Delivery(Topics(venue=VENUE).status("gate-1"), encode(status), 1, 1))
    statuses.turn(conn, 0.0, NOW)
    assert world.all("SELECT gate_id FROM gate_status") == []
    assert world.all("SELECT gate_id FROM boot_clocks") == []
    take_reply(conn, OrderReply(id=order, gate_id="gate-1", outcome="done", why=""), NOW)
    assert world.all("SELECT outcome FROM commands") == [(None,)]


def test_a_revoked_gates_status_frees_no_grant(night: Night, world: World, conn: Connection) -> None:
    code = night.code()
    night.answer("gate-1", code)
    world.run("UPDATE gates SET status = 'revoked', revoked_at = now() WHERE gate_id = 'gate-1'")
    assert night.sweep("gate-1", 5) == 0
    assert world.one("SELECT seen_boot FROM claims") is None


def test_the_other_gates_are_told_at_once_and_the_actor_is_recorded(
    night: Night, world: World, conn: Connection
) -> None:
    said = revoked(conn)
    assert said.startswith("gate-1 is revoked")
    line = Line()
    AlertPublisher(line, Topics(venue=VENUE), lambda: 10.0).publish_due(conn)
    told = [decode(payload, Alert) for topic, payload in line.said if topic == Topics(venue=VENUE).alerts()]
    assert [(alert.gate, alert.reason) for alert in told] == [("gate-1", "revoked")]
    audit = world.all("SELECT actor, action, target, reason FROM audit_log")
    assert audit == [("Eva", "revoke gate", "gate-1", "stolen from the door")]
    assert "was revoked before" in revoked(conn)
    assert world.one("SELECT count(*) FROM audit_log") == 1


def test_a_gate_of_another_venue_or_an_unknown_one_is_not_revoked(
    night: Night, world: World, conn: Connection
) -> None:
    world.gate("elsewhere-1", "", None, "cantina")
    for gate_id in ("elsewhere-1", "nobody"):
        with pytest.raises(UsageError, match="has no gate"):
            revoked(conn, gate_id)
    assert world.one("SELECT count(*) FROM gates WHERE status = 'revoked'") == 0


@pytest.mark.parametrize("name", ["maguey-hub", "maguey-hub-main", "Maguey-Hub-claims-main"])
def test_no_gate_may_have_a_name_like_the_hubs(world: World, name: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="gates_not_the_hub"):
        world.gate(name, "")


def test_a_scan_in_an_open_batch_is_before_or_after_a_revocation_never_both(
    night: Night, world: World, conn: Connection, dsn: str
) -> None:
    ticket = world.ticket(night.event)
    with connect(dsn, autocommit=True) as other, ThreadPoolExecutor(1) as pool:
        with conn.transaction():
            take(conn, record(1, event_id=night.event, subject_id=ticket))
            waiting = pool.submit(revoked, other)
            until_blocked(world, other.info.backend_pid)
        waiting.result(30)
    assert world.one("SELECT status FROM tickets") == "checked_in"
    assert evidence(world) == 0


def test_retained_scans_are_ignored(night: Night, world: World, conn: Connection) -> None:
    scan = record(1, event_id=night.event, subject_id=world.ticket(night.event))
    topic = Topics(venue=VENUE).scans("gate-1")
    message = Delivery(topic, encode_scans([scan]), 1, 1, retained=True)
    assert write_batch(conn, read_batch(message, Topics(venue=VENUE))).acks == []
    assert world.all("SELECT status FROM tickets") == [("issued",)]
    assert world.one("SELECT count(*) FROM scan_logs") == 0


def test_the_command_revokes_and_gates_says_so(config_file: Path, config: HubConfig, world: World) -> None:
    world.gate("gate-1", "", venue=config.venue)
    who = ("--reason", "stolen", "--actor", "Eva", "--config", str(config_file))
    done = hub("gate", "revoke", "gate-1", "--wait", "0", *who)
    # nobody has locked it out of the broker yet, and that is said
    assert (done.returncode, "not proved" in done.stderr) == (1, True)
    assert "gate-1 is revoked" in done.stdout
    told = hub("gate", "list", "--config", str(config_file))
    assert re.search(r"gate-1 +revoked \d+ \w+ ago +none since", told.stdout)
    assert hub("gate", "revoke", "gate-9", *who).returncode == 2
    assert hub("gate", "revoke", "gate-1", "--reason", " ", *who[2:]).returncode == 2


def test_no_order_goes_to_a_revoked_gate(
    config_file: Path, config: HubConfig, world: World, tmp_path: Path
) -> None:
    key = tmp_path / "command.key"
    make_key(key)
    config_file.write_text(f'{config_file.read_text()}[commands]\nkey_file = "{key}"\nkey_id = "C1"\n')
    world.gate("gate-1", "", venue=config.venue)
    world.run("UPDATE gates SET status = 'revoked', revoked_at = now()")
    with GateOnMqtt(config.mqtt.port, config.venue) as gate:
        who = ("--reason", "a pram", "--actor", "Ana", "--config", str(config_file))
        done = hub("command", "gate-1", "release", *who)
        assert (done.returncode, done.stdout) == (1, "")
        assert "gate-1 was revoked" in done.stderr
        assert [topic for topic, _ in gate.heard if topic.endswith("/commands")] == []
    assert world.one("SELECT count(*) FROM commands") == 0
