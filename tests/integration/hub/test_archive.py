"""Scans by month: each in its partition, found by reading only that, archived as a whole (docs/adr/0021)."""

from __future__ import annotations

from datetime import UTC, date, datetime

import psycopg
import pytest

from hub.db.connection import Connection
from hub.keeping.retention import ArchivedMonth, ArchiveResult, KeptMonth, archive, months_before
from tests.integration.hub.test_ingest import take
from tests.integration.hub.world import World, later, record

NOW = datetime(2026, 3, 20, 12, 0, tzinfo=UTC)

KEPT = """
INSERT INTO scan_logs (scan_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict, reason,
    rule, kind, clock, scan_method, released, record, payload_hash, received_at, corrected_at, event_id)
SELECT md5(%(gate)s || %(month)s || n)::uuid, %(gate)s, %(month)s, n, 'boot', at, n, 'admit', 'first_entry',
    11, 'ga', 'synced', 'qr', true, 'scan', 'x', at, at, %(event)s::uuid
FROM generate_series(1, %(count)s) n, (SELECT (%(month)s || '-15T23:00:00Z')::timestamptz AS at) month
"""


def keep(world: World, month: str, count: int = 3, gate: str = "gate-1", event: str | None = None) -> None:
    """Store so many scans that were received in this month; their epoch is the month."""
    world.conn.execute(KEPT.encode(), {"gate": gate, "month": month, "count": count, "event": event})


def part(world: World, month: str) -> None:
    world.run("SELECT make_scan_partition(%s::date)", f"{month}-01")


def parts(world: World) -> dict[str, int]:
    """How many scans each partition has that is not empty."""
    found = world.all("SELECT tableoid::regclass::text, count(*) FROM scan_logs GROUP BY 1")
    return {name.removeprefix("scan_logs_"): count for name, count in found}


def test_a_scan_is_in_the_partition_of_the_month_it_was_received_in(world: World, conn: Connection) -> None:
    take(conn, record(1))  # its own clock says January 2026
    month = world.one("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
    assert parts(world) == {month: 1}
    assert world.all("SELECT received_at FROM scan_places") == world.all("SELECT received_at FROM scan_logs")


def test_partitions_for_the_coming_months_are_made_once(world: World, conn: Connection) -> None:
    wanted = "SELECT ensure_scan_partitions(3, %s)"
    assert world.one(wanted, NOW) == {
        "success": True,
        "made": ["2026-03", "2026-04", "2026-05", "2026-06"],
    }
    assert world.one(wanted, NOW) == {"success": True, "made": []}
    assert world.one(wanted, datetime(2026, 3, 31, 23, 59, tzinfo=UTC)) == {"success": True, "made": []}


def test_scans_without_a_partition_are_kept_and_move_once_it_is_made(world: World) -> None:
    keep(world, "2026-03")
    keep(world, "2026-05", 2)
    before = world.all("SELECT * FROM scan_logs ORDER BY epoch, seq")
    assert parts(world) == {"default": 5}
    part(world, "2026-03")
    assert parts(world) == {"2026_03": 3, "default": 2}
    # every month in the default partition gets its own, even one that is never made ahead
    world.run("SELECT ensure_scan_partitions(0, %s)", NOW)
    assert parts(world) == {"2026_03": 3, "2026_05": 2}
    assert world.all("SELECT * FROM scan_logs ORDER BY epoch, seq") == before


def test_months_end_in_utc(world: World) -> None:
    part(world, "2026-03")
    world.run("SET timezone = 'America/Mexico_City'")
    part(world, "2026-04")
    keep(world, "2026-03", 1)
    for at in ("2026-03-31T23:59:59.999999Z", "2026-04-01T00:00:00Z"):
        world.run(
            "UPDATE scan_logs SET received_at = %s::timestamptz WHERE gate_id = 'gate-1'",
            at,
        )
        assert parts(world) == {at[:7].replace("-", "_"): 1}


@pytest.mark.parametrize("column", ["scan_id", "seq"])
def test_a_place_and_a_scan_id_are_unique_across_all_months(world: World, column: str) -> None:
    part(world, "2026-03")
    part(world, "2026-04")
    keep(world, "2026-03", 1)
    name, other = {"scan_id": ("seq", "2"), "seq": ("scan_id", "gen_random_uuid()")}[column]
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.run(
            "INSERT INTO scan_logs SELECT (jsonb_populate_record(l, jsonb_build_object('received_at',"
            f" '2026-04-15T00:00:00Z', '{name}', {other}))).* FROM scan_logs l"
        )
    assert parts(world) == {"2026_03": 1}


def test_a_scan_sent_again_in_a_later_month_is_the_same_scan(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scan = record(1, event_id=event, subject_id=ticket)
    acks = take(conn, scan)
    part(world, "2025-01")
    world.run("UPDATE scan_logs SET received_at = '2025-01-15T00:00:00Z'")
    world.run("UPDATE scan_places SET received_at = '2025-01-15T00:00:00Z'")
    before = (world.all("SELECT * FROM scan_logs"), world.changes(event))
    assert take(conn, scan) == acks
    assert (world.all("SELECT * FROM scan_logs"), world.changes(event)) == before
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0


def test_a_scan_sent_again_after_it_was_archived_does_nothing(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    scan = record(1, event_id=event, subject_id=ticket)
    acks = take(conn, scan)
    world.run("UPDATE events SET ends_at = now() - interval '1 minute'")
    part(world, "2025-01")
    world.run("UPDATE scan_logs SET received_at = '2025-01-15T00:00:00Z'")
    world.run("UPDATE scan_places SET received_at = '2025-01-15T00:00:00Z'")
    assert archive(conn, date(2026, 1, 1), datetime.now(UTC)).months == (
        ArchivedMonth(month="2025-01", scans=1),
    )
    version = world.one("SELECT admission_version FROM events")
    assert take(conn, scan) == acks
    assert take(conn, record(2)) == [("gate-1", acks[0][1].__class__(epoch="e1", seq=2))]
    assert world.all("SELECT seq FROM scan_logs") == [(2,)]
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0
    assert world.one("SELECT admission_version FROM events") == version
    # a different record for that place is refused, as always
    take(conn, record(1))
    assert world.one("SELECT count(*) FROM scan_quarantine") == 1


def test_an_archived_admission_stays_the_one_that_counts(world: World, conn: Connection) -> None:
    event = world.event()
    ticket = world.ticket(event)
    take(conn, record(1, event_id=event, subject_id=ticket))
    world.run("UPDATE events SET ends_at = now() - interval '1 minute'")
    part(world, "2025-01")
    world.run("UPDATE scan_logs SET received_at = '2025-01-15T00:00:00Z'")
    world.run("UPDATE scan_places SET received_at = '2025-01-15T00:00:00Z'")
    archive(conn, date(2026, 1, 1), datetime.now(UTC))
    late = record(1, gate_id="gate-2", occurred_at=later(9), event_id=event, subject_id=ticket)
    assert take(conn, late, gate="gate-2")[0][1].seq == 1
    assert world.one("SELECT count(*) FROM scan_logs") == 1
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0
    assert world.all("SELECT checked_in_by, checked_in_at, last_entry_gate, last_entry_at FROM tickets") == [
        ("gate-1", later(1), "gate-2", later(9))
    ]


def test_a_scan_is_looked_up_in_one_partition_of_twelve(world: World) -> None:
    for month in range(1, 13):
        part(world, f"2025-{month:02}")
        keep(world, f"2025-{month:02}", 50)
    world.run("SET enable_seqscan = off")
    scan = "md5('gate-1' || '2025-07' || '7')::uuid"
    plan = world.one(
        "EXPLAIN (ANALYZE, FORMAT JSON, COSTS OFF, TIMING OFF) SELECT l.* FROM scan_logs l WHERE"
        f" l.scan_id = {scan} AND l.received_at ="
        f" (SELECT received_at FROM scan_places WHERE scan_id = {scan})"
    )
    looked = [
        node for node in nodes(plan[0]["Plan"]) if str(node.get("Relation Name", "")).startswith("scan_logs_")
    ]
    assert [node["Relation Name"] for node in looked if node["Actual Loops"]] == ["scan_logs_2025_07"]
    assert [node["Node Type"] for node in looked if node["Actual Loops"]] == ["Index Scan"]


@pytest.mark.parametrize(
    "asked",
    [
        "SELECT count(*) FROM scans_of(ARRAY[md5('gate-1' || '2025-07' || '7')::uuid])",
        "SELECT * FROM newest_scan('gate-1', '2025-07')",
    ],
)
def test_the_hubs_queries_read_one_partition_of_twelve(world: World, asked: str) -> None:
    """By the database's own count of reads."""
    for month in range(1, 13):
        part(world, f"2025-{month:02}")
        keep(world, f"2025-{month:02}", 50)
    world.run("SET enable_seqscan = off")
    with world.conn.transaction():
        before = looks(world)
        world.run(asked)
        after = looks(world)
    assert [name for name in after if after[name] > before.get(name, 0)] == ["scan_logs_2025_07"]


def looks(world: World) -> dict[str, int]:
    """How often this transaction has read each partition."""
    return dict(
        world.all(
            "SELECT relid::regclass::text, seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables"
            " WHERE relname LIKE 'scan\\_logs\\_%%'"
        )
    )


def nodes(plan: dict[str, object]) -> list[dict[str, object]]:
    found = [plan]
    for inner in plan.get("Plans", []):  # type: ignore[attr-defined]
        found += nodes(inner)
    return found


def test_old_months_become_counts(world: World, conn: Connection) -> None:
    event = world.event()
    world.run("UPDATE events SET ends_at = '2025-02-01', doors_open_at = '2025-01-01', starts_at = NULL")
    for month in ("2025-01", "2025-02", "2025-03"):
        part(world, month)
        keep(world, month, 3, event=event)
        keep(world, month, 2, gate="gate-2")
    world.run(
        "UPDATE scan_logs SET annulled_at = now() WHERE epoch = '2025-01' AND seq = 1 AND gate_id = 'gate-1'"
    )
    would = archive(conn, date(2025, 3, 1), NOW, dry=True)
    assert parts(world) == {"2025_01": 5, "2025_02": 5, "2025_03": 5}
    wanted = ArchiveResult(
        success=True,
        months=(ArchivedMonth(month="2025-01", scans=5), ArchivedMonth(month="2025-02", scans=5)),
    )
    assert archive(conn, date(2025, 3, 1), NOW) == wanted == would
    assert parts(world) == {"2025_03": 5}
    assert world.all(
        "SELECT event_id::text, gate_id, day, record, verdict, reason, kind, count, annulled FROM scan_counts"
        " ORDER BY day, gate_id"
    ) == [
        (event, "gate-1", date(2025, 1, 15), "scan", "admit", "first_entry", "ga", 3, 1),
        (None, "gate-2", date(2025, 1, 15), "scan", "admit", "first_entry", "ga", 2, 0),
        (event, "gate-1", date(2025, 2, 15), "scan", "admit", "first_entry", "ga", 3, 0),
        (None, "gate-2", date(2025, 2, 15), "scan", "admit", "first_entry", "ga", 2, 0),
    ]
    assert world.one("SELECT count(*) FROM scan_places") == 15
    assert archive(conn, date(2025, 3, 1), NOW) == ArchiveResult(success=True)
    assert world.all("SELECT action, target, details FROM audit_log") == [
        (
            "archive",
            "scan_logs",
            {"months": [{"month": "2025-01", "scans": 5}, {"month": "2025-02", "scans": 5}]},
        )
    ]


def test_scans_a_gate_may_still_send_again_are_never_archived(world: World, conn: Connection) -> None:
    for month in ("2025-12", "2026-01", "2026-02"):
        part(world, month)
        keep(world, month)
    # 60 days before 20 March is 19 January
    assert [one.month for one in archive(conn, date(2030, 1, 1), NOW).months] == ["2025-12"]
    assert parts(world) == {"2026_01": 3, "2026_02": 3}


def test_a_conflict_that_nobody_acknowledged_keeps_both_its_months(world: World, conn: Connection) -> None:
    for month in ("2025-01", "2025-02", "2025-03"):
        part(world, month)
        keep(world, month)
    world.run(
        "INSERT INTO scan_conflicts (code_hash, winner_scan, loser_scan, rule) VALUES ('c',"
        " md5('gate-1' || '2025-01' || '1')::uuid, md5('gate-1' || '2025-03' || '1')::uuid, 'earlier')"
    )
    why = "unacknowledged conflicts"
    done = archive(conn, date(2025, 12, 1), NOW)
    assert done.kept == (KeptMonth(month="2025-01", why=why), KeptMonth(month="2025-03", why=why))
    assert [one.month for one in done.months] == ["2025-02"]
    world.run("UPDATE scan_conflicts SET acknowledged_at = now(), acknowledged_by = 'Eva'")
    assert [one.month for one in archive(conn, date(2025, 12, 1), NOW).months] == ["2025-01", "2025-03"]


def test_scans_of_a_night_that_is_not_over_stay(world: World, conn: Connection) -> None:
    part(world, "2025-01")
    keep(world, "2025-01", event=world.event())
    done = archive(conn, date(2025, 12, 1), NOW)
    assert done.kept == (KeptMonth(month="2025-01", why="a night that is not over"),)
    assert parts(world) == {"2025_01": 3}


@pytest.mark.parametrize(
    ("months", "first"),
    [(0, date(2026, 3, 1)), (2, date(2026, 1, 1)), (3, date(2025, 12, 1)), (13, date(2025, 2, 1))],
)
def test_months_before(months: int, first: date) -> None:
    assert months_before(NOW, months) == first
