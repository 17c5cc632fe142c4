"""What a damaged journal sends: its scans again with new numbers, and rows that cannot be read."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gate.rules.model import EventKind, Kind, ScanRecord
from gate.store.journal import Journal
from hub.db.connection import Connection
from sync.upload.outbox import Outbox
from sync.wire.messages import Ack
from sync.wire.scans import SpoiledRow, encode_scans, record_hash
from tests.factories import a_record
from tests.integration.hub.test_ingest import take, take_raw, ticket_state
from tests.integration.hub.world import World, later, record


def again(scan: ScanRecord, seq: int, **changes: Any) -> ScanRecord:
    """The same scan as the gate's next journal numbers it."""
    return msgspec.structs.replace(scan, epoch="e2", seq=seq, **changes)


def places(world: World) -> list[tuple[Any, ...]]:
    return world.all("SELECT epoch, seq, scan_id::text, payload_hash FROM scan_repeats ORDER BY epoch, seq")


def test_a_scan_under_a_new_number_is_acknowledged_and_kept_once(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scan = record(7, subject_id=ticket, event_id=event, clock_offset_ms=3, flags=())
    take(conn, scan)
    before = (world.all("SELECT * FROM scan_logs"), world.changes(event), ticket_state(world, ticket))
    salvaged = again(scan, 1)
    for _ in range(2):
        assert take(conn, salvaged) == [("gate-1", Ack(epoch="e2", seq=1))]
    assert take(conn, record(2, epoch="e2")) == [("gate-1", Ack(epoch="e2", seq=2))]
    rows = world.all("SELECT * FROM scan_logs WHERE epoch = 'e1'")
    assert (rows, world.changes(event), ticket_state(world, ticket)) == before
    assert places(world) == [("e2", 1, scan.scan_id, record_hash(salvaged))]
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_the_old_number_may_come_after_the_new_one(world: World, conn: Connection) -> None:
    scan = record(1)
    take(conn, again(scan, 1))
    assert take(conn, scan, record(2)) == [("gate-1", Ack(epoch="e1", seq=2))]
    assert [(epoch, seq) for epoch, seq, *_ in places(world)] == [("e1", 1)]
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_both_numbers_in_one_batch_are_one_scan(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    scan = record(1, subject_id=ticket)
    assert take(conn, scan, again(scan, 1)) == [
        ("gate-1", Ack(epoch="e1", seq=1)),
        ("gate-1", Ack(epoch="e2", seq=1)),
    ]
    assert world.one("SELECT count(*) FROM scan_logs") == 1
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_a_salvaged_scan_may_have_been_annulled_since(world: World, conn: Connection) -> None:
    ticket = world.ticket(world.event())
    scan = record(1, subject_id=ticket)
    take(conn, scan)
    annulled = record(
        2,
        epoch="e2",
        record="annulled",
        reason=EventKind.NOT_OPENED,
        refers_to=scan.scan_id,
        subject_id=ticket,
    )
    assert take(conn, again(scan, 1), annulled) == [("gate-1", Ack(epoch="e2", seq=2))]
    assert ticket_state(world, ticket)[0] == "issued"
    assert take(conn, again(scan, 3)) == [("gate-1", Ack(epoch="e2", seq=3))]
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


@pytest.mark.parametrize(
    "change",
    [
        {"occurred_at": later(55)},
        {"verdict": "deny"},
        {"subject_id": "00000000-0000-4000-8000-000000000009"},
        {"kind": Kind.VIP_HOST},
        {"refers_to": "00000000-0000-4000-8000-000000000009"},
    ],
)
def test_other_content_under_a_known_scan_id_is_quarantined(
    world: World, conn: Connection, change: dict[str, Any]
) -> None:
    scan = record(1, subject_id=world.ticket(world.event()))
    take(conn, scan)
    for _ in range(2):
        assert take(conn, again(scan, 1, **change)) == [("gate-1", Ack(epoch="e2", seq=1))]
    assert places(world) == []
    assert world.all("SELECT epoch, seq, error FROM scan_quarantine") == [
        ("e2", 1, "this scan_id belongs to another scan")
    ]


def test_another_gate_cannot_repeat_a_scan(world: World, conn: Connection) -> None:
    scan = record(1)
    take(conn, scan)
    take(conn, again(scan, 1, gate_id="gate-2"), gate="gate-2")
    assert places(world) == []
    assert world.all("SELECT gate_id FROM scan_logs ORDER BY 1") == [("gate-1",), ("gate-2",)]


def test_the_number_of_a_repeated_scan_is_used_up(world: World, conn: Connection) -> None:
    scan = record(1)
    take(conn, scan, again(scan, 1))
    take(conn, record(1, epoch="e2"))
    assert world.one("SELECT count(*) FROM scan_logs") == 1
    assert world.all("SELECT epoch, seq, error FROM scan_quarantine") == [
        ("e2", 1, "another record is already kept for this gate, epoch and seq")
    ]


def test_a_long_salvage_gets_through(world: World, conn: Connection) -> None:
    scans = [record(seq) for seq in range(1, 2501)]
    for start in range(0, 2500, 50):
        take(conn, *scans[start : start + 50])
    for start in range(0, 2500, 50):
        acks = take(conn, *(again(scan, scan.seq) for scan in scans[start : start + 50]))
    assert acks == [("gate-1", Ack(epoch="e2", seq=2500))]
    assert world.one("SELECT count(*) FROM scan_repeats") == 2500


def test_a_spoiled_journal_row_is_quarantined_and_later_scans_arrive(
    world: World, conn: Connection, tmp_path: Path
) -> None:
    event = world.event()
    ticket = world.ticket(event)
    journal = Journal(tmp_path / "journal.db", "gate-1", "epoch-1")
    with contextlib.closing(journal):
        for number in range(1, 5):
            with journal.turn() as turn:
                turn.append(a_record(number, event_id=event, subject_id=ticket))
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as db:
        db.execute("update scans set verdict = 'perhops' where seq = 2")
        db.execute("delete from scans where seq = 3")
    outbox = Outbox(tmp_path / "journal.db")
    batch = outbox.above(0, 50)
    outbox.close()
    for _ in range(2):
        assert take_raw(conn, encode_scans(batch)) == [("gate-1", Ack(epoch="epoch-1", seq=4))]
    assert world.all("SELECT seq FROM scan_logs ORDER BY seq") == [(1,), (4,)]
    kept = world.all("SELECT epoch, seq, error, raw FROM scan_quarantine ORDER BY seq")
    assert [(epoch, seq) for epoch, seq, *_ in kept] == [("epoch-1", 2), ("epoch-1", 3)]
    assert [error for _, _, error, _ in kept] == [
        "spoiled in the gate's journal: Invalid enum value 'perhops' - at `$.verdict`",
        "spoiled in the gate's journal: there is no such row",
    ]
    spoiled = msgspec.json.decode(kept[0][3], type=SpoiledRow)
    assert (spoiled.row["verdict"], spoiled.row["subject_id"]) == ("perhops", ticket)
