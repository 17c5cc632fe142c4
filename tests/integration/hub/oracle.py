"""What the hub must make of a set of records, worked out the slow way: one record after the other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from gate.common.value import Value
from gate.rules.model import Kind, Reason, Ruling, ScanRecord

HOUR_MS = 3_600_000
MS = timedelta(milliseconds=1)


class Placed(Value, frozen=True):
    """A record and its time; `uncertainty_ms` is None if nobody knows it."""

    record: ScanRecord
    at: datetime
    uncertainty_ms: int | None

    @property
    def place(self) -> tuple[str, str, int]:
        return self.record.gate_id, self.record.epoch, self.record.seq


class BootClock(Value, frozen=True):
    uncertainty_ms: int
    monotonic_ms: int
    base: datetime


def clocks(records: Iterable[ScanRecord]) -> dict[tuple[str, str], BootClock]:
    """The best reading of each boot."""
    readings: dict[tuple[str, str], list[BootClock]] = defaultdict(list)
    for one in records:
        if one.clock == "synced" and one.clock_uncertainty_ms is not None:
            base = one.occurred_at - one.monotonic_ms * MS
            reading = BootClock(
                uncertainty_ms=one.clock_uncertainty_ms, monotonic_ms=one.monotonic_ms, base=base
            )
            readings[one.gate_id, one.boot_id].append(reading)
    return {
        boot: min(found, key=lambda r: (r.uncertainty_ms, r.monotonic_ms, r.base))
        for boot, found in readings.items()
    }


def place(records: Sequence[ScanRecord], received: datetime) -> list[Placed]:
    """Every record once, with its corrected time, in the order of gate, epoch and seq."""
    known = clocks(records)
    once = sorted({one.scan_id: one for one in records}.values(), key=lambda r: (r.gate_id, r.epoch, r.seq))
    placed: list[Placed] = []
    for _, numbering in groupby(once, key=lambda r: (r.gate_id, r.epoch)):
        before: Placed | None = None
        for one in numbering:
            before = _after(before, one, known.get((one.gate_id, one.boot_id)), received)
            placed.append(before)
    return placed


def _after(before: Placed | None, one: ScanRecord, clock: BootClock | None, received: datetime) -> Placed:
    if one.clock == "synced":
        own = Placed(record=one, at=one.occurred_at, uncertainty_ms=one.clock_uncertainty_ms)
    elif clock is not None:
        apart = math.ceil(abs(one.monotonic_ms - clock.monotonic_ms) * 100 / 1_000_000)
        own = Placed(
            record=one,
            at=clock.base + one.monotonic_ms * MS,
            uncertainty_ms=clock.uncertainty_ms + apart,
        )
    else:
        own = Placed(record=one, at=min(one.occurred_at, received), uncertainty_ms=None)
    is_heard = one.clock == "synced" or clock is not None
    if before is None or before.at <= own.at or (is_heard and before.record.boot_id != one.boot_id):
        return own
    late = math.ceil((before.at - own.at) / MS)
    unsure = None if own.uncertainty_ms is None else own.uncertainty_ms + late
    return Placed(record=one, at=before.at, uncertainty_ms=unsure)


def winner(admissions: Sequence[Placed]) -> tuple[Placed, str]:
    """The admission that counts, and by which rule (docs/adr/0016)."""

    def give_or_take(one: Placed) -> timedelta:
        return min(HOUR_MS if one.uncertainty_ms is None else one.uncertainty_ms, HOUR_MS) * MS

    latest = min(one.at + give_or_take(one) for one in admissions)
    candidates = [one for one in admissions if one.at - give_or_take(one) <= latest]
    return min(candidates, key=lambda one: one.place), "earlier" if len(candidates) == 1 else "gate"


def admissions(placed: Iterable[Placed]) -> dict[str, list[Placed]]:
    """First entries of one-time tickets that were not annulled, by code."""
    placed = list(placed)
    annulled = {
        (one.record.gate_id, one.record.refers_to) for one in placed if one.record.record == "annulled"
    }
    found: dict[str, list[Placed]] = defaultdict(list)
    for one in placed:
        record = one.record
        if _admits_once(record) and record.code_hash and (record.gate_id, record.scan_id) not in annulled:
            found[record.code_hash].append(one)
    return found


def _admits_once(record: ScanRecord) -> bool:
    is_first = (record.verdict, record.record, record.reason) == (Ruling.ADMIT, "scan", Reason.FIRST_ENTRY)
    return is_first and record.kind in (Kind.GA, Kind.UNKNOWN)
