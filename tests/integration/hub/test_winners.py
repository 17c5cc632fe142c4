"""The winner is a function of the set of records: any order, duplication and batching (invariant 9)."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gate.rules.model import Kind, ScanRecord
from gate.rules.payload import code_hash
from hub.db.connection import Connection
from tests.integration.hub import oracle
from tests.integration.hub.test_annulment import outcome
from tests.integration.hub.test_conflicts import pairs, send, told
from tests.integration.hub.world import START, World, record
from tests.long import cases

_number = itertools.count(1)


def _sets(luck: random.Random, count: int) -> Iterator[list[oracle.Placed]]:
    for _ in range(count):
        yield [
            oracle.Placed(
                record=record(
                    luck.randint(1, 3), gate_id=f"gate-{luck.randint(1, 3)}", epoch=luck.choice("ab")
                ),
                at=START
                + timedelta(milliseconds=luck.choice([0, 1, 5, 10, 20, 3_600_000]) * luck.randint(0, 4)),
                uncertainty_ms=luck.choice([0, 1, 5, 10, None, 9_000_000]),
            )
            for _ in range(luck.randint(1, 5))
        ]


def test_the_winner_of_ten_thousand_sets_in_any_order(world: World) -> None:
    asked: list[list[dict[str, Any]]] = []
    wanted = []
    for given_set in _sets(random.Random(4), 10_000):
        distinct = list({one.place: one for one in given_set}.values())
        best, rule = oracle.winner(distinct)
        wanted.append((best.record.scan_id, rule))
        random.Random(len(asked)).shuffle(distinct)
        asked.append([
            {"scan_id": one.record.scan_id, "at": one.at, "uncertainty_ms": one.uncertainty_ms}
            | dict(zip(("gate_id", "epoch", "seq"), one.place, strict=True))
            for one in distinct
        ])  # fmt: skip
    found = world.all(
        "SELECT w.scan_id::text, w.rule"
        " FROM jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS s (one, place)"
        " CROSS JOIN LATERAL winner_of(s.one) w ORDER BY s.place",
        msgspec.json.encode(asked).decode(),
    )
    assert found == wanted


CODES = [f"MGY-PF-20260130-{name}" for name in ("KNOWN", "BYHASH", "NOBODYS")]


@st.composite
def nights(draw: st.DrawFn) -> list[ScanRecord]:
    """Records of three gates, each over some boots: clocks that are right, wrong by minutes, or of 1970."""
    records: list[ScanRecord] = []
    for gate_id in ("gate-1", "gate-2", "gate-3"):
        seq, true_ms = 0, draw(st.integers(0, 3)) * 60_000
        mine: list[ScanRecord] = []
        for boot in range(draw(st.integers(0, 3))):
            began_ms = true_ms - draw(st.integers(0, 60_000))
            skew = timedelta(seconds=draw(st.sampled_from([-300, 0, 300])))
            wall = draw(st.sampled_from([START, datetime(1970, 1, 1, 1, tzinfo=UTC)])) + skew
            synced_from = draw(st.integers(0, 4))
            for step in range(draw(st.integers(1, 3))):
                seq, true_ms = seq + 1, true_ms + draw(st.sampled_from([1, 20, 60_000]))
                is_synced = step >= synced_from
                off = timedelta(milliseconds=draw(st.integers(-5, 5)))
                at = (START + off if is_synced else wall) + timedelta(milliseconds=true_ms)
                made: dict[str, Any] = {
                    "gate_id": gate_id, "boot_id": f"{gate_id} {boot}", "monotonic_ms": true_ms - began_ms,
                    "occurred_at": at, "clock": "synced" if is_synced else "untrusted",
                    "clock_uncertainty_ms": draw(st.integers(0, 9)) if is_synced else None,
                }  # fmt: skip
                if mine and draw(st.integers(0, 3)) == 0:
                    one = outcome(draw(st.sampled_from(mine)), seq, **made)
                else:
                    kind = draw(st.sampled_from([Kind.GA, Kind.GA, Kind.UNKNOWN]))
                    code = draw(st.sampled_from(CODES))
                    one = record(seq, kind=kind, code_hash=code, **made)
                    mine.append(one)
                records.append(one)
    return records


def _named(night: list[ScanRecord], world: World, event: str) -> tuple[list[ScanRecord], dict[str, str]]:
    """The night with codes, scan ids, boots and a numbering that were not used before."""
    number = next(_number)
    hashes = {code: code_hash(f"{code}{number}") for code in CODES}
    tickets = {code: world.ticket(event, code=f"{code}{number}") for code in CODES[:2]}
    ids = {one.scan_id: str(uuid.uuid4()) for one in night}
    named = [
        msgspec.structs.replace(
            one,
            scan_id=ids[one.scan_id],
            refers_to=one.refers_to and ids[one.refers_to],
            epoch=f"e{number}",
            boot_id=f"{one.boot_id} {number}",
            code_hash=hashes[one.code_hash or ""],
            subject_id=tickets[CODES[0]] if one.code_hash == CODES[0] else None,
        )
        for one in night
    ]
    return named, {tickets[code]: hashes[code] for code in CODES[:2]}


def check(world: World, records: list[ScanRecord], tickets: dict[str, str]) -> None:
    """Assert that the hub made of them what the oracle makes of them."""
    ids = [one.scan_id for one in records]
    placed = oracle.place(records, datetime.now(UTC))
    known = "FROM scan_logs WHERE scan_id = ANY(%s::uuid[]) ORDER BY gate_id, epoch, seq"
    assert world.all(f"SELECT scan_id::text, corrected_at, corrected_uncertainty_ms {known}", ids) == [
        (one.record.scan_id, one.at, one.uncertainty_ms) for one in placed
    ]
    wanted, counted = set(), {}
    for code, admissions in oracle.admissions(placed).items():
        best, rule = oracle.winner(admissions)
        counted[code] = best
        wanted |= {(best.record.scan_id, one.record.scan_id, rule) for one in admissions if one is not best}
    found = [row for row in pairs(world) if row[0] in ids]
    assert (set(found), len(found)) == (wanted, len(wanted))
    for ticket, code in tickets.items():
        state = world.all("SELECT checked_in_scan::text, checked_in_at FROM tickets WHERE id = %s", ticket)
        best_of = counted.get(code)
        assert state == [(best_of.record.scan_id, best_of.at) if best_of else (None, None)]


@settings(
    max_examples=cases(40, long=200),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(night=nights(), luck=st.randoms(use_true_random=False))
def test_any_order_duplication_and_batching_gives_the_same_winners(
    world: World, conn: Connection, night: list[ScanRecord], luck: random.Random
) -> None:
    event = world.one("SELECT id::text FROM events LIMIT 1") or world.event()
    records, tickets = _named(night, world, event)
    if not records:
        return
    coming = records + luck.sample(records, luck.randint(0, len(records)))
    luck.shuffle(coming)
    while coming:
        batch = [coming.pop() for _ in range(luck.randint(1, len(coming)))]
        send(conn, *batch)
    check(world, records, tickets)
    assert told(world) >= world.one("SELECT count(*) FROM scan_conflicts WHERE withdrawn_at IS NULL")
    assert world.one("SELECT count(*) FROM scan_quarantine") == 0
    assert world.one("SELECT count(*) FROM alerts WHERE reason = 'cloned'") == 0
