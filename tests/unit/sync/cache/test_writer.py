"""What the cache holds of a night, its digest, and what is deleted once a night is over."""

from __future__ import annotations

import random
import sqlite3
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlite_utils import Database

from gate.rules.model import Admission, Event, FeedRow, Removed, Status, Table
from sync.cache.cache_file import LOG_BYTES, MIGRATIONS
from sync.cache.digest import of_row, of_rows
from sync.cache.peer_tables import KEPT_PEERS
from sync.cache.rows import SQL
from sync.cache.writer import Cache
from sync.wire.messages import Change, GateConfig, HeldNight
from tests.factories import NOW, a_record, a_table, an_admission, an_event, code_id
from tests.sync_bench import Bench

ROWS: list[Admission | Table | Event] = [an_event(), a_table(), an_admission(), an_admission(code_id(2))]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path / "cache.db")
    cache.put_config(config(an_event()))
    return cache


def config(*events: Event) -> GateConfig:
    return GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=events)


def digest(*rows: Admission | Table | Event) -> str:
    return of_rows(of_row(row) for row in rows)


def test_each_night_held_is_reported_with_its_digest(cache: Cache) -> None:
    cache.put_snapshot("event-1", 7, cache.spool.fill(ROWS), NOW, generation=3)
    wanted = HeldNight(event_id="event-1", version=7, generation=3, count=2, digest=digest(*ROWS))
    assert cache.held() == (wanted,)
    refunded = an_admission(status=Status.REFUNDED)
    cache.put_changes("event-1", [Change(version=8, row=refunded)], NOW)
    after = digest(ROWS[0], ROWS[1], refunded, ROWS[3])
    assert cache.held() == (msgspec.structs.replace(wanted, version=8, digest=after),)
    cache.put_config(config(an_event(name="later asked for")))
    assert cache.held()[0].digest == after


def test_a_lost_or_altered_row_changes_the_digest(cache: Cache) -> None:
    cache.put_snapshot("event-1", 7, cache.spool.fill(ROWS), NOW)
    seen = {cache.held()[0].digest}
    for number in range(1, len(ROWS)):
        cache.put_snapshot("event-1", 7, cache.spool.fill(ROWS[:number] + ROWS[number + 1 :]), NOW)
        seen.add(cache.held()[0].digest)
    altered: list[Admission | Table | Event] = [
        an_event(status="cancelled"),
        a_table(arrived=3),
        an_admission(kind="vip_host"),
    ]
    for row in altered:
        cache.put_snapshot("event-1", 7, cache.spool.fill([*ROWS, row]), NOW)
        seen.add(cache.held()[0].digest)
    assert len(seen) == 1 + len(ROWS) - 1 + len(altered)


def test_the_digest_is_right_after_any_changes(cache: Cache) -> None:
    """The sums are updated as rows come and go, and must equal a full recount."""
    chance = random.Random(4)
    cache.put_config(config(an_event(), an_event(event_id="event-2", code="PS")))
    for event_id in ("event-1", "event-2"):
        cache.put_snapshot(event_id, 1, cache.spool.fill([an_event(event_id=event_id)]), NOW)
    for version in range(2, 200):
        code, event_id = code_id(chance.randint(1, 12)), chance.choice(["event-1", "event-2"])
        status = chance.choice(list(Status))
        rows: list[FeedRow] = [
            an_admission(code, event_id=event_id, status=status),
            Removed(code_hash=an_admission(code).code_hash, event_id=event_id),
            a_table(event_id=event_id, arrived=chance.randint(0, 3)),
            an_event(event_id=event_id, capacity=chance.randint(0, 3)),
        ]
        row = chance.choice(rows)
        cache.put_changes(event_id, [Change(version=version, row=row)], NOW)
    kept = cache.held()
    with cache._transaction() as db:
        db.execute(SQL["count_all_admissions"])
        db.execute(SQL["count_all_others"])
    assert cache.held() == kept
    assert [held.count > 0 for held in kept] == [True, True]


def test_the_sum_of_a_night_of_any_size_fits(cache: Cache) -> None:
    """A hundred thousand 48-bit shares add up to more than a SQLite integer holds."""
    cache.put_snapshot("event-1", 7, cache.spool.fill([an_event(), an_admission()]), NOW)
    most = 2**48 - 1
    numbers = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000)"
    cache._db.execute(f"insert into admissions {numbers} select i, 'event-1', null, 0, '', {most} from n")
    cache.put_snapshot("event-2", 1, cache.spool.fill([]), NOW)  # this counts everything again
    wanted = of_rows([of_row(an_event()), of_row(an_admission()), 40_000 * most])
    assert (cache.held()[0].count, cache.held()[0].digest) == (40_001, wanted)


def test_only_the_event_itself_is_kept_of_a_night_no_longer_served(cache: Cache) -> None:
    over, next_one = an_event(), an_event(event_id="event-2", code="PS")
    cache.put_config(config(over, next_one))
    cache.put_snapshot("event-1", 7, cache.spool.fill(ROWS), NOW)
    there = an_admission(code_id(9), event_id="event-2")
    cache.put_snapshot("event-2", 1, cache.spool.fill([next_one, there]), NOW)
    cache.put_config(config(msgspec.structs.replace(over, served=False), next_one))
    assert [held.event_id for held in cache.held()] == ["event-2"]
    assert cache._db.execute("select code_hash from admissions").fetchall() == [(there.code_hash,)]
    assert cache._db.execute("select count(*) from tables").fetchone() == (0,)
    assert cache._db.execute("select count(*) from events").fetchone() == (2,)


def test_a_snapshot_of_a_night_no_longer_served_is_discarded(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission())
    late = bench.snapshot(6, an_admission())
    bench.step(config(an_event(served=False)), late)
    assert bench.cache.held() == ()
    assert late.spooled is not None
    assert not late.spooled.is_there
    assert bench.reader.find(an_admission().code_hash).admission is None


def test_other_gates_entries_are_forgotten_after_a_month_by_the_hubs_clock(cache: Cache) -> None:
    """The month starts once the hub's clock is known here; a gate's own clock may say 1970."""
    cache.peers.put([a_record(gate_id="gate-2", occurred_at=NOW - timedelta(days=20_000))])
    cache.peers.put([a_record(2, gate_id="gate-2", record="annulled", refers_to="another scan")])

    def known() -> list[tuple[int]]:
        tables = ("peer_entries", "peer_annulments")
        return [cache._db.execute(f"select count(*) from {table}").fetchone() for table in tables]

    cache.peers.forget_old(NOW)
    cache.peers.forget_old(NOW + KEPT_PEERS - timedelta(seconds=1))
    assert known() == [(1,), (1,)]
    cache.peers.forget_old(NOW + KEPT_PEERS + timedelta(seconds=1))
    assert known() == [(0,), (0,)]


def test_without_a_clock_confirmed_by_the_hub_nothing_is_forgotten(bench: Bench) -> None:
    bench.connect()
    bench.cache.peers.put([a_record(gate_id="gate-2")])
    bench.step(config(an_event()))
    bench.clock.forward(40 * 86_400)
    bench.step(config(an_event()))
    assert bench.cache._db.execute("select noted_at from peer_entries").fetchall() == [(None,)]


def test_the_wal_of_a_large_night_does_not_stay_on_the_disk(cache: Cache) -> None:
    many: list[Admission] = [an_admission(code_id(number), holder="x" * 2_000) for number in range(5_000)]
    cache.put_snapshot("event-1", 1, cache.spool.fill(many), NOW)
    cache._db.execute("pragma wal_checkpoint(restart)")
    cache.put_changes("event-1", [Change(version=2, row=many[0])], NOW)
    assert cache.path.with_name("cache.db-wal").stat().st_size <= LOG_BYTES


def test_a_cache_of_the_previous_version_keeps_its_tickets_and_reloads_them(tmp_path: Path) -> None:
    path, row = tmp_path / "cache.db", an_admission()
    with sqlite3.connect(path, isolation_level=None) as db:
        MIGRATIONS.apply(Database(db), stop_before="second_layout")
        values = (row.code_hash, "event-1", None, 0, msgspec.json.encode(row).decode())
        db.execute("insert into admissions values (?, ?, ?, ?, ?)", values)
        db.execute("insert into feed values ('event-1', 40, ?, ?)", (NOW.isoformat(), NOW.isoformat()))
        db.execute("insert into link values (1, 1, 1, 0, 0, 'boot', 'epoch-1', 5)")
    cache = Cache(path)
    assert cache._db.execute("select code_hash from admissions").fetchall() == [(row.code_hash,)]
    assert (cache.places()["event-1"].generation, cache.link()) == (0, None)
    assert SQL["held"]
    cache.put_snapshot("event-1", 40, cache.spool.fill([row]), NOW)
    assert cache.held()[0].digest == digest(row)
