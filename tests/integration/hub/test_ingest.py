"""Batches into Postgres: exactly once, check-ins, quarantine, watermarks (invariants 1 to 4, 9)."""

from __future__ import annotations

import itertools
import random
from datetime import datetime
from typing import Any

import msgspec
import pytest

from gate.rules.model import Flag, Kind, Reason, Ruling, ScanRecord
from gate.rules.payload import code_hash
from hub.db.connection import Connection
from hub.errors import DatabaseDownError
from hub.ingest.batch import merge, read_batch, write_batch
from hub.mqtt.inbox import Delivery
from sync.wire.messages import Ack
from sync.wire.scans import encode_scans, record_hash
from sync.wire.topics import Topics
from tests.integration.hub.world import World, later, record

TOPICS = Topics(venue="maguey")


def take(conn: Connection, *records: ScanRecord, gate: str = "gate-1") -> list[tuple[str, Ack]]:
    return take_raw(conn, encode_scans(records), gate)


def take_raw(conn: Connection, payload: bytes, gate: str = "gate-1") -> list[tuple[str, Ack]]:
    message = Delivery(TOPICS.scans(gate), payload, 1, 1)
    return write_batch(conn, merge([read_batch(message, TOPICS)])).acks


def ticket_state(world: World, ticket: str) -> tuple[Any, ...]:
    return world.all(
        "SELECT status, is_used, checked_in_at, checked_in_by, last_entry_at, last_entry_gate"
        " FROM tickets WHERE id = %s",
        ticket,
    )[0]


def test_every_field_of_a_record_is_kept(world: World, conn: Connection) -> None:
    event = world.event()
    full = record(
        event_id=event,
        subject_id=world.ticket(event),
        code_hash="c" * 64,
        raw_hash="d" * 64,
        flags=(Flag.ISOLATED, Flag.UNSYNCED),
        clock="synced",
        clock_offset_ms=-12,
        clock_uncertainty_ms=3,
        cache_version=7,
        cache_age_s=9,
        released=True,
        refers_to="00000000-0000-4000-8000-000000000001",
    )
    assert take(conn, full) == [("gate-1", Ack(epoch="e1", seq=1))]
    row = conn.execute(b"SELECT * FROM scan_logs").fetchone()
    assert row is not None
    kept = {field: row[field] for field in ScanRecord.__struct_encode_fields__}
    assert msgspec.convert(msgspec.to_builtins(kept), ScanRecord) == full
    assert row["payload_hash"] == record_hash(full)


def test_the_same_batch_twice_changes_nothing(world: World, conn: Connection) -> None:
    event = world.event()
    batch = [record(seq, event_id=event, subject_id=world.ticket(event)) for seq in range(1, 6)]
    first = take(conn, *batch)
    changes = world.changes(event)
    assert take(conn, *batch) == first == [("gate-1", Ack(epoch="e1", seq=5))]
    assert world.one("SELECT count(*) FROM scan_logs") == 5
    assert world.changes(event) == changes
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_reordered_and_overlapping_batches_are_stored_once(world: World, conn: Connection) -> None:
    batch = [record(seq) for seq in range(1, 10)]
    assert take(conn, *batch[4:]) == [("gate-1", Ack(epoch="e1", seq=0))]
    assert take(conn, *reversed(batch[2:6])) == [("gate-1", Ack(epoch="e1", seq=0))]
    assert take(conn, *batch[:3]) == [("gate-1", Ack(epoch="e1", seq=9))]
    assert world.all("SELECT seq FROM scan_logs ORDER BY seq") == [(seq,) for seq in range(1, 10)]


def test_watermarks_are_per_gate_and_epoch(conn: Connection) -> None:
    assert take(conn, record(1), record(2), record(1, epoch="e2")) == [
        ("gate-1", Ack(epoch="e1", seq=2)),
        ("gate-1", Ack(epoch="e2", seq=1)),
    ]
    assert take(conn, record(1, gate_id="gate-2"), gate="gate-2") == [("gate-2", Ack(epoch="e1", seq=1))]


def test_a_watermark_crosses_thousands_of_rows(conn: Connection, world: World) -> None:
    world.run(
        "INSERT INTO scan_logs SELECT (jsonb_populate_record(null::scan_logs, %s::jsonb"
        " || jsonb_build_object('seq', n, 'id', gen_random_uuid(), 'scan_id', gen_random_uuid(),"
        " 'received_at', now()))).* FROM generate_series(2, 3500) n",
        msgspec.json.encode(plain(record(2)) | {"payload_hash": "x"}).decode(),
    )
    assert take(conn, record(1)) == [("gate-1", Ack(epoch="e1", seq=3500))]


def test_a_general_admission_scan_checks_its_ticket_in(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    take(conn, record(1, event_id=event, subject_id=ticket))
    assert ticket_state(world, ticket) == ("checked_in", True, later(1), "gate-1", later(1), "gate-1")
    assert world.one("SELECT count(*) FROM vip_scan_logs") == 0


@pytest.mark.parametrize("status", ["cancelled", "refunded"])
def test_a_ticket_out_of_use_is_never_resurrected(world: World, conn: Connection, status: str) -> None:
    event = world.event()
    ticket = world.ticket(event, status=status)
    take(conn, record(1, event_id=event, subject_id=ticket))
    assert ticket_state(world, ticket) == (status, False, None, None, None, None)
    assert world.one("SELECT count(*) FROM scan_logs") == 1


def test_any_order_and_batching_gives_the_same_winner(world: World, conn: Connection) -> None:
    event = world.event()
    expected = ("checked_in", True, later(1), "gate-2", later(9), "gate-1")
    for number, order in enumerate(itertools.permutations((("gate-2", 1), ("gate-1", 4), ("gate-1", 9)))):
        ticket = world.ticket(event)
        split = random.Random(number).randint(1, 3)
        scans = [
            record(
                place + 1,
                gate_id=gate,
                epoch=f"e{number}",
                boot_id=f"boot-{place}",
                occurred_at=later(minute),
                subject_id=ticket,
                clock="synced",
                clock_uncertainty_ms=5,
            )
            for place, (gate, minute) in enumerate(order)
        ]
        for part in (scans[:split], scans[split:]):
            for gate in ("gate-1", "gate-2"):
                mine = [scan for scan in part if scan.gate_id == gate]
                if mine:
                    take(conn, *mine, gate=gate)
        assert ticket_state(world, ticket) == expected


def test_denials_and_unknown_guests_are_only_logged(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    version = world.one("SELECT admission_version FROM events")
    take(
        conn,
        record(
            1, verdict=Ruling.DENY, reason=Reason.ALREADY_USED, line=13, subject_id=ticket, event_id=event
        ),
        record(2, subject_id=None, code_hash=None),
        record(3, subject_id="00000000-0000-4000-8000-000000000009", event_id=None),
        record(4, verdict=Ruling.NONE, reason=Reason.AMBIGUOUS, line=4, kind=Kind.UNKNOWN),
        record(5, record="passed", refers_to="00000000-0000-4000-8000-000000000009", subject_id=ticket),
    )
    assert world.one("SELECT count(*) FROM scan_logs") == 5
    assert ticket_state(world, ticket)[0] == "issued"
    assert world.one("SELECT admission_version FROM events") == version


def test_an_admission_without_subject_is_found_by_its_code(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event, code="MGY-PF-20260130-SIGNED")
    take(conn, record(1, code_hash=code_hash("mgy-pf-20260130-signed"), flags=(Flag.UNSYNCED,), line=6))
    assert ticket_state(world, ticket)[0] == "checked_in"


def test_host_and_linked_guest_count_as_arrived(world: World, conn: Connection) -> None:
    event = world.event()
    reservation = world.reservation(event)
    host, guest = world.ticket(event), world.ticket(event)
    world.link(reservation, host, host=True)
    world.link(reservation, guest)
    take(conn, record(1, kind=Kind.VIP_LINKED, subject_id=guest))
    assert world.all("SELECT status, checked_in_guests, checked_in_at FROM vip_reservations") == [
        ("checked_in", 1, later(1))
    ]
    take(
        conn,
        record(2, kind=Kind.VIP_HOST, subject_id=host),
        record(3, kind=Kind.VIP_HOST, subject_id=host, reason=Reason.REENTRY, line=12),
    )
    assert world.all("SELECT status, checked_in_guests FROM vip_reservations") == [("checked_in", 2)]
    assert world.all("SELECT ticket_id::text, scan_type FROM vip_scan_logs ORDER BY scanned_at") == [
        (guest, "first_entry"),
        (host, "first_entry"),
        (host, "reentry"),
    ]
    assert ticket_state(world, host) == ("checked_in", True, later(2), "gate-1", later(3), "gate-1")


def test_an_unpaid_table_counts_nobody(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    world.link(world.reservation(event, "pending"), ticket)
    take(conn, record(1, subject_id=ticket))
    assert ticket_state(world, ticket)[0] == "checked_in"
    assert world.all("SELECT status, checked_in_guests FROM vip_reservations") == [("pending", 0)]
    assert world.one("SELECT count(*) FROM vip_scan_logs") == 0


def test_the_earliest_scan_of_a_guest_pass_is_its_check_in(world: World, conn: Connection) -> None:
    guest = world.guest_pass(world.reservation(world.event()))
    take(
        conn,
        record(
            2, kind=Kind.VIP_PASS, subject_id=guest, occurred_at=later(20), reason=Reason.REENTRY, line=12
        ),
        record(1, kind=Kind.VIP_PASS, subject_id=guest, occurred_at=later(10)),
    )
    # a scan from an offline gate, older than all others known
    take(
        conn,
        record(1, gate_id="gate-2", kind=Kind.VIP_PASS, subject_id=guest, occurred_at=later(5)),
        gate="gate-2",
    )
    assert world.all("SELECT status, checked_in_at, checked_in_by FROM vip_guest_passes") == [
        ("checked_in", later(5), "gate-2")
    ]
    assert world.one("SELECT count(*) FROM vip_scan_logs") == 3
    assert world.one("SELECT checked_in_guests FROM vip_reservations") == 1


def raw_batch(*scans: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"v": 1, "scans": scans})


def plain(scan: ScanRecord) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(scan)
    return found


def test_an_unreadable_record_spoils_only_itself(world: World, conn: Connection) -> None:
    payload = raw_batch(plain(record(1)), plain(record(2)) | {"verdict": "perhaps"}, plain(record(3)))
    for _ in range(2):
        assert take_raw(conn, payload) == [("gate-1", Ack(epoch="e1", seq=3))]
    assert world.all("SELECT seq FROM scan_logs ORDER BY seq") == [(1,), (3,)]
    assert world.all("SELECT topic, gate_id, epoch, seq FROM scan_quarantine") == [
        (TOPICS.scans("gate-1"), "gate-1", "e1", 2)
    ]


@pytest.mark.parametrize(
    "payload", [b"", b"\xff\xfe", b"[]", b'{"v": 2, "scans": [{}]}', b'{"v":1,"scans":[]}']
)
def test_an_unreadable_message_is_kept_as_it_came_once(
    world: World, conn: Connection, payload: bytes
) -> None:
    for _ in range(2):
        assert take_raw(conn, payload) == []
    assert world.all("SELECT raw FROM scan_quarantine") == [(payload,)]


def test_a_record_of_another_gate_is_refused(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    assert take(conn, record(1, gate_id="gate-2", subject_id=ticket)) == []
    assert world.one("SELECT count(*) FROM scan_logs") == 0
    assert "gate-2" in world.one("SELECT error FROM scan_quarantine")
    assert ticket_state(world, ticket)[0] == "issued"


@pytest.mark.parametrize(
    "bad",
    [
        {"reason": "first_entry", "code_hash": "\0"},
        {"subject_id": "no uuid"},
        {"monotonic_ms": 2**80},
        {"scan_id": "no uuid"},
    ],
)
def test_a_record_the_database_refuses_does_not_hold_up_the_rest(
    world: World, conn: Connection, bad: dict[str, Any]
) -> None:
    event = world.event()
    ticket = world.ticket(event)
    payload = raw_batch(plain(record(1)), plain(record(2)) | bad, plain(record(3, subject_id=ticket)))
    for _ in range(2):
        assert take_raw(conn, payload) == [("gate-1", Ack(epoch="e1", seq=3))]
    assert world.all("SELECT seq FROM scan_logs ORDER BY seq") == [(1,), (3,)]
    assert world.all("SELECT epoch, seq FROM scan_quarantine") == [("e1", 2)]
    assert ticket_state(world, ticket)[0] == "checked_in"


@pytest.mark.parametrize("place", [{"seq": 0}, {"seq": -4}, {"seq": 2**70}, {"epoch": "e\0"}])
def test_a_record_with_an_invalid_place_is_quarantined_without_it(
    world: World, conn: Connection, place: dict[str, Any]
) -> None:
    take_raw(conn, raw_batch(plain(record(1)), plain(record(2)) | place))
    assert world.all("SELECT seq FROM scan_logs") == [(1,)]
    assert world.all("SELECT seq FROM scan_quarantine") == [(None,)]


def test_an_altered_record_is_quarantined_and_the_first_one_stays(world: World, conn: Connection) -> None:
    first = record(1)
    take(conn, first)
    altered = msgspec.structs.replace(first, reason=Reason.REENTRY)
    assert take(conn, altered) == [("gate-1", Ack(epoch="e1", seq=1))]
    assert world.one("SELECT payload_hash FROM scan_logs") == record_hash(first)
    assert world.one("SELECT raw_hash FROM scan_quarantine") == record_hash(altered)


def test_a_scan_id_used_twice_does_not_stop_the_watermark(world: World, conn: Connection) -> None:
    first = record(1)
    assert take(conn, first, record(2, scan_id=first.scan_id), record(3)) == [
        ("gate-1", Ack(epoch="e1", seq=3))
    ]
    assert world.all("SELECT seq FROM scan_quarantine") == [(2,)]


def test_times_have_a_time_zone(world: World, conn: Connection) -> None:
    take(conn, record(1))
    received: datetime = world.one("SELECT received_at FROM scan_logs")
    assert received.tzinfo is not None


def test_if_the_database_refuses_everything_the_records_are_not_to_blame(
    world: World, conn: Connection
) -> None:
    """A broken function: nothing is quarantined or acknowledged, and all is taken once it is repaired."""
    event = world.event()
    scans = [record(seq=seq, event_id=event, subject_id=world.ticket(event)) for seq in (1, 2)]
    world.run("ALTER FUNCTION check_in RENAME TO check_in_right")
    world.run(
        "CREATE FUNCTION check_in(scan_logs[], text[], uuid[]) RETURNS uuid[] LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'broken'; END $$"
    )
    world.run("GRANT EXECUTE ON FUNCTION check_in TO service_role")
    with pytest.raises(DatabaseDownError, match="every one of 2 records: broken"):
        take(conn, *scans)
    assert world.all("SELECT seq FROM scan_quarantine UNION SELECT seq FROM gate_watermarks") == []
    world.run("DROP FUNCTION check_in")
    world.run("ALTER FUNCTION check_in_right RENAME TO check_in")
    assert take(conn, *scans) == [("gate-1", Ack(epoch="e1", seq=2))]


def test_a_batch_in_which_no_record_can_be_stored_does_not_stop_the_hub(
    world: World, conn: Connection
) -> None:
    impossible = [record(seq=seq, note="\0") for seq in (1, 2)]
    assert take(conn, *impossible) == [("gate-1", Ack(epoch="e1", seq=2))]
    assert world.one("SELECT count(*) FROM scan_quarantine") == 2


def test_of_records_whose_places_and_ids_cross_each_is_kept_that_nothing_kept_rules_out(
    conn: Connection, world: World
) -> None:
    """Only a hostile gate sends such: in the order of their numbers, whatever an earlier one did not take."""
    first, second, third = (record(seq) for seq in (1, 2, 3))
    taken_id = record(2, scan_id=first.scan_id)
    taken_by_second = record(3, scan_id=second.scan_id)
    for order in itertools.permutations((first, taken_id, second, taken_by_second, third)):
        world.run("TRUNCATE scan_logs, scan_places, scan_quarantine, boots, gate_watermarks")
        take(conn, *order)
        kept = world.all("SELECT seq, scan_id::text FROM scan_logs ORDER BY seq")
        assert kept == [(1, first.scan_id), (2, second.scan_id), (3, third.scan_id)]
        assert world.one("SELECT count(*) FROM scan_quarantine") == 2


def test_a_record_that_is_not_kept_rules_out_no_other(conn: Connection, world: World) -> None:
    """A journal that was put back numbers on from before, and sends the same scan in its next numbering."""
    event = world.event()
    ticket, other = world.ticket(event), world.ticket(event)
    take(conn, first := record(1, event_id=event, subject_id=ticket))
    again = record(1, event_id=event, subject_id=other)
    take(conn, again, msgspec.structs.replace(again, epoch="e2"))
    changed = msgspec.structs.replace(first, epoch="e3", note="x")
    third = world.ticket(event)
    take(conn, changed, record(1, epoch="e3", event_id=event, subject_id=third))
    assert [ticket_state(world, one)[0] for one in (ticket, other, third)] == ["checked_in"] * 3
    assert world.one("SELECT count(*) FROM scan_logs") == 3
    assert world.one("SELECT count(*) FROM alerts WHERE reason = 'flooding'") == 0
