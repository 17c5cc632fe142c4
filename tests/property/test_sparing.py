"""A stranger's film of codes against the hub's share of a gate: protocol 4.5, domain 2.3 (Guessing)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gate.common.allowance import Allowance
from gate.rules.spared_refusals import AT_ONCE, PER_S, Sparing
from hub.ingest.scan_budgets import rates_of_scans
from tests.doors import Bench
from tests.factories import code_id

FRAME_MS = 66
"""Of a camera at 15 frames a second."""
SOURCES = ("camera", "scanner")
STREAMS = st.lists(
    st.tuples(st.integers(1, 2_000), st.lists(st.sampled_from(SOURCES), max_size=2, unique=True)),
    max_size=300,
)
"""Milliseconds since the turn before, and which sources show a code nobody knows."""


@given(STREAMS)
@example([(FRAME_MS, [*SOURCES])] * 2_000)
@example([(FRAME_MS, ["camera"])] * 100 + [(60_000, ["camera"])] + [(FRAME_MS, ["camera"])] * 100)
def test_a_source_makes_no_more_records_than_its_pace_and_each_refusal_counts_once(
    stream: list[tuple[int, list[str]]],
) -> None:
    sparing, now, shown = Sparing(), 0, 0
    records: dict[str, list[int]] = {source: [] for source in SOURCES}
    for step, sources in stream:
        now += step
        for source in sources:
            shown += 1
            if sparing.has_room(source, now):
                records[source].append(now)
                sparing = sparing.recorded(source, now)
            else:
                sparing = sparing.one_left_out(now)
    assert sum(map(len, records.values())) + sparing.left_out == shown
    for times in records.values():
        for first, at in enumerate(times):
            count = len(times) - first
            assert count <= AT_ONCE + PER_S * (times[-1] - at) / 1000 + 1e-6


@pytest.mark.parametrize("guests_per_second", [1, 3])
def test_an_hour_of_film_and_as_many_guests_as_can_walk_stay_within_the_gates_share(
    guests_per_second: int,
) -> None:
    share = Allowance(rates_of_scans(guests_per_second)["records"], 0.0)
    sparing, told = Sparing(), 0
    for now in range(0, 3_600_000, FRAME_MS):
        for source in SOURCES:
            if sparing.has_room(source, now):
                sparing = sparing.recorded(source, now)
                share.take(1)
            else:
                sparing = sparing.one_left_out(now)
        if sparing.is_due(now):
            sparing, told = sparing.reported(), told + 1
            share.take(2)  # the number, and that the gate was locked
        share.take(2 * guests_per_second * FRAME_MS / 1000)  # each a scan and a passage
        assert share.fill(now / 1000) > 0
    assert told > 100


def test_a_film_of_foreign_codes_leaves_few_records_and_tickets_are_admitted(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, frames_per_second=15)
    share = Allowance(rates_of_scans(3)["records"], 0.0)
    frames = 60 * 15
    for number in range(frames):
        bench.clock.forward(bench.frame_s)
        bench.eye.show(b"https://x.example/%d" % number)
        bench.scanner.scan(f"MENU {number}")
        bench.door.step()
    assert bench.show(code_id()).verdict.admits  # type: ignore[union-attr]
    assert bench.records()[-1].code_hash is not None
    bench.wait(31)
    records = bench.records()
    share.take(len(records))
    refused = [record for record in records if record.record == "scan" and record.reason.value == "malformed"]
    assert len(refused) <= 2 * (AT_ONCE + 60 * PER_S) + 2
    noted = [int(record.note.split()[0]) for record in records if record.note]
    assert len(refused) + sum(noted) == 2 * frames
    assert share.fill(0.0) > 0


def test_the_refusals_left_out_are_recorded_when_the_door_stops(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for number in range(40):
        bench.eye.show(b"menu %d" % number)
        bench.door.step()
    bench.door.close()
    assert [record.note.split()[0] for record in bench.records() if record.note] == ["20"]


def test_refusals_of_tickets_the_cache_knows_are_recorded_after_any_film(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.show(code_id())
    for number in range(60):
        bench.eye.show(b"menu %d" % number)
        bench.door.step()
    bench.wait(2)
    bench.show(code_id())
    assert bench.told()[-1] == ("scan", "already_used")
