"""A decision with its durable commit, its CPU time, and whether it grows with the night."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

from bench import night
from bench.bed import Gate, OneInsert, UncommittedJournal, one_select
from bench.context import Context
from bench.figures import Contestant, Row, compared, in_turn
from gate.rules.model import ScanRecord

TICKETS = 100_000
SMALL, LARGE = 10_000, 1_000_000
BATCH = 20
"""Decisions per reading when only CPU time is measured: one is short compared with reading the clock."""


def rows(context: Context) -> Iterator[Row]:
    """Rows 1 to 3 of quality 7.3."""
    yield from _committed(context)
    yield from _computed(context)
    yield from _growth(context)


def _committed(context: Context) -> Iterator[Row]:
    with ExitStack() as stack:
        gate = stack.enter_context(closing(Gate(context.folder, TICKETS)))
        floor = stack.enter_context(closing(OneInsert(context.folder, a_record(gate))))
        ours, floors = in_turn([gate.scan, floor.insert], context.rounds(6000), warm_up=300)
    what = f"decision with its durable commit, {TICKETS:,} tickets"
    name = "one INSERT, synchronous=FULL"
    yield compared(f"{what}, p50", name, ours, floors, 50, 1.3)
    yield compared(f"{what}, p99", name, ours, floors, 99, 1.5)


def a_record(gate: Gate) -> ScanRecord:
    """The record of a guest who is admitted."""
    answered = gate.desk.answer(night.presented(next(gate.guests)))
    assert answered.verdict.admits and answered.record is not None, answered.verdict.reason
    return answered.record


def _computed(context: Context) -> Iterator[Row]:
    with closing(Gate(context.folder, TICKETS, journal=UncommittedJournal)) as gate:
        select = one_select(gate.cache_file, night.guests(2), BATCH)
        ours, floors = in_turn([computing(gate), select], context.rounds(300), warm_up=30)
    yield compared(
        "what a decision computes (CPU, not committed), p50", "one indexed SELECT", ours, floors, 50, 10, "µs"
    )


def computing(gate: Gate) -> Contestant:
    """CPU seconds of one decision, averaged over a batch."""
    return lambda: sum(gate.scan(time.thread_time) for _ in range(BATCH)) / BATCH


def _growth(context: Context) -> Iterator[Row]:
    with ExitStack() as stack:
        small, large = (
            stack.enter_context(closing(Gate(context.folder, tickets))) for tickets in (SMALL, LARGE)
        )
        ours, floors = in_turn([large.scan, small.scan], context.rounds(2000), warm_up=200)
    yield compared(
        f"decision with its commit, {LARGE:,} tickets, p50", f"with {SMALL:,}", ours, floors, 50, 1.3
    )
    with ExitStack() as stack:
        small, large = (
            stack.enter_context(closing(Gate(context.folder, tickets, journal=UncommittedJournal)))
            for tickets in (SMALL, LARGE)
        )
        ours, floors = in_turn([computing(large), computing(small)], context.rounds(200), warm_up=20)
    yield compared("the same, computing only, p50", f"with {SMALL:,}", ours, floors, 50, 1.3, "µs")
