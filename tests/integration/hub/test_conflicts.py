"""Which of two admissions of one ticket counts; each one beyond it raises one alert (invariants 8 and 9)."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gate.rules.alert import Alert
from gate.rules.model import Admission, Flag, Kind, Reason, ScanRecord
from gate.rules.payload import code_hash
from hub.config import HubConfig
from hub.db.connection import Connection, connect
from hub.gates.alerts import AlertPublisher
from hub.ingest.batch import merge, read_batch, write_batch
from hub.mqtt.inbox import Delivery
from sync.wire.scans import encode_scans
from sync.wire.topics import Topics
from tests.integration.hub.test_alerts import alerts
from tests.integration.hub.test_annulment import outcome
from tests.integration.hub.test_consumer import running
from tests.integration.hub.test_ingest import TOPICS, take, ticket_state
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, later, record

SURE: dict[str, Any] = {"clock": "synced", "clock_uncertainty_ms": 10}
_number = itertools.count(1)
MOST = 200
"""The most admissions of one guest that the hub believes from one gate."""


def admitted(gate: str, minute: float, ticket: str | None, seq: int = 1, **changes: Any) -> ScanRecord:
    """A first entry by a clock that was measured."""
    made = {"gate_id": gate, "boot_id": f"boot of {gate}", "occurred_at": later(minute), "subject_id": ticket}
    return record(seq, **(made | {"monotonic_ms": int(minute * 60_000)} | SURE | changes))


def send(conn: Connection, *records: ScanRecord, topics: Topics = TOPICS) -> None:
    """Take in all of them in one batch, whichever gates they are from."""
    messages = [Delivery(topics.scans(one.gate_id), encode_scans([one]), 1, 1) for one in records]
    write_batch(conn, merge([read_batch(message, topics) for message in messages]))


def pairs(world: World) -> list[tuple[Any, ...]]:
    """Winner, loser and rule of the open double admissions."""
    return world.all(
        "SELECT winner_scan::text, loser_scan::text, rule FROM scan_conflicts WHERE withdrawn_at IS NULL"
        " ORDER BY loser_scan"
    )


def told(world: World) -> int:
    count: int = world.one("SELECT count(*) FROM alerts WHERE reason = 'conflict'")
    return count


def test_the_earlier_admission_counts_whichever_comes_first(world: World, conn: Connection) -> None:
    event = world.event()
    for batches in ([0, 1], [1, 0], [None]):
        ticket = world.ticket(event)
        epoch = f"e{next(_number)}"
        both = [admitted("gate-2", 1, ticket, epoch=epoch), admitted("gate-1", 2, ticket, epoch=epoch)]
        for part in batches:
            send(conn, *(both if part is None else [both[part]]))
        assert ticket_state(world, ticket) == ("checked_in", True, later(1), "gate-2", later(2), "gate-1")
        assert (both[0].scan_id, both[1].scan_id, "earlier") in pairs(world)
        assert world.one("SELECT checked_in_scan::text FROM tickets WHERE id = %s", ticket) == both[0].scan_id
    assert told(world) == len(pairs(world)) == 3


def test_a_gate_that_admits_one_ticket_endlessly_is_not_believed_and_is_named(
    world: World, conn: Connection
) -> None:
    """Any later record about that guest would read all of them, and keep everybody's scans waiting."""
    ticket, other = world.ticket(event := world.event()), world.ticket(event)
    forged = [admitted("gate-2", 5 + seq / 1000, ticket, seq) for seq in range(1, MOST + 51)]
    for start in range(0, len(forged), 60):
        send(conn, *forged[start : start + 60])
    send(conn, *forged)  # again, all of it: nothing new
    send(conn, admitted("gate-1", 1, ticket), admitted("gate-2", 1, other, MOST + 51))
    assert world.one("SELECT count(*) FROM scan_logs WHERE subject_id = %s", ticket) == MOST + 1
    assert len(pairs(world)) == MOST
    assert world.all("SELECT gate_id, min(seq), max(seq), count(*) FROM scan_quarantine GROUP BY 1") == [
        ("gate-2", MOST + 1, MOST + 50, 50)
    ]
    assert "too often to be believed" in world.one("SELECT min(error) FROM scan_quarantine")
    assert world.all("SELECT gate_id, count(*) FROM alerts WHERE reason = 'flooding' GROUP BY 1") == [
        ("gate-2", 1)
    ]
    assert ticket_state(world, ticket)[:4] == ("checked_in", True, later(1), "gate-1")
    assert ticket_state(world, other)[3] == "gate-2"
    wall, seconds = Wall(), [0.0]
    told_by = AlertPublisher(wall, TOPICS, now=lambda: seconds[0])  # type: ignore[arg-type]
    with capture_logs() as lines:
        while len(wall.said) < MOST:
            told_by.publish_due(conn)
            seconds[0] += 1
    assert len([line for line in lines if "admitted twice" in line["event"]]) == 1


def test_a_gate_that_readmits_one_guest_endlessly_is_not_believed(world: World, conn: Connection) -> None:
    guest = world.guest_pass(world.reservation(event := world.event()))
    again = [
        admitted(
            "gate-2", 5 + seq / 1000, guest, seq, event_id=event, kind=Kind.VIP_PASS, reason=Reason.REENTRY
        )
        for seq in range(1, MOST + 51)
    ]
    for start in range(0, len(again), 60):
        send(conn, *again[start : start + 60])
    send(conn, admitted("gate-1", 9, guest, kind=Kind.VIP_PASS, reason=Reason.REENTRY))
    assert world.one("SELECT count(*) FROM vip_scan_logs WHERE pass_id = %s", guest) == MOST + 1
    assert world.one("SELECT count(*) FROM scan_quarantine WHERE gate_id = 'gate-2'") == 50


def test_within_the_clocks_uncertainty_the_gate_name_decides(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    late = admitted("gate-1", 1 + 0.015 / 60, ticket)
    early = admitted("gate-2", 1, ticket)
    send(conn, early, late)
    assert pairs(world) == [(late.scan_id, early.scan_id, "gate")]
    assert ticket_state(world, ticket)[3] == "gate-1"


def test_a_gate_that_admitted_twice_itself_is_a_conflict(world: World, conn: Connection) -> None:
    """As after a card was re-imaged or a history lost."""
    ticket = world.ticket(world.event())
    first = admitted("gate-1", 1, ticket)
    send(conn, first)
    again = admitted("gate-1", 30, ticket, epoch="e2", boot_id="another", flags=(Flag.HISTORY_LOST,))
    send(conn, again)
    assert pairs(world) == [(first.scan_id, again.scan_id, "earlier")]


def test_a_code_nobody_knows_is_counted_by_its_hash(world: World, conn: Connection) -> None:
    unknown: dict[str, Any] = {
        "code_hash": code_hash("MGY-PF-20260130-NOBODY"),
        "kind": Kind.UNKNOWN,
        "line": 6,
    }
    scans = [admitted(f"gate-{n}", n, None, **unknown) for n in (1, 2, 3)]
    for scan in scans:
        send(conn, scan)
    assert sorted(loser for _, loser, _ in pairs(world)) == sorted(scan.scan_id for scan in scans[1:])
    assert told(world) == 2


def test_a_ticket_known_to_one_gate_and_unknown_to_another(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event(), code="MGY-PF-20260130-SIGNED")
    by_hash = admitted("gate-1", 1, None, code_hash=code_hash("MGY-PF-20260130-SIGNED"))
    by_id = admitted("gate-2", 2, ticket)
    send(conn, by_id)
    send(conn, by_hash)
    assert pairs(world) == [(by_hash.scan_id, by_id.scan_id, "earlier")]
    assert ticket_state(world, ticket)[3] == "gate-1"
    assert world.one("SELECT ticket_id::text FROM scan_conflicts") == ticket


@pytest.mark.parametrize("kind", [Kind.VIP_HOST, Kind.VIP_LINKED, Kind.VIP_PASS])
def test_a_guest_who_may_come_again_is_no_conflict(world: World, conn: Connection, kind: Kind) -> None:
    event = world.event()
    reservation = world.reservation(event)
    guest = world.guest_pass(reservation) if kind is Kind.VIP_PASS else world.ticket(event)
    if kind is not Kind.VIP_PASS:
        world.link(reservation, guest, host=kind is Kind.VIP_HOST)
    send(conn, *(admitted(f"gate-{n}", n, guest, kind=kind) for n in (1, 2)))
    assert pairs(world) == []


@pytest.mark.parametrize("reverse", [False, True])
def test_an_annulment_withdraws_the_conflict_and_the_other_admission_counts(
    world: World, conn: Connection, reverse: bool
) -> None:
    ticket = world.ticket(world.event())
    first, second = admitted("gate-1", 1, ticket), admitted("gate-2", 2, ticket)
    for scan in (second, first) if reverse else (first, second):
        send(conn, scan)
    send(conn, outcome(first, 2, boot_id=first.boot_id, occurred_at=later(1.5), **SURE))
    assert pairs(world) == []
    assert ticket_state(world, ticket)[2:4] == (later(2), "gate-2")
    assert world.one("SELECT count(*) FROM scan_conflicts WHERE withdrawn_at IS NOT NULL") == 1
    assert told(world) == 0  # nobody had been told yet
    third = admitted("gate-3", 3, ticket)
    send(conn, third)
    assert pairs(world) == [(second.scan_id, third.scan_id, "earlier")]


def test_a_clock_learnt_later_may_change_the_winner_without_a_second_alert(
    world: World, conn: Connection
) -> None:
    ticket = world.ticket(world.event())
    lost = admitted(
        "gate-2", 0, ticket, clock="untrusted", clock_uncertainty_ms=None, monotonic_ms=60_000,
        occurred_at=datetime(1970, 1, 1, 0, 1, tzinfo=UTC),
    )  # fmt: skip
    sure = admitted("gate-1", 5, ticket)
    send(conn, lost, sure)
    assert pairs(world) == [(lost.scan_id, sure.scan_id, "earlier")]
    world.run("UPDATE alerts SET sent_at = now()")
    world.run("SELECT note_boot_clock('gate-2', 'boot of gate-2', 120000, %s, 4)", later(9))
    assert pairs(world) == [(sure.scan_id, lost.scan_id, "earlier")]
    assert ticket_state(world, ticket) == ("checked_in", True, later(5), "gate-1", later(8), "gate-2")
    assert world.all("SELECT corrected_at FROM scan_logs WHERE gate_id = 'gate-2'") == [(later(8),)]
    assert (world.one("SELECT count(*) FROM scan_conflicts"), told(world)) == (1, 1)


def test_the_feed_names_the_scan_that_counts(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scans = [admitted("gate-2", 1, ticket), admitted("gate-1", 2, ticket)]
    send(conn, *scans)
    (known,) = [row for row in world.feed(event) if isinstance(row, Admission)]
    (changed,) = [change.row for change in world.changes(event)][-1:]
    assert known == changed
    assert known.first_entry is not None and known.last_entry is not None
    assert [known.first_entry.scan, known.last_entry.scan] == [scan.scan_id for scan in scans]


# alerts


@pytest.fixture
def gate(config: HubConfig) -> Iterator[GateOnMqtt]:
    with GateOnMqtt(config.mqtt.port, config.venue) as connected:
        yield connected


def test_every_double_admission_is_published_as_its_own_message(
    config: HubConfig, gate: GateOnMqtt, world: World, conn: Connection
) -> None:
    event = world.event()
    tickets = [world.ticket(event) for _ in range(3)]
    topics = Topics(venue=config.venue)
    for seq, ticket in enumerate(tickets, 1):
        send(conn, *(admitted(f"gate-{n}", n + seq, ticket, seq) for n in (1, 2)), topics=topics)
    with running(config):
        assert gate.wait(lambda: len(alerts(gate)) == 3)
    ids = [row[0] for row in world.all("SELECT id::text FROM scan_conflicts ORDER BY created_at")]
    assert alerts(gate) == [
        Alert(
            id=ids[seq - 1], gate="gate-1", reason="conflict", at=later(1 + seq),
            other_gate="gate-2", other_at=later(2 + seq), subject_id=ticket,
        )
        for seq, ticket in enumerate(tickets, 1)
    ]  # fmt: skip
    assert world.one("SELECT count(*) FROM alerts WHERE sent_at IS NULL") == 0


def test_a_hub_that_died_after_publishing_publishes_again_under_the_same_id(
    config: HubConfig, gate: GateOnMqtt, world: World, conn: Connection
) -> None:
    ticket = world.ticket(world.event())
    send(conn, *(admitted(f"gate-{n}", n, ticket) for n in (1, 2)), topics=Topics(venue=config.venue))
    for so_far in (0, 1):
        with running(config):
            assert gate.wait(lambda: len(alerts(gate)) > so_far)  # noqa: B023 – waited for at once
        world.run("UPDATE alerts SET sent_at = NULL")  # as if it had died before it noted that
    first, again = alerts(gate)
    assert first == again


class Wall:
    """A link that is up and keeps what is published."""

    is_up = True

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def publish(self, _topic: str, payload: bytes, **_: Any) -> None:
        self.said.append(payload)


def test_no_alert_is_repeated_when_winner_and_loser_change_places(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    wall = Wall()
    told_by = AlertPublisher(wall, TOPICS, now=itertools.count(0, 10).__next__)  # type: ignore[arg-type]
    for gate_id, minute in (("gate-3", 9), ("gate-2", 5), ("gate-1", 1), ("gate-4", 12)):
        send(conn, admitted(gate_id, minute, ticket))
        told_by.publish_due(conn)
        told_by.publish_due(conn)
    said = [msgspec.json.decode(payload, type=Alert) for payload in wall.said]
    assert len({alert.id for alert in said}) == len(said) == 3
    assert len(pairs(world)) == 3


def test_gates_that_report_the_same_tickets_at_once_do_not_block_each_other(world: World, dsn: str) -> None:
    event = world.event()
    tickets = [world.ticket(event) for _ in range(40)]
    failed: list[BaseException] = []

    def tell(gate_id: str) -> None:
        luck = random.Random(gate_id)
        order = luck.sample(tickets, len(tickets))
        try:
            with connect(dsn, autocommit=True) as mine:
                for start in range(0, 40, 8):
                    part = order[start : start + 8]
                    scans = [
                        admitted(gate_id, start + n, ticket, start + n + 1) for n, ticket in enumerate(part)
                    ]
                    take(mine, *scans, gate=gate_id)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=tell, args=(f"gate-{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not failed
    assert len(pairs(world)) == told(world) == 80
    assert world.one("SELECT count(DISTINCT winner_scan) FROM scan_conflicts") == 40
