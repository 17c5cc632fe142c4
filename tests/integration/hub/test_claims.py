"""First scan wins: of any number of claims for one ticket exactly one is granted (domain 2.3; ADR 15)."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from structlog.testing import capture_logs

from demo.servers import Mosquitto, mosquitto, postgres
from gate.rules.first_entry import Claim, Grant, Returned
from gate.rules.model import Ruling
from hub import service
from hub.claims.answers import MOST_A_SECOND
from hub.config import HubConfig, Mqtt
from hub.config import Postgres as PostgresConfig
from hub.db.connection import Connection, connect
from hub.db.migrate import migrate
from sync.wire.messages import GateStatus, HubTime, Probe, ToGate, WireError, encode, to_gate
from tests.integration.hub.asking import Desk, Night, after, ask, new_id, one_of
from tests.integration.hub.test_lending import until_blocked
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, record


@pytest.fixture
def night(world: World) -> Night:
    return Night(world)


@pytest.fixture
def desk(conn: Connection) -> Desk:
    return Desk(conn)


# --- the rule ---


def test_of_twenty_gates_racing_for_a_ticket_one_gets_it(dsn: str, world: World) -> None:
    night = Night(world, gates=20)
    codes = [night.code() for _ in range(50)]
    start = threading.Barrier(len(night.gates))

    def race(gate_id: str) -> list[dict[str, Any]]:
        told = []
        with connect(dsn, autocommit=True) as conn:
            for code in codes:
                start.wait(PATIENCE)
                told.append(ask(conn, night, gate_id, code))
        return [one["grant"] for one in told if one is not None]

    with ThreadPoolExecutor(len(night.gates)) as pool:
        grants = dict(zip(night.gates, pool.map(race, night.gates), strict=True))
    for number in range(len(codes)):
        answers = {gate_id: grants[gate_id][number] for gate_id in night.gates}
        (winner,) = [gate_id for gate_id, grant in answers.items() if grant["answer"] == "granted"]
        others = [grant for gate_id, grant in answers.items() if gate_id != winner]
        assert {(grant["answer"], grant["entry"]["gate"]) for grant in others} == {("taken", winner)}


def test_a_claim_waits_while_somebody_is_changing_the_ticket(dsn: str, night: Night) -> None:
    code = night.code()
    with connect(dsn) as other, connect(dsn, autocommit=True) as mine, ThreadPoolExecutor(1) as pool:
        other.execute(
            "UPDATE tickets SET status = 'checked_in', checked_in_at = now(), checked_in_by = 'Eva'"
        )
        asked = pool.submit(ask, mine, night, "gate-1", code)
        until_blocked(night.world, mine.info.backend_pid, asked)
        other.commit()
        told = asked.result(PATIENCE)
    assert told is not None
    assert (told["grant"]["answer"], told["grant"]["entry"]["gate"]) == ("taken", "Eva")


def test_a_claim_never_waits_for_the_nights_own_row(dsn: str, night: Night) -> None:
    """Ingest holds it for as long as a batch takes."""
    code = night.code()
    with connect(dsn) as ingest:
        ingest.execute("SELECT FROM events FOR UPDATE")
        night.world.run(f"SET statement_timeout = '{PATIENCE}s'")
        assert night.answer("gate-1", code) == "granted"
        assert night.answer("gate-2", code) == "taken"


def test_the_database_itself_grants_a_code_once(night: Night) -> None:
    code = night.code()
    assert night.answer("gate-1", code) == "granted"
    with pytest.raises(psycopg.errors.UniqueViolation):
        night.world.run(
            "INSERT INTO claims (scan_id, gate_id, code_hash, answer, asked_at)"
            " VALUES (gen_random_uuid(), 'gate-2', %s, 'granted', now())",
            code,
        )


def test_asking_twice_gives_the_same_answer(night: Night) -> None:
    code, first, second = night.code(), new_id(), new_id()
    granted = night.ask("gate-1", code, first)
    taken = night.ask("gate-2", code, second)
    night.give_back("gate-1", new_id())
    assert granted == night.ask("gate-1", code, first)
    night.ingest("gate-1", 1, code, first)
    assert granted == night.ask("gate-1", code, first)
    assert taken == night.ask("gate-2", code, second)


def test_the_answer_taken_says_by_whom_and_when(night: Night) -> None:
    code, scan = night.code(), new_id()
    night.ask("gate-1", code, scan)
    told = night.ask("gate-2", code)
    entry = {"at": "2026-01-30T23:00:00.000000Z", "gate": "gate-1", "scan": scan}
    assert told == {"to": "gate-2", "grant": {"answer": "taken", "entry": entry}}


# --- what frees a grant ---


def test_a_returned_ticket_may_be_granted_to_another_gate(night: Night) -> None:
    code, scan = night.code(), new_id()
    assert night.answer("gate-1", code, scan) == "granted"
    night.give_back("gate-1", scan)
    assert night.answer("gate-2", code) == "granted"
    assert night.ask("gate-1", code, scan) is None


def test_a_return_that_arrives_before_its_claim_counts(night: Night) -> None:
    code, scan = night.code(), new_id()
    night.give_back("gate-1", scan)
    assert night.ask("gate-1", code, scan) is None
    assert night.answer("gate-2", code) == "granted"


def test_only_the_gate_it_was_granted_to_returns_a_grant(night: Night) -> None:
    code, scan = night.code(), new_id()
    night.ask("gate-1", code, scan)
    night.give_back("gate-2", scan)
    assert night.answer("gate-3", code) == "taken"


def test_a_grant_whose_admission_has_arrived_cannot_be_returned(night: Night) -> None:
    code, scan = "a" * 64, new_id()
    night.ask("gate-1", code, scan)
    night.ingest("gate-1", 1, code, scan)
    night.give_back("gate-1", scan)
    assert night.answer("gate-2", code) == "taken"


def test_a_gate_may_claim_again_what_its_journal_has_not_used(night: Night) -> None:
    code, first, second = night.code(), new_id(), new_id()
    assert night.answer("gate-1", code, first) == "granted"
    assert night.answer("gate-1", code, second) == "granted"
    night.give_back("gate-1", first)
    assert night.answer("gate-2", code) == "taken"


def test_a_gate_with_a_new_journal_is_refused_its_own_earlier_grant(night: Night) -> None:
    code = night.code()
    assert night.answer("gate-1", code) == "granted"
    assert night.answer("gate-1", code, epoch="e2") == "taken"


def test_revoking_a_gate_frees_its_grants_but_not_its_admissions(night: Night, world: World) -> None:
    """A stolen gate may have claimed every ticket of the night."""
    held, used = night.code(), night.code()
    scan = new_id()
    assert [night.answer("gate-1", held), night.answer("gate-1", used, scan)] == ["granted", "granted"]
    night.ingest("gate-1", 1, used, scan)
    assert night.answer("gate-2", held) == "taken"
    world.run("UPDATE gates SET status = 'revoked', revoked_at = now() WHERE gate_id = 'gate-1'")
    assert [night.answer("gate-2", held), night.answer("gate-2", used)] == ["granted", "taken"]
    assert night.answer("gate-3", held) == "taken"


def test_a_ticket_whose_scan_has_arrived_is_taken(night: Night) -> None:
    code = night.code()
    scan = night.ingest("gate-2", 1, code)
    told = night.ask("gate-1", code)
    assert told is not None
    assert told["grant"]["answer"] == "taken"
    assert (told["grant"]["entry"]["gate"], told["grant"]["entry"]["scan"]) == ("gate-2", scan)


@pytest.mark.parametrize("is_known", [True, False])
def test_an_annulled_admission_frees_its_ticket(night: Night, is_known: bool) -> None:
    code, scan = night.code() if is_known else "b" * 64, new_id()
    assert night.answer("gate-1", code, scan) == "granted"
    night.ingest("gate-1", 1, code, scan)
    assert night.answer("gate-1", code) == "taken"
    night.annul("gate-1", 2, scan)
    assert night.answer("gate-2", code) == "granted"
    assert night.answer("gate-3", code) == "taken"


def test_a_refusal_under_the_grants_own_scan_id_frees_it(night: Night) -> None:
    code, scan = night.code(), new_id()
    night.ask("gate-1", code, scan)
    night.ingest("gate-1", 1, code, scan, verdict=Ruling.DENY)
    assert night.answer("gate-2", code) == "granted"


# --- what cannot be granted ---


@pytest.mark.parametrize("status", ["cancelled", "refunded"])
def test_a_ticket_that_is_no_longer_valid_is_revoked(night: Night, status: str) -> None:
    told = night.ask("gate-1", night.code(status=status))
    assert told == {"to": "gate-1", "grant": {"answer": "revoked", "reason": status}}


def test_a_ticket_of_another_night_is_revoked(night: Night, world: World) -> None:
    other = world.event("PS")
    world.run("INSERT INTO gate_events (gate_id, event_id) VALUES ('gate-1', %s)", other)
    told = night.ask("gate-1", night.code(), event=other)
    grant = {"answer": "revoked", "reason": "wrong_event"}
    assert told == {"to": "gate-1", "grant": grant}


def test_nobody_is_admitted_to_a_cancelled_night(night: Night, world: World) -> None:
    code = night.code()
    world.run("UPDATE events SET status = 'cancelled'")
    told = night.ask("gate-1", code)
    grant = {"answer": "revoked", "reason": "event_cancelled"}
    assert told == {"to": "gate-1", "grant": grant}


def test_an_unknown_code_is_granted_once(night: Night) -> None:
    assert night.answer("gate-1", "c" * 64) == "granted"
    assert night.answer("gate-2", "c" * 64) == "taken"


def test_an_unknown_code_is_taken_once_its_scan_has_arrived(night: Night) -> None:
    night.ingest("gate-2", 1, "d" * 64)
    assert night.answer("gate-1", "d" * 64) == "taken"


def test_a_guest_who_may_come_and_go_is_granted_everywhere(night: Night, world: World) -> None:
    """A gate with an old list may take the code for a one-time ticket; the hub knows better."""
    reservation = world.reservation(night.event)
    guest = world.guest_pass(reservation)
    code = world.one("SELECT code_hash FROM vip_guest_passes WHERE id = %s", guest)
    told = [night.ask(gate_id, code) for gate_id in night.gates]
    assert [one and one["grant"] for one in told] == [{"answer": "granted", "reentry": True}] * 3
    world.run("UPDATE vip_guest_passes SET status = 'cancelled'")
    assert night.answer("gate-1", code) == "revoked"


def test_a_pass_of_a_table_that_is_not_paid_is_revoked(night: Night, world: World) -> None:
    guest = world.guest_pass(world.reservation(night.event, "pending"))
    code = world.one("SELECT code_hash FROM vip_guest_passes WHERE id = %s", guest)
    told = night.ask("gate-1", code)
    grant = {"answer": "revoked", "reason": "table_not_confirmed"}
    assert told == {"to": "gate-1", "grant": grant}


def test_the_grant_says_whether_the_ticket_has_the_perk(night: Night, world: World) -> None:
    """For host and linked guest; a ticket that was used is still granted, and nobody is kept out."""
    table = world.reservation(night.event)
    code = night.code()
    ticket = world.one("SELECT id FROM tickets WHERE code_hash = %s", code)
    world.link(table, ticket)
    night.ingest("gate-2", 1, code)
    for gate_id in night.gates:
        told = night.ask(gate_id, code)
        assert told == {"to": gate_id, "grant": {"answer": "granted", "reentry": True}}
    world.run("DELETE FROM vip_linked_tickets")
    assert night.answer("gate-1", code) == "taken"
    told = night.ask("gate-1", night.code())
    assert told == {"to": "gate-1", "grant": {"answer": "granted", "reentry": False}}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        ("UPDATE gates SET status = 'revoked'", "revoked"),
        ("UPDATE gates SET venue = 'elsewhere'", "no gate of this name"),
        ("DELETE FROM gate_events", "does not serve"),
    ],
)
def test_a_gate_that_has_no_business_here_gets_no_grant(night: Night, spoil: str, why: str) -> None:
    code, world = night.code(), night.world
    world.run(spoil)
    told = night.ask("gate-1", code)
    assert told is not None
    assert list(told) == ["refused"]
    assert why in told["refused"]
    assert world.one("SELECT count(*) FROM claims") == 0


def test_a_scan_id_belongs_to_one_claim_of_its_gate(night: Night) -> None:
    code, scan = night.code(), new_id()
    night.ask("gate-1", code, scan)
    assert night.ask("gate-1", night.code(), scan) == {"refused": "its scan_id is that of another claim"}
    # another gate's claim is a different one, even under the same id
    told = night.ask("gate-2", code, scan)
    assert told is not None
    assert told["grant"]["answer"] == "taken"
    assert night.ask("gate-2", night.code(), scan) == {"refused": "its scan_id is that of another claim"}


# --- grants that nobody used ---


def test_a_grant_the_gate_cannot_use_any_more_is_freed(night: Night) -> None:
    code = night.code()
    assert night.answer("gate-1", code) == "granted"
    assert night.sweep("gate-1", 1_000) == 0
    assert night.sweep("gate-1", 30_999) == 0
    assert night.sweep("gate-1", 31_000) == 1
    assert night.answer("gate-2", code) == "granted"


def test_after_a_new_boot_no_older_grant_is_used(night: Night) -> None:
    night.ask("gate-1", night.code())
    assert night.sweep("gate-1", 90_000) == 0
    assert night.sweep("gate-1", 20, boot_id="next") == 1


@pytest.mark.parametrize(
    "said",
    [
        {"acked": 3, "last_seq": 4},
        {"acked": 4, "last_seq": 4},  # the gate says so, but the watermark does not
        {"epoch": "e2"},
        {"door": False},
    ],
)
def test_time_alone_never_frees_a_grant(night: Night, said: dict[str, Any]) -> None:
    code = night.code()
    night.ask("gate-1", code)
    night.sweep("gate-1", 1_000)
    assert night.sweep("gate-1", 10_000_000, now=after(1_000_000), **said) == 0
    assert night.sweep("gate-2", 10_000_000, now=after(1_000_000)) == 0
    assert night.answer("gate-3", code) == "taken"


def test_a_grant_whose_record_has_arrived_is_spent_and_not_freed(night: Night) -> None:
    code, scan = "e" * 64, new_id()
    night.ask("gate-1", code, scan)
    night.sweep("gate-1", 1_000)
    night.ingest("gate-1", 1, code, scan)
    assert night.sweep("gate-1", 90_000, last_seq=1, acked=1) == 0
    assert night.answer("gate-2", code) == "taken"


def test_nothing_is_freed_while_a_record_of_the_gate_cannot_be_read(night: Night, world: World) -> None:
    night.ask("gate-1", night.code())
    night.sweep("gate-1", 1_000)
    world.run(
        "INSERT INTO scan_quarantine (topic, gate_id, epoch, seq, raw, raw_hash, raw_length, error,"
        " received_at) VALUES ('t', 'gate-1', 'e1', 1, '', '', 0, '', %s)",
        after(1),
    )
    assert night.sweep("gate-1", 90_000) == 0


# --- the hub's end of the line, turn by turn ---


def claimed(night: Night, code: str, scan: str | None = None) -> Claim:
    return Claim(scan_id=scan or new_id(), code_hash=code, event_id=night.event, epoch="e1")


def test_a_claim_is_answered_and_acknowledged(night: Night, desk: Desk) -> None:
    claim = claimed(night, night.code())
    desk.hear("gate-1", claim)
    assert desk.turn() == [("gate-1", Grant(scan_id=claim.scan_id, answer="granted", reentry=False))]
    assert desk.line.acknowledged == [1]


def test_a_claim_nobody_waits_for_is_not_answered(night: Night, desk: Desk) -> None:
    desk.hear("gate-1", claimed(night, night.code()))
    desk.wait(1.1)
    assert desk.turn() == []
    assert night.world.one("SELECT count(*) FROM claims") == 0
    assert desk.line.acknowledged == [1]


def test_nothing_is_published_while_the_link_is_down(night: Night, desk: Desk) -> None:
    desk.line.is_up = False
    desk.hear("gate-1", Probe(id=1))
    assert desk.turn() == []


def test_a_probe_is_answered_with_both_times(desk: Desk) -> None:
    desk.hear("gate-1", Probe(id=7))
    heard_us = desk.now_us
    desk.wait(0.25)
    assert desk.turn() == [("gate-1", HubTime(id=7, received_us=heard_us, sent_us=heard_us + 250_000))]


def test_probes_are_not_answered_while_claims_cannot_be_written(desk: Desk, conn: Connection) -> None:
    desk.turn()
    desk.hear("gate-1", Probe(id=7))
    conn.execute("SET default_transaction_read_only = on")
    assert desk.turn() == []


def test_after_a_claim_failed_probes_are_not_answered_for_a_while(
    night: Night, desk: Desk, dsn: str, conn: Connection
) -> None:
    code = night.code()
    conn.execute("SET statement_timeout = '100ms'")
    with connect(dsn) as other:
        other.execute("SELECT FROM tickets FOR UPDATE")
        desk.hear("gate-1", claimed(night, code))
        desk.hear("gate-1", Probe(id=1))
        assert desk.turn() == []
    conn.execute("RESET statement_timeout")
    desk.wait(5.1)
    desk.hear("gate-1", Probe(id=2))
    desk.hear("gate-1", claimed(night, code))
    assert [type(message) for _, message in desk.turn()] == [HubTime, Grant]


def test_a_locked_ticket_leaves_other_claims_answered(
    night: Night, desk: Desk, dsn: str, conn: Connection
) -> None:
    held, other = night.code(), night.code()
    conn.execute("SET lock_timeout = '10ms'")
    with connect(dsn) as holder:
        holder.execute("SELECT FROM tickets WHERE code_hash = %s FOR UPDATE", (held,))
        desk.hear("gate-1", claimed(night, held))
        desk.hear("gate-2", claimed(night, other))
        desk.hear("gate-2", Probe(id=1))
        assert [type(message) for _, message in desk.turn()] == [Grant, HubTime]


def test_claims_are_answered_as_before_after_the_hubs_clock_is_set_back(
    night: Night, desk: Desk, dsn: str, conn: Connection
) -> None:
    conn.execute("SET statement_timeout = '100ms'")
    desk.hear("gate-1", Probe(id=1))
    with connect(dsn) as other:
        other.execute("SELECT FROM tickets FOR UPDATE")
        desk.hear("gate-1", claimed(night, night.code()))
        desk.turn()
    conn.execute("RESET statement_timeout")
    desk.wait(-3600)
    desk.hear("gate-2", Probe(id=2))
    desk.hear("gate-2", claimed(night, night.code()))
    assert [type(message) for _, message in desk.turn()] == [HubTime, Grant]
    # and a gate that was heard before counts as absent until it is heard again
    night.divide("gate-1")
    desk.hear("gate-2", claimed(night, night.code()))
    gate_id, told = one_of(desk.turn())
    assert (gate_id, told["answer"], told["home"]) == ("gate-2", "elsewhere", "gate-1")


def test_a_return_is_acknowledged_only_once_it_is_in_postgres(night: Night, desk: Desk, dsn: str) -> None:
    code, scan = night.code(), new_id()
    night.ask("gate-1", code, scan)
    returned = desk.hear("gate-1", Returned(scan_id=scan))
    with connect(dsn, autocommit=True) as broken:
        broken.close()
        with pytest.raises(psycopg.OperationalError):
            desk.turn(broken)
    assert desk.line.acknowledged == []
    desk.wait(3600)
    desk.turn()
    assert desk.line.acknowledged == [returned]
    assert night.answer("gate-2", code) == "granted"


def test_messages_of_an_outage_are_bounded_and_a_new_claim_is_answered(night: Night, desk: Desk) -> None:
    for number in range(1_800):
        desk.hear(f"gate-{number % 20}", Probe(id=number))
    for _ in range(4):
        desk.claims.hear(0.0)
    assert len(desk.line.acknowledged) == 1_800
    desk.wait(0.5)
    desk.hear("gate-1", claimed(night, night.code()))
    said = [message for _, message in desk.turn()]
    assert len(said) == 1_000
    assert isinstance(said[-1], Grant)


def test_a_gate_that_floods_the_hub_keeps_no_other_gate_waiting(night: Night, desk: Desk) -> None:
    code = night.code()
    with capture_logs() as logs:
        for number in range(900):
            desk.hear("gate-1", Probe(id=number))
        desk.hear("gate-2", claimed(night, code))
        said = [gate for gate, _ in desk.turn()]
    assert (said[1], said.count("gate-1")) == ("gate-2", MOST_A_SECOND)
    assert logs == []
    assert night.world.all("SELECT gate_id, reason FROM alerts") == [("gate-1", "flooding")]
    desk.wait(10)
    desk.hear("gate-1", Probe(id=1))
    assert len(desk.turn()) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"\x00",
        b"{}",
        b"[" * 5_000,
        encode(Claim(scan_id="x", code_hash="f" * 64, event_id=new_id(), epoch="e1")),
        encode(Claim(scan_id=new_id(), code_hash="F" * 64, event_id=new_id(), epoch="e1")),
        encode(Claim(scan_id=new_id(), code_hash="f" * 64, event_id="tonight", epoch="e1")),
        encode(Claim(scan_id=new_id(), code_hash="f" * 64, event_id=new_id(), epoch="\0")),
        encode(Claim(scan_id=new_id(), code_hash="f" * 64, event_id=new_id(), epoch="e1")),
        encode(Returned(scan_id="'; drop table claims")),
        encode(GateStatus(gate_id="gate-9", online=True)),
    ],
)
def test_a_malformed_message_is_logged_once_and_stops_nothing(
    night: Night, desk: Desk, payload: bytes
) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            desk.hear("gate-1", payload)
        desk.hear("gate-1", claimed(night, night.code()))
        ((_, grant),) = desk.turn()
    assert isinstance(grant, Grant)
    assert [line["log_level"] for line in logs] == ["warning"]
    assert desk.line.acknowledged == [1, 2, 3, 4]


def test_a_gates_status_frees_what_it_cannot_use(night: Night, desk: Desk) -> None:
    code = night.code()
    night.ask("gate-1", code)
    status = GateStatus(gate_id="gate-1", online=True, door=True, epoch="e1", boot_id="boot", monotonic_ms=0)
    for ms in (5_000, 40_000):
        desk.hear("gate-1", msgspec.structs.replace(status, monotonic_ms=ms))
    desk.turn()
    assert night.answer("gate-2", code) == "granted"


# --- real servers ---


class Asking(GateOnMqtt):
    """A gate on MQTT that claims."""

    def claim(self, claim: Claim) -> Grant | None:
        """Ask until there is an answer."""
        for _ in range(int(PATIENCE * 4)):
            with contextlib.suppress(RuntimeError):  # not connected
                self.send_raw(encode(claim), self.topics.claims(self.gate_id))
            if self.wait(lambda: self.grant(claim.scan_id) is not None, 0.25):
                break
        return self.grant(claim.scan_id)

    def grant(self, scan_id: str) -> Grant | None:
        told = [message for message in self.told() if isinstance(message, Grant)]
        return next((grant for grant in told if grant.scan_id == scan_id), None)

    def told(self) -> Iterator[ToGate]:
        for topic, payload in list(self.heard):
            if topic == self.topics.grants(self.gate_id):
                with contextlib.suppress(WireError):
                    yield to_gate(payload)


@contextlib.contextmanager
def running(config: HubConfig) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=service.run, args=(config, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_claims_are_answered_while_a_backlog_is_taken_in(
    config: HubConfig, config_file: Path, world: World, dsn: str
) -> None:
    night = Night(world, venue=config.venue)
    backlog = [record(seq, code_hash=night.code(), event_id=night.event) for seq in range(1, 1001)]
    codes = [night.code() for _ in range(50)]
    with Asking(config.mqtt.port, config.venue) as gate, hub_process(config_file), connect(dsn) as other:
        assert gate.resend(backlog[0])
        # the batch being taken in is stuck, with all its locks
        other.execute("SELECT FROM events FOR UPDATE")
        for start in range(1, len(backlog), 50):
            gate.send(*backlog[start : start + 50])
        answers = Counter(grant.answer for code in codes if (grant := gate.claim(claimed(night, code))))
        assert answers == {"granted": 50}
        assert {ack.seq for ack in gate.acks} == {1}
        other.rollback()
        assert gate.wait_for_ack(1000)


@contextlib.contextmanager
def hub_process(config_file: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "hub.cli.main", "ingest", "--config", str(config_file)]
    with subprocess.Popen(command) as hub:
        try:
            yield
        finally:
            hub.kill()


def test_claims_survive_a_restart_of_the_broker(config: HubConfig, world: World, tmp_path: Path) -> None:
    night = Night(world, venue=config.venue)
    with mosquitto(tmp_path / "mq") as broker:
        mine = msgspec.structs.replace(config, mqtt=Mqtt(port=broker.port))
        with Asking(broker.port, config.venue) as gate, running(mine):
            assert gate.claim(claimed(night, night.code()))
            broker.kill()
            broker.start()
            grant = gate.claim(claimed(night, night.code()))
    assert grant is not None
    assert grant.answer == "granted"


def test_a_return_sent_while_postgres_is_away_counts(shared_broker: Mosquitto, tmp_path: Path) -> None:
    with postgres(tmp_path / "pg") as server:
        migrate(server.dsn)
        config = HubConfig(
            venue="away", postgres=PostgresConfig(dsn=server.dsn), mqtt=Mqtt(port=shared_broker.port)
        )
        with connect(server.dsn, autocommit=True) as conn:
            night = Night(World(conn), venue="away")
            code = night.code()
        with Asking(shared_broker.port, "away") as gate, running(config):
            first = claimed(night, code)
            assert gate.claim(first)
            server.kill()
            gate.send_raw(encode(Returned(scan_id=first.scan_id)), gate.topics.claims("gate-1"))
            server.start()
            grant = gate.claim(msgspec.structs.replace(claimed(night, code), epoch="e2"))
            assert grant is not None
            # a different journal than the first one: granted only because of the return
            assert grant.answer == "granted"


def test_a_standby_answers_claims_once_it_is_active(config: HubConfig, world: World) -> None:
    night = Night(world, venue=config.venue)
    with Asking(config.mqtt.port, config.venue) as gate:
        with running(config):
            assert gate.claim(claimed(night, night.code()))
            standby = contextlib.ExitStack()
            standby.enter_context(running(config))
            assert gate.claim(claimed(night, night.code()))
        with standby:
            assert gate.claim(claimed(night, night.code()))


def test_two_hubs_that_both_think_they_are_active_grant_once(dsn: str, night: Night) -> None:
    """For a moment both are active: the rule is in Postgres, not in the hub that answers."""
    code = night.code()
    with connect(dsn, autocommit=True) as one, connect(dsn, autocommit=True) as other:
        desks, claims = [Desk(one), Desk(other)], [claimed(night, code) for _ in range(2)]
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(answered, desks, night.gates, claims))
    assert sorted(said) == ["granted", "taken"]


def answered(desk: Desk, gate_id: str, claim: Claim) -> str:
    desk.hear(gate_id, claim)
    return str(one_of(desk.turn())[1]["answer"])
