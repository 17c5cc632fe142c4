"""When a scan was really made: by its boot's clock, learnt at any time (protocol 4.3; invariant 15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gate.rules.model import Heard, Kind, ScanRecord
from hub.db.connection import Connection
from tests.integration.hub.test_annulment import feed_of
from tests.integration.hub.test_conflicts import SURE, pairs, send
from tests.integration.hub.test_ingest import take, ticket_state
from tests.integration.hub.world import World, later, record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOST: dict[str, Any] = {"clock": "untrusted", "clock_uncertainty_ms": None}


def times(world: World, gate: str = "gate-1") -> list[tuple[Any, ...]]:
    return world.all(
        "SELECT corrected_at, corrected_uncertainty_ms FROM scan_logs WHERE gate_id = %s ORDER BY epoch, seq",
        gate,
    )


def at(seq: int, wall: datetime, seconds: float, **changes: Any) -> ScanRecord:
    """A record `seconds` after its boot."""
    made = LOST | {"occurred_at": wall, "monotonic_ms": int(seconds * 1000)}
    return record(seq, **(made | changes))


def test_the_recorded_fields_are_kept_beside_the_corrected_time(world: World, conn: Connection) -> None:
    heard = (Heard(gate="gate-2", epoch="e1", first=3, last=9),)
    take(conn, record(1, **SURE, heard=heard, actor="Ana", note="the cable"))
    take(conn, at(2, EPOCH, 120))
    assert world.all("SELECT occurred_at, corrected_at, actor, note FROM scan_logs ORDER BY seq") == [
        (later(1), later(1), "Ana", "the cable"),
        (EPOCH, later(1) + timedelta(seconds=119), "", ""),
    ]
    assert world.one("SELECT heard FROM scan_logs WHERE seq = 1") == [
        {"gate": "gate-2", "epoch": "e1", "first": 3, "last": 9}
    ]


@pytest.mark.parametrize("batches", [[(0, 1, 2)], [(0,), (1,), (2,)], [(2,), (1,), (0,)], [(1, 2), (0,)]])
def test_a_boot_in_1970_is_placed_when_its_clock_is_heard(
    world: World, conn: Connection, batches: list[tuple[int, ...]]
) -> None:
    scans = [
        at(1, EPOCH + timedelta(seconds=10), 10),
        at(2, EPOCH + timedelta(seconds=40), 40),
        at(3, later(5), 100, clock="synced", clock_uncertainty_ms=6),
    ]
    for batch in batches:
        take(conn, *(scans[place] for place in batch))
    assert times(world) == [
        (later(5) - timedelta(seconds=90), 15),  # 100 ppm more for every second in between
        (later(5) - timedelta(seconds=60), 12),
        (later(5), 6),
    ]


def test_a_check_in_moves_with_its_scan(world: World, conn: Connection) -> None:
    event = world.event()
    ticket, guest = world.ticket(event), world.guest_pass(world.reservation(event))
    early = EPOCH + timedelta(minutes=1)
    take(
        conn,
        at(1, early, 60, subject_id=ticket),
        at(2, early, 90, subject_id=guest, kind=Kind.VIP_PASS),
    )
    assert ticket_state(world, ticket)[2] == early
    take(conn, at(3, later(2), 120, clock="synced", clock_uncertainty_ms=6))
    first, second = later(1), later(1.5)
    assert ticket_state(world, ticket) == ("checked_in", True, first, "gate-1", first, "gate-1")
    assert world.all("SELECT checked_in_at FROM vip_guest_passes") == [(second,)]
    assert world.all("SELECT scanned_at, scan_type FROM vip_scan_logs") == [(second, "first_entry")]
    assert world.one("SELECT checked_in_at FROM vip_reservations") == second
    told = [feed_of(world, event, subject).first_entry for subject in (ticket, guest)]
    assert [entry and entry.at for entry in told] == [first, second]


def test_a_status_places_a_boot_that_never_scans_with_a_good_clock(world: World, conn: Connection) -> None:
    take(conn, at(1, EPOCH, 10), at(2, EPOCH, 20))
    world.run("SELECT note_boot_clock('gate-1', 'boot', 30000, %s, 3)", later(4))
    assert times(world) == [(later(4) - timedelta(seconds=20), 5), (later(4) - timedelta(seconds=10), 4)]
    world.run("SELECT note_boot_clock('gate-1', 'boot', 30000, %s, 9)", later(7))  # less sure: nothing new
    world.run("SELECT note_boot_clock('gate-2', 'boot', 30000, %s, 1)", later(8))  # another gate's boot
    assert times(world)[0] == (later(4) - timedelta(seconds=20), 5)
    world.run("SELECT note_boot_clock('gate-1', 'boot', 30000, %s, 1)", later(5))
    assert times(world)[0] == (later(5) - timedelta(seconds=20), 3)


@pytest.mark.parametrize("wall", [None, "infinity", "1960-01-01"])
@pytest.mark.parametrize(
    ("monotonic", "unsure"), [(None, 3), (-1, 3), (2**62, 3), (5, -1), (5, 2**62), (5, None)]
)
def test_a_status_that_makes_no_sense_places_nothing(
    world: World, wall: str | None, monotonic: int | None, unsure: int | None
) -> None:
    world.run("SELECT note_boot_clock('gate-1', 'boot', %s::bigint, %s::timestamptz, 3)", 5, wall)
    world.run("SELECT note_boot_clock('gate-1', 'boot', %s::bigint, now(), %s::bigint)", monotonic, unsure)
    assert world.one("SELECT count(*) FROM boot_clocks") == 0


def test_a_boot_of_unknown_time_lies_between_the_record_before_and_its_arrival(
    world: World, conn: Connection
) -> None:
    take(conn, record(1, **SURE))
    take(
        conn,
        at(2, EPOCH, 5, boot_id="dark"),
        at(3, later(3), 9, boot_id="dark"),
        at(4, later(2), 12, boot_id="dark"),
        at(5, later(60 * 24 * 365 * 20), 15, boot_id="dark"),
        record(6, **SURE, boot_id="light"),
    )
    received = world.one("SELECT received_at FROM scan_logs WHERE seq = 5")
    assert times(world) == [
        (later(1), 10),
        (later(1), None),
        (later(3), None),
        (later(3), None),
        (received, None),
        (later(6), 10),
    ]


def test_a_clock_that_jumps_back_keeps_the_order(world: World, conn: Connection) -> None:
    """Within one boot the numbers give the order, whatever the clock says (invariant 15)."""
    walls = [later(5), later(5) - timedelta(minutes=3), later(5) - timedelta(hours=40), later(5.5)]
    for seq, wall in enumerate(walls, 1):
        take(conn, at(seq, wall, seq, clock="synced", clock_uncertainty_ms=8))
    found = times(world)
    assert [when for when, _ in found] == sorted(when for when, _ in found)
    assert found[1] == (later(5), 8 + 180_000)


@pytest.mark.parametrize("skew", [-5, 5])
def test_five_minutes_of_skew_do_not_change_who_was_first(world: World, conn: Connection, skew: int) -> None:
    ticket = world.ticket(world.event())
    wrong = timedelta(minutes=skew)
    mine = at(1, later(10) + wrong, 60, gate_id="gate-2", boot_id="skewed", subject_id=ticket)
    other = record(1, **SURE, occurred_at=later(11), gate_id="gate-1", subject_id=ticket)
    heard = at(
        2, later(12), 180, gate_id="gate-2", boot_id="skewed", clock="synced", clock_uncertainty_ms=4,
        verdict="deny",
    )  # fmt: skip
    send(conn, other, mine)
    send(conn, heard)
    assert pairs(world) == [(mine.scan_id, other.scan_id, "earlier")]
    assert ticket_state(world, ticket)[2:4] == (later(10), "gate-2")


@pytest.mark.parametrize("monotonic", [-5, -(2**53), 2**53])
def test_an_impossible_monotonic_clock_spoils_no_other_records_time(
    world: World, conn: Connection, monotonic: int
) -> None:
    take(conn, at(1, later(1), 0, monotonic_ms=monotonic))
    take(conn, at(2, later(2), 0, clock="synced", clock_uncertainty_ms=2**53, monotonic_ms=monotonic))
    take(conn, at(3, later(3), 30, clock="synced", clock_uncertainty_ms=2))
    assert times(world)[0] == (later(1), None)
    assert times(world)[2] == (later(3), 2)
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_a_clock_out_of_range_is_quarantined_and_spoils_no_other_time(world: World, conn: Connection) -> None:
    take(conn, at(1, later(1), 0, monotonic_ms=2**63 - 1))
    take(conn, at(2, later(2), 20, clock="synced", clock_uncertainty_ms=2**62))
    take(conn, at(3, later(3), 30, clock="synced", clock_uncertainty_ms=2))
    assert times(world) == [(later(3), 2)]
    assert world.one("SELECT count(*) FROM scan_quarantine") == 2


def night_with_a_wrong_minute(minute: range, hours: float, boot: str = "boot") -> list[ScanRecord]:
    """A scan every half minute for ten minutes; in that minute the hub's clock was wrong by `hours`."""
    wrong = timedelta(hours=hours)
    return [
        at(
            seq, later(seq / 2) + (wrong if seq in minute else timedelta(0)), seq * 30,
            boot_id=boot, clock="synced", clock_uncertainty_ms=5,
        )
        for seq in range(1, 21)
    ]  # fmt: skip


@pytest.mark.parametrize(("hours", "minute"), [(1, range(1, 4)), (1, range(8, 11)), (-1, range(8, 11))])
@pytest.mark.parametrize("size", [1, 20, -5], ids=["one by one", "at once", "late ones first"])
def test_a_hub_an_hour_wrong_for_a_minute_spoils_only_that_minute(
    world: World, conn: Connection, hours: float, minute: range, size: int
) -> None:
    scans = night_with_a_wrong_minute(minute, hours)
    batches = [scans[begin : begin + abs(size)] for begin in range(0, len(scans), abs(size))]
    for batch in batches[:: 1 if size > 0 else -1]:
        take(conn, *batch)
    found = times(world)
    assert [when for when, _ in found] == sorted(when for when, _ in found)  # invariant 15
    for seq, (when, unsure) in enumerate(found, 1):
        if seq in minute:
            assert unsure >= 3_500_000
            assert later(minute.start / 2 - 0.5) <= when <= later(minute.stop / 2)
        else:
            assert (when, unsure) == (later(seq / 2), 5)


def test_a_boot_that_began_in_the_wrong_minute_is_put_right_by_those_after(
    world: World, conn: Connection
) -> None:
    scans = night_with_a_wrong_minute(range(1, 6), 1)
    take(conn, *scans[:8])
    assert times(world)[7][0] >= later(60)  # three right readings against five wrong ones
    take(conn, *scans[8:])
    assert times(world)[5:] == [(later(seq / 2), 5) for seq in range(6, 21)]
    assert times(world)[:5] == [(later(3), 5 + 3_600_000 - (6 - seq) * 30_000) for seq in range(1, 6)]
