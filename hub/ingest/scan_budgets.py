"""What a message of scans takes of the budgets of its gate (protocol 4.5, Fairness). Pure."""

from __future__ import annotations

from gate.common.allowance import Rate
from gate.rules.model import Ruling, ScanRecord
from hub.ingest.batch import RAW_BYTES, Batch

RECORD_BYTES = 2048
"""A record longer than that, which takes some 750, counts as several."""


def rates_of_scans(guests_per_second: float) -> dict[str, Rate]:
    """Budgets of `scans`, by what is counted. A guest is a scan, a passage, and room for two refusals.

    `repeats`: records the hub has already, under other numbers: all of a salvaged journal comes like that.
    At once: what a busy door makes in 100 s.
    """
    return {
        "messages": Rate(per_s=6 * guests_per_second, at_once=600 * guests_per_second),
        "records": Rate(per_s=4 * guests_per_second, at_once=400 * guests_per_second),
        "admissions": Rate(per_s=guests_per_second, at_once=100 * guests_per_second),
        "repeats": Rate(per_s=4 * guests_per_second, at_once=200_000),
    }


def cost_of(batch: Batch, length: int, known: frozenset[str] = frozenset()) -> dict[str, float]:
    """What a message takes of the budgets of `rates_of_scans`.

    :param length: of the message, in bytes.
    :param known: ids of scans that the hub had already.
    """
    new = [record for record in batch.records if record.scan_id not in known]
    places = len(batch.records) + len(batch.bad)
    each = max(1.0, min(length, RAW_BYTES) / max(places, 1) / RECORD_BYTES)
    return {
        "messages": 1.0,
        "records": each * (len(new) + len(batch.bad)),
        "admissions": float(sum(map(_is_admission, new))),
        "repeats": float(len(batch.records) - len(new)),
    }


def _is_admission(record: ScanRecord) -> bool:
    return record.record == "scan" and record.verdict is Ruling.ADMIT
