"""Admissions nobody walked through: annulled, and the ticket is good again (domain 2.3, Passage)."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from gate.rules.model import Admission, Entry, EventKind, Kind, Reason, Ruling, ScanRecord, Status, Table
from gate.rules.payload import code_hash
from hub.config import HubConfig
from hub.db.connection import Connection, connect
from sync.wire.messages import Ack
from tests.integration.hub.test_consumer import deltas, heads, running
from tests.integration.hub.test_ingest import take, ticket_state
from tests.integration.hub.world import PATIENCE, GateOnMqtt, World, later, record
from tests.long import cases

FRESH = ("issued", False, None, None, None, None)


def outcome(scan: ScanRecord, seq: int, what: str = "annulled", **changes: Any) -> ScanRecord:
    """The door's later record about a scan: same ticket, no verdict, and the scan's id."""
    made = {
        "gate_id": scan.gate_id,
        "epoch": scan.epoch,
        "verdict": Ruling.NONE,
        "reason": EventKind.EXPIRED if what == "annulled" else EventKind.PASSED,
        "line": 0,
        "kind": scan.kind,
        "event_id": scan.event_id,
        "subject_id": scan.subject_id,
        "code_hash": scan.code_hash,
        "record": what,
        "refers_to": scan.scan_id,
    }
    return record(seq, **(made | changes))


def scan_state(world: World, scan: ScanRecord) -> tuple[Any, ...]:
    return world.all("SELECT actuated, annulled_at FROM scan_logs WHERE scan_id = %s", scan.scan_id)[0]


def feed_of(world: World, event: str, subject: str) -> Admission:
    """The newest change in the feed about this subject."""
    rows = [change.row for change in world.changes(event)]
    return [row for row in rows if isinstance(row, Admission) and row.subject_id == subject][-1]


def test_an_annulled_ga_ticket_is_good_again_and_every_gate_learns_it(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scan = record(1, subject_id=ticket, event_id=event)
    take(conn, scan)
    assert feed_of(world, event, ticket).status is Status.CHECKED_IN
    assert take(conn, outcome(scan, 2)) == [("gate-1", Ack(epoch="e1", seq=2))]
    assert ticket_state(world, ticket) == FRESH
    assert scan_state(world, scan) == (True, later(2))
    told = feed_of(world, event, ticket)
    assert (told.status, told.first_entry, told.last_entry) == (Status.ISSUED, None, None)
    again = record(3, subject_id=ticket, event_id=event)
    take(conn, again)
    assert ticket_state(world, ticket) == ("checked_in", True, later(3), "gate-1", later(3), "gate-1")


def test_a_turnstile_that_never_opened_was_not_actuated(world: World, conn: Connection) -> None:
    scan = record(1, subject_id=world.ticket(world.event()))
    take(conn, scan, outcome(scan, 2, reason=EventKind.NOT_OPENED))
    assert scan_state(world, scan) == (False, later(2))


@pytest.mark.parametrize("passed_first", [True, False])
def test_a_passage_says_that_the_turnstile_opened_and_changes_no_entry(
    world: World, conn: Connection, passed_first: bool
) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scan = record(1, subject_id=ticket)
    records = [scan, outcome(scan, 2, "passed")]
    for one in reversed(records) if passed_first else records:
        take(conn, one)
    assert scan_state(world, scan) == (True, None)
    assert ticket_state(world, ticket)[0] == "checked_in"
    assert len(world.changes(event)) == 3  # the night, the sale, the check-in


def test_a_scan_without_an_outcome_is_neither_actuated_nor_annulled(world: World, conn: Connection) -> None:
    scan = record(1, subject_id=world.ticket(world.event()))
    take(conn, scan)
    assert scan_state(world, scan) == (None, None)


@pytest.mark.parametrize("batches", [[(1, 0)], [(0, 1)], [(1,), (0,)]])
def test_an_annulment_before_its_scan_keeps_it_from_checking_in(
    world: World, conn: Connection, batches: list[tuple[int, ...]]
) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scan = record(1, subject_id=ticket)
    both = (scan, outcome(scan, 2))
    for batch in batches:
        take(conn, *(both[number] for number in batch))
    assert ticket_state(world, ticket) == FRESH
    assert scan_state(world, scan) == (True, later(2))
    assert len(world.changes(event)) == 2  # the night and the sale


def test_a_repeated_annulment_changes_nothing(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scan = record(1, subject_id=ticket)
    take(conn, scan, outcome(scan, 2))
    used = record(3, subject_id=ticket)
    take(conn, used)
    before = (ticket_state(world, ticket), world.changes(event))
    take(conn, scan)
    take(conn, outcome(scan, 4))  # worded differently
    assert (ticket_state(world, ticket), world.changes(event)) == before
    assert scan_state(world, scan) == (True, later(2))


@pytest.mark.parametrize("other_minute", [0.5, 1.5, 9])
def test_another_gates_admission_of_the_same_ticket_keeps_its_entry(
    world: World, conn: Connection, other_minute: float
) -> None:
    event = world.event()
    ticket = world.ticket(event)
    mine = record(1, subject_id=ticket)
    other = record(1, gate_id="gate-2", occurred_at=later(other_minute), subject_id=ticket)
    take(conn, mine)
    take(conn, other, gate="gate-2")
    take(conn, outcome(mine, 2))
    at = later(other_minute)
    assert ticket_state(world, ticket) == ("checked_in", True, at, "gate-2", at, "gate-2")


def test_only_the_gate_that_admitted_may_annul(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    scan = record(1, subject_id=ticket)
    take(conn, scan)
    assert take(conn, outcome(scan, 1, gate_id="gate-2"), gate="gate-2") == [
        ("gate-2", Ack(epoch="e1", seq=1))
    ]
    assert ticket_state(world, ticket)[0] == "checked_in"
    assert scan_state(world, scan) == (None, None)
    assert world.one("SELECT count(*) FROM scan_logs") == 2


def test_a_refunded_ticket_stays_refunded(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    scan = record(1, subject_id=ticket)
    take(conn, scan)
    world.run("UPDATE tickets SET status = 'refunded'")
    take(conn, outcome(scan, 2))
    assert ticket_state(world, ticket) == ("refunded", *FRESH[1:])


def test_a_refusal_cannot_be_annulled(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    scan = record(1, subject_id=ticket)
    refused = record(
        2, subject_id=ticket, verdict=Ruling.DENY, reason=Reason.ALREADY_USED, occurred_at=scan.occurred_at
    )
    take(conn, scan, refused, outcome(refused, 3))
    assert ticket_state(world, ticket)[0] == "checked_in"
    assert scan_state(world, refused) == (None, None)


def test_an_annulled_ticket_known_only_by_its_code_is_good_again(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event(), code="MGY-PF-20260130-SIGNED")
    unsynced = [
        record(seq, code_hash=code_hash("MGY-PF-20260130-SIGNED"), gate_id=f"gate-{seq}") for seq in (1, 2)
    ]
    for scan in unsynced:
        take(conn, scan, gate=scan.gate_id)
    take(conn, outcome(unsynced[0], 2))
    assert ticket_state(world, ticket)[2:4] == (later(2), "gate-2")
    take(conn, outcome(unsynced[1], 3), gate="gate-2")
    assert ticket_state(world, ticket) == FRESH


def table_state(world: World) -> list[tuple[Any, ...]]:
    return world.all("SELECT status, checked_in_guests, checked_in_by FROM vip_reservations")


def vip_log(world: World) -> list[tuple[Any, ...]]:
    return world.all("SELECT scan_type, scanned_by, scanned_at FROM vip_scan_logs ORDER BY scanned_at")


def test_a_guest_pass_is_good_again_and_its_table_stays_checked_in(world: World, conn: Connection) -> None:
    event = world.event()
    guest = world.guest_pass(world.reservation(event))
    scan = record(1, kind=Kind.VIP_PASS, subject_id=guest)
    take(conn, scan)
    assert table_state(world) == [("checked_in", 1, "gate-1")]
    take(conn, outcome(scan, 2))
    assert world.all("SELECT status, checked_in_at, checked_in_by FROM vip_guest_passes") == [
        ("issued", None, None)
    ]
    assert table_state(world) == [("checked_in", 0, None)]
    assert vip_log(world) == []
    told = feed_of(world, event, guest)
    assert (told.status, told.first_entry, told.last_entry) == (Status.ISSUED, None, None)
    tables = [change.row for change in world.changes(event) if isinstance(change.row, Table)]
    assert tables[-1].arrived == 0


def test_a_linked_ticket_is_good_again_and_the_other_guests_stay(world: World, conn: Connection) -> None:
    event = world.event()
    reservation = world.reservation(event)
    first, second = world.ticket(event), world.ticket(event)
    world.link(reservation, first)
    world.link(reservation, second)
    scans = [
        record(seq, kind=Kind.VIP_LINKED, subject_id=ticket, gate_id="gate-1")
        for seq, ticket in enumerate((first, second), 1)
    ]
    take(conn, *scans)
    assert table_state(world) == [("checked_in", 2, "gate-1")]
    take(conn, outcome(scans[0], 3))
    assert ticket_state(world, first) == FRESH
    assert ticket_state(world, second)[0] == "checked_in"
    assert table_state(world) == [("checked_in", 1, "gate-1")]
    assert vip_log(world) == [("first_entry", "gate-1", later(2))]


@pytest.mark.parametrize("kind", [Kind.VIP_PASS, Kind.VIP_LINKED])
def test_an_annulled_reentry_changes_nothing_but_the_last_entry(
    world: World, conn: Connection, kind: Kind
) -> None:
    event = world.event()
    reservation = world.reservation(event)
    guest = world.guest_pass(reservation) if kind is Kind.VIP_PASS else world.ticket(event)
    if kind is Kind.VIP_LINKED:
        world.link(reservation, guest)
    again = record(2, kind=kind, subject_id=guest, reason=Reason.REENTRY, line=12)
    take(conn, record(1, kind=kind, subject_id=guest))
    before = feed_of(world, event, guest)
    take(conn, again)
    assert getattr(feed_of(world, event, guest).last_entry, "at", None) == later(2)
    take(conn, outcome(again, 3))
    assert feed_of(world, event, guest) == before
    assert table_state(world) == [("checked_in", 1, "gate-1")]
    assert vip_log(world) == [("first_entry", "gate-1", later(1))]


def test_a_reentry_is_the_first_entry_when_that_one_is_annulled(world: World, conn: Connection) -> None:
    guest = world.guest_pass(world.reservation(world.event()))
    scans = [record(seq, kind=Kind.VIP_PASS, subject_id=guest) for seq in (1, 2)]
    take(conn, *scans)
    take(conn, outcome(scans[0], 3))
    assert world.all("SELECT status, checked_in_at FROM vip_guest_passes") == [("checked_in", later(2))]
    assert vip_log(world) == [("first_entry", "gate-1", later(2))]


@pytest.mark.parametrize("together", [True, False])
def test_an_entry_at_the_very_same_time_as_an_annulled_one_stays(
    world: World, conn: Connection, together: bool
) -> None:
    guest = world.guest_pass(world.reservation(world.event()))
    twins = [record(seq, kind=Kind.VIP_PASS, subject_id=guest, occurred_at=later(1)) for seq in (1, 2)]
    take(conn, twins[0])
    end = outcome(twins[1], 3)
    for batch in [(twins[1], end)] if together else [(twins[1],), (end,)]:
        take(conn, *batch)
    assert world.all("SELECT status, checked_in_at FROM vip_guest_passes") == [("checked_in", later(1))]
    assert vip_log(world) == [("first_entry", "gate-1", later(1))]


def an_evening(world: World, event: str, name: str) -> tuple[list[ScanRecord], list[str]]:
    """A ticket, a linked one and a pass, each scanned at three gates, every other scan annulled."""
    reservation = world.reservation(event)
    guests = [world.ticket(event), world.ticket(event), world.guest_pass(reservation)]
    world.link(reservation, guests[1])
    records = []
    for place in range(9):
        made = {"gate_id": f"gate-{place % 3}", "epoch": name, "occurred_at": later(place)}
        scan = record(2 * (place // 3) + 1, subject_id=guests[(place * 2) // 3 % 3], **made)
        what = "annulled" if place % 2 == 0 else "passed"
        end = outcome(scan, scan.seq + 1, what, occurred_at=later(place + 0.5))
        records += [scan, end]
    return records, guests


def named(entry: Entry | None) -> tuple[Any, ...] | None:
    """An entry without the id of its scan, which differs each evening."""
    return None if entry is None else (entry.at, entry.gate)


def ending(world: World, event: str, guests: list[str]) -> list[Any]:
    """What the hub and every gate know in the end, without the ids of this evening."""
    rows = [row for row in world.feed(event) if isinstance(row, Admission)]
    known = {row.subject_id: (row.status, named(row.first_entry), named(row.last_entry)) for row in rows}
    logged = world.all(
        "SELECT scan_type, scanned_by, scanned_at FROM vip_scan_logs"
        " WHERE pass_id = ANY(%s::uuid[]) OR ticket_id = ANY(%s::uuid[]) ORDER BY scanned_at",
        guests,
        guests,
    )
    arrived = world.one(
        "SELECT checked_in_guests FROM vip_reservations r JOIN vip_guest_passes p ON p.reservation_id = r.id"
        " WHERE p.id = ANY(%s::uuid[])",
        guests,
    )
    return [[known[guest] for guest in guests], logged, arrived]


def test_any_order_duplication_and_batching_gives_the_same_entries(world: World, conn: Connection) -> None:
    event = world.event()
    endings = []
    for number in range(cases(15, long=40)):
        luck = random.Random(number)
        records, guests = an_evening(world, event, f"e{number}")
        if number:
            records += luck.sample(records, 5)
            luck.shuffle(records)
        while records:
            batch = [records.pop(0) for _ in range(min(len(records), luck.randint(1, 6)))]
            for gate in sorted({one.gate_id for one in batch}):
                take(conn, *(one for one in batch if one.gate_id == gate), gate=gate)
        endings.append(ending(world, event, guests))
    assert {status for status, _, _ in endings[0][0]} == {Status.CHECKED_IN}
    assert all(found == endings[0] for found in endings)
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_an_annulment_reaches_the_gates(config: HubConfig, world: World) -> None:
    event = world.event()
    scan = record(1, subject_id=world.ticket(event))
    with GateOnMqtt(config.mqtt.port, config.venue) as gate, running(config):
        assert gate.wait(lambda: bool(heads(gate, event)))
        assert gate.resend(scan)
        assert gate.wait(lambda: told(gate, event) == ["checked_in"])
        assert gate.resend(scan, outcome(scan, 2))
        assert gate.wait(lambda: told(gate, event) == ["checked_in", "issued"])


def told(gate: GateOnMqtt, event: str) -> list[str]:
    rows = [change.row for delta in deltas(gate, event) for change in delta.changes]
    return [row.status.value for row in rows if isinstance(row, Admission)]


def test_an_annulment_waits_for_its_scan_in_another_transaction(
    world: World, conn: Connection, dsn: str
) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scan = record(1, subject_id=ticket)

    def annul() -> None:
        with connect(dsn, autocommit=True) as another:
            take(another, outcome(scan, 2))

    with connect(dsn, autocommit=True) as slow, slow.transaction():
        take(slow, scan)
        thread = threading.Thread(target=annul)
        thread.start()
        while not world.one("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            assert thread.is_alive()
    thread.join(PATIENCE)
    assert ticket_state(world, ticket) == FRESH
