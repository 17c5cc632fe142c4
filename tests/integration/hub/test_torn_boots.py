"""A hub whose own time was wrong: what becomes of a boot is a function of the set of records (rule 9)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from gate.rules.model import Kind, Reason, ScanRecord
from hub.db.connection import Connection
from tests.integration.hub.test_conflicts import admitted, pairs, send
from tests.integration.hub.test_corrected_time import EPOCH, at, times
from tests.integration.hub.test_ingest import take
from tests.integration.hub.world import World, later

HOUR = timedelta(hours=1)

NIGHTS = 6


def half_minutes(seqs: range, off: timedelta = timedelta(0), **changes: Any) -> list[ScanRecord]:
    """A measured record each half minute, by a hub whose clock is off by `off`."""
    made: dict[str, Any] = {"clock": "synced", "clock_uncertainty_ms": 5, "kind": Kind.VIP_PASS} | changes
    return [at(seq, later(seq / 2) + off, 30 * seq, **made) for seq in seqs]


def unmeasured(seqs: range) -> list[ScanRecord]:
    return [at(seq, EPOCH + timedelta(seconds=30 * seq), 30 * seq, kind=Kind.VIP_PASS) for seq in seqs]


@pytest.mark.parametrize("size", [1, 5, 40])
def test_a_wrong_minute_soon_after_the_boot_changes_no_winner_in_any_order(
    world: World, conn: Connection, size: int
) -> None:
    ticket = world.ticket(world.event())
    first = admitted("gate-2", -15, ticket)
    send(conn, first)
    scans = [*half_minutes(range(1, 3)), *half_minutes(range(3, 8), -HOUR), *half_minutes(range(8, 41))]
    scans[4] = msgspec.structs.replace(scans[4], kind=Kind.GA, subject_id=ticket)
    for begin in range(0, 40, size):
        take(conn, *scans[begin : begin + size])
    assert pairs(world) == [(scans[4].scan_id, first.scan_id, "gate")]
    assert [seq for seq, (when, _) in enumerate(times(world), 1) if when != later(seq / 2)] == [*range(3, 8)]


def test_a_wrong_minute_that_seems_surest_moves_no_time_from_the_boots_clock(
    world: World, conn: Connection
) -> None:
    take(conn, *unmeasured(range(1, 6)), *half_minutes(range(6, 26)))
    before = times(world)
    take(conn, *half_minutes(range(26, 28), -HOUR, clock_uncertainty_ms=2))
    take(conn, *half_minutes(range(28, 40)))
    assert times(world)[:25] == before
    assert before[:5] == [(later(seq / 2), 5 + (6 - seq) * 3) for seq in range(1, 6)]


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_status_of_a_wrong_minute_moves_no_time_from_the_boots_clock(
    world: World, conn: Connection, hours: int
) -> None:
    take(conn, *unmeasured(range(1, 6)), *half_minutes(range(6, 26)))
    before = times(world)
    world.run("SELECT note_boot_clock('gate-1', 'boot', 780000, %s, 2)", later(13) + hours * HOUR)
    assert times(world) == before


def test_unmeasured_records_may_move_although_no_clock_went_back(world: World, conn: Connection) -> None:
    """The hub was an hour behind and then right; the surest clock is of the hour behind."""
    take(conn, *unmeasured(range(1, 4)), *half_minutes(range(4, 7), -HOUR, clock_uncertainty_ms=2))
    assert times(world)[0][0] == later(0.5) - HOUR
    for one in half_minutes(range(7, 14)):
        take(conn, one)
    assert times(world)[:3] == [(later(seq / 2), 5 + (7 - seq) * 3) for seq in range(1, 4)]


def test_a_boot_in_order_is_not_torn(world: World, conn: Connection) -> None:
    """Neither a few milliseconds back nor a clock's drift over weeks tears a boot."""
    take(conn, *unmeasured(range(1, 3)), *half_minutes(range(3, 9)))
    take(conn, at(9, later(4) - timedelta(milliseconds=3), 241, clock="synced", clock_uncertainty_ms=5))
    weeks = timedelta(days=20)
    ran_off = weeks + timedelta(seconds=60)
    take(
        conn, at(10, later(5) + weeks, 300 + ran_off.total_seconds(), clock="synced", clock_uncertainty_ms=5)
    )
    take(conn, at(11, EPOCH, 310 + ran_off.total_seconds(), kind=Kind.VIP_PASS))
    assert world.all("SELECT has_untrusted, is_torn FROM boots") == [(True, False)]


class Status(msgspec.Struct, frozen=True):
    boot_id: str
    monotonic_ms: int
    wall: datetime
    uncertainty_ms: int


def _boot(luck: random.Random, boot_id: str, begins: float, seq: int) -> Iterator[ScanRecord | Status]:
    """What a boot says from `begins` on (seconds): unmeasured at first; a hub wrong for a while."""
    synced_from = begins + luck.choice([0, 0, 100, 10**9])
    wrong_from = begins + luck.uniform(0, 500)
    wrong_until = wrong_from + luck.choice([0, 60, 60, 10**9])
    off, now = luck.choice([-1, 1]) * luck.choice([40, 65, 3600]), begins
    for _ in range(luck.randint(1, 14)):
        now += luck.uniform(0.2, 60)
        unsure = luck.choice([2, 5, 50, 3000]) if now >= synced_from and luck.random() < 0.85 else None
        told = now + luck.uniform(-1, 1) * (unsure or 0) / 1000
        told += off if unsure and wrong_from <= now < wrong_until else 0
        wall = later(0) + timedelta(milliseconds=int(told * 1000))
        if unsure and luck.random() < 0.1:
            yield Status(boot_id, int((now - begins) * 1000), wall, unsure)
            continue
        seq += 1
        changes: dict[str, Any] = {"clock": "synced", "clock_uncertainty_ms": unsure} if unsure else {}
        if not unsure and luck.random() < 0.7:
            wall = EPOCH + timedelta(seconds=int(now - begins))
        yield at(
            seq, wall, now - begins, boot_id=boot_id, kind=Kind.VIP_PASS, reason=Reason.REENTRY, **changes
        )


def _night(luck: random.Random) -> list[ScanRecord | Status]:
    said: list[ScanRecord | Status] = []
    for boot in range(luck.randint(1, 3)):
        seq = sum(isinstance(one, ScanRecord) for one in said)
        said += _boot(luck, f"boot {boot}", 900 * boot + luck.uniform(0, 60), seq)
    return said


def _batches(
    luck: random.Random, said: list[ScanRecord | Status], way: str
) -> list[list[ScanRecord | Status]]:
    size = len(said) if way == "at once" else luck.randint(1, 4)
    batches = [said[begin : begin + size] for begin in range(0, len(said), size)]
    if way == "shuffled":
        luck.shuffle(batches)
    return batches[::-1] if way == "late ones first" else batches


def _tell(conn: Connection, gate: str, batch: list[ScanRecord | Status]) -> None:
    """Deliver the batch as from this gate."""
    scans = [
        msgspec.structs.replace(
            one, scan_id=str(uuid.uuid4()), gate_id=gate, boot_id=f"{gate} {one.boot_id}"
        )
        for one in batch
        if isinstance(one, ScanRecord)
    ]  # fmt: skip
    if scans:
        take(conn, *scans, gate=gate)
    for one in batch:
        if isinstance(one, Status):
            conn.execute(
                b"SELECT note_boot_clock(%s, %s, %s, %s, %s)",
                (gate, f"{gate} {one.boot_id}", one.monotonic_ms, one.wall, one.uncertainty_ms),
            )


@pytest.mark.parametrize("seed", range(4))
def test_any_batching_and_order_gives_the_same_times(world: World, conn: Connection, seed: int) -> None:
    for night in range(NIGHTS):
        luck = random.Random(f"{seed} {night}")
        said, found = _night(luck), {}
        for way in ("at once", "in order", "shuffled", "late ones first"):
            gate = f"gate-{night}-{way.replace(' ', '-')}"
            for batch in _batches(luck, said, way):
                _tell(conn, gate, batch)
            found[way] = times(world, gate)
            everything = f'[{{"gate_id": "{gate}", "epoch": "e1", "seq": 1}}]'
            assert world.all("SELECT * FROM times_to_correct(%s)", everything) == [], (night, way)
            assert found[way] == found["at once"], (night, way)
        _assert_in_order(said, found["at once"])


def _assert_in_order(said: list[ScanRecord | Status], found: list[tuple[Any, ...]]) -> None:
    """Invariant 15: within a boot, no record is earlier than the one before it."""
    latest: dict[str, datetime] = {}
    for one, (when, _) in zip((one for one in said if isinstance(one, ScanRecord)), found, strict=True):
        assert latest.get(one.boot_id, when) <= when
        latest[one.boot_id] = when
