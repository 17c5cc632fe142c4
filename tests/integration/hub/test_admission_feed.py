"""The admission feed: gapless, ordered, readable by a gate, without secrets (data model 3.1)."""

from __future__ import annotations

import hashlib
import threading

from gate.rules.model import (
    Admission,
    Entry,
    Event,
    FeedRow,
    Kind,
    Reason,
    Removed,
    ReservationStatus,
    Status,
    Table,
)
from gate.rules.payload import code_hash
from hub.db.connection import Connection, connect
from hub.ingest.batch import Batch, write_batch
from hub.vip.scan import process_vip_scan_with_reentry
from tests.integration.hub.world import World, later, record


def key(row: FeedRow) -> str:
    match row:
        case Event():
            return row.event_id
        case Table():
            return row.reservation_id
        case Admission() | Removed():
            return row.code_hash


def state(rows: list[FeedRow]) -> dict[str, FeedRow]:
    """What a gate's cache holds after these rows, in order."""
    held: dict[str, FeedRow] = {}
    for row in rows:
        if isinstance(row, Removed):
            held.pop(row.code_hash, None)
        else:
            held[key(row)] = row
    return held


def assert_feed_leads_to_snapshot(world: World, event: str) -> None:
    changes = world.changes(event)
    assert [change.version for change in changes] == list(range(1, len(changes) + 1))
    assert world.one("SELECT admission_version FROM events WHERE id = %s", event) == len(changes)
    assert state([change.row for change in changes]) == state(world.feed(event))


def by_subject(world: World, event: str) -> dict[str, Admission]:
    return {row.subject_id: row for row in world.feed(event) if isinstance(row, Admission)}


def test_rows_read_as_the_gates_values(world: World) -> None:
    event = world.event()
    reservation = world.reservation(event, package='{"guestCount": 5}')
    host = world.ticket(event, guest="Luis")
    linked = world.ticket(event, guest="Ana", signature="c2ln")
    plain = world.ticket(event, code="mgy-pf-20260130-lower")
    guest = world.guest_pass(reservation, number=2)
    world.link(reservation, host, host=True)
    world.link(reservation, linked)
    found = by_subject(world, event)
    assert [found[x].kind for x in (host, linked, plain, guest)] == [
        Kind.VIP_HOST,
        Kind.VIP_LINKED,
        Kind.GA,
        Kind.VIP_PASS,
    ]
    assert found[plain].code_hash == code_hash("MGY-PF-20260130-LOWER")
    assert found[linked].signature_hash == hashlib.sha256(b"c2ln").hexdigest()
    assert (found[guest].guest_number, found[guest].reservation_id) == (2, reservation)
    table = next(row for row in world.feed(event) if isinstance(row, Table))
    number = str(world.one("SELECT table_number FROM vip_reservations"))
    assert table == Table(
        reservation_id=reservation,
        event_id=event,
        number=number,
        name="Mezcal",
        tier="premium",
        status=ReservationStatus.CONFIRMED,
        host="Luis",
        seats=5,
        guests=("Guest 2", "Ana"),
    )
    assert isinstance(world.feed(event)[0], Event)
    assert_feed_leads_to_snapshot(world, event)


def test_no_code_and_no_signature_in_the_feed(world: World) -> None:
    event = world.event()
    reservation = world.reservation(event)
    world.guest_pass(reservation)
    world.ticket(event, code="MGY-PF-20260130-SECRET", signature="U0VDUkVU")
    text = world.one("SELECT string_agg(row::text, ' ') FROM admission_changes")
    for secret in ("SECRET", "U0VDUkVU", "VIP-PASS"):
        assert secret not in text


def test_entries_reach_the_feed(world: World, conn: Connection) -> None:
    event = world.event()
    reservation = world.reservation(event)
    host, guest = world.ticket(event), world.guest_pass(reservation)
    world.link(reservation, host, host=True)
    scans = (
        record(1, kind=Kind.VIP_HOST, subject_id=host),
        record(2, kind=Kind.VIP_HOST, subject_id=host, reason=Reason.REENTRY),
        record(3, kind=Kind.VIP_PASS, subject_id=guest),
        record(4, kind=Kind.VIP_PASS, subject_id=guest, reason=Reason.REENTRY),
    )
    write_batch(conn, Batch(records=scans, topics={"gate-1": "t"}))
    found = by_subject(world, event)
    for subject, first, last in ((host, 1, 2), (guest, 3, 4)):
        assert found[subject].status is Status.CHECKED_IN
        for entry, seq in ((found[subject].first_entry, first), (found[subject].last_entry, last)):
            assert entry == Entry(at=later(seq), gate="gate-1", scan=scans[seq - 1].scan_id)
    assert_feed_leads_to_snapshot(world, event)


def test_only_what_a_gate_would_notice_makes_a_version(world: World) -> None:
    event = world.event()
    ticket, reservation = world.ticket(event), world.reservation(event)
    version = world.one("SELECT admission_version FROM events")
    world.run(
        "UPDATE tickets SET metadata = '{\"a\": 1}', guest_email = 'a@example.org' WHERE id = %s", ticket
    )
    world.run("UPDATE tickets SET status = status")
    world.run("UPDATE vip_reservations SET special_requests = 'ice' WHERE id = %s", reservation)
    world.run("UPDATE events SET description = 'loud'")
    assert world.one("SELECT admission_version FROM events") == version


def test_every_kind_of_change_makes_a_version(world: World) -> None:
    event = world.event()
    ticket, reservation = world.ticket(event), world.reservation(event, "pending")
    guest = world.guest_pass(reservation)
    steps = [
        "UPDATE events SET status = 'cancelled'",
        "UPDATE vip_reservations SET status = 'confirmed'",
        f"INSERT INTO vip_linked_tickets (vip_reservation_id, ticket_id) SELECT '{reservation}', '{ticket}'",
        f"UPDATE tickets SET guest_name = 'Eva' WHERE id = '{ticket}'",
        "DELETE FROM vip_linked_tickets",
        f"UPDATE tickets SET status = 'refunded' WHERE id = '{ticket}'",
        f"UPDATE tickets SET qr_code_data = 'MGY-PF-20260130-NEWCODE' WHERE id = '{ticket}'",
        f"UPDATE vip_guest_passes SET status = 'cancelled' WHERE id = '{guest}'",
        "UPDATE event_vip_tables SET table_name = 'Raicilla'",
        f"DELETE FROM vip_guest_passes WHERE id = '{guest}'",
        f"DELETE FROM tickets WHERE id = '{ticket}'",
    ]
    for step in steps:
        before = world.one("SELECT admission_version FROM events")
        world.run(step)
        assert world.one("SELECT admission_version FROM events") > before, step
        assert_feed_leads_to_snapshot(world, event)


def test_a_change_that_is_rolled_back_leaves_no_gap(world: World) -> None:
    event = world.event()
    ticket = world.ticket(event)
    with world.conn.transaction(force_rollback=True):
        world.run("UPDATE tickets SET status = 'refunded' WHERE id = %s", ticket)
    world.run("UPDATE tickets SET status = 'cancelled' WHERE id = %s", ticket)
    assert_feed_leads_to_snapshot(world, event)


def test_versions_are_gapless_under_parallel_writers(world: World, dsn: str) -> None:
    event = world.event()
    reservation = world.reservation(event, seats=48)
    passes = [world.guest_pass(reservation, number) for number in range(1, 9)]
    tickets = [world.ticket(event) for _ in range(40)]
    failures: list[BaseException] = []

    def scan_passes() -> None:
        with connect(dsn, autocommit=True) as mine:
            for guest in passes:
                assert process_vip_scan_with_reentry(mine, guest).success

    def link_tickets(part: int) -> None:
        with connect(dsn, autocommit=True) as mine:
            for ticket in tickets[part::4]:
                World(mine).link(reservation, ticket)

    def ingest() -> None:
        with connect(dsn, autocommit=True) as mine:
            for seq, ticket in enumerate(tickets, 1):
                write_batch(mine, Batch(records=(record(seq, subject_id=ticket),), topics={"gate-1": "t"}))

    def guarded(work: object, *args: object) -> None:
        try:
            work(*args)  # type: ignore[operator]
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=guarded, args=args) for args in [(scan_passes,), (scan_passes,), (ingest,)]
    ]
    threads += [threading.Thread(target=guarded, args=(link_tickets, part)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert_feed_leads_to_snapshot(world, event)
    assert (
        world.one(
            "SELECT count(*) FROM vip_scan_logs WHERE scan_type = 'first_entry' AND pass_id IS NOT NULL"
        )
        == 8
    )


def test_a_guest_moved_to_another_night_is_removed_from_the_old_one(world: World) -> None:
    old, new = world.event(), world.event("PS")
    moving, staying = world.reservation(old), world.reservation(new)
    ticket = world.ticket(old)
    one, two = world.guest_pass(moving, 1), world.guest_pass(moving, 2)
    steps = [
        (f"UPDATE tickets SET event_id = '{new}' WHERE id = '{ticket}'", {ticket}),
        (f"UPDATE vip_guest_passes SET reservation_id = '{staying}' WHERE id = '{one}'", {one}),
        (f"UPDATE vip_reservations SET event_id = '{new}' WHERE id = '{moving}'", {two}),
    ]
    for step, moved in steps:
        known = {row.code_hash: row.subject_id for row in world.feed(old) if isinstance(row, Admission)}
        before = {
            event: world.one("SELECT admission_version FROM events WHERE id = %s", event)
            for event in (old, new)
        }
        world.run(step)
        gone = [c.row for c in world.changes(old, before[old]) if isinstance(c.row, Removed)]
        assert {known[row.code_hash] for row in gone} == moved
        assert {row.event_id for row in gone} == {old}
        come = [c.row for c in world.changes(new, before[new]) if isinstance(c.row, Admission)]
        assert {row.subject_id for row in come} == moved
    assert by_subject(world, old) == {}
    assert_feed_leads_to_snapshot(world, new)


def test_a_guest_who_came_before_the_link_or_the_payment_is_counted(world: World, conn: Connection) -> None:
    event = world.event()
    pending, paid = world.reservation(event, "pending"), world.reservation(event)
    early, walked_in = world.ticket(event), world.ticket(event)
    world.link(pending, early)
    scans = (record(1, subject_id=early), record(2, subject_id=walked_in))
    write_batch(conn, Batch(records=scans, topics={"gate-1": "t"}))
    world.link(paid, walked_in)
    world.run("UPDATE vip_reservations SET status = 'confirmed' WHERE id = %s", pending)
    for reservation, minute in ((pending, 1), (paid, 2)):
        assert world.all(
            "SELECT status, checked_in_guests, checked_in_at FROM vip_reservations WHERE id = %s", reservation
        ) == [("checked_in", 1, later(minute))]
    assert_feed_leads_to_snapshot(world, event)
    world.run("DELETE FROM vip_linked_tickets WHERE ticket_id = %s", walked_in)
    assert world.one("SELECT checked_in_guests FROM vip_reservations WHERE id = %s", paid) == 0
    assert_feed_leads_to_snapshot(world, event)
