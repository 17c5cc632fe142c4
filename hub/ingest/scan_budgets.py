"""What a message of scans costs of its gate's budgets (protocol 4.5, Fairness). Pure."""

from __future__ import annotations

from gate.common.allowance import Rate
from gate.rules.model import Ruling, ScanRecord
from hub.ingest.batch import RAW_BYTES, Batch

RECORD_BYTES = 2048
"""A longer record counts as several; a usual one takes about 750."""


def rates_of_scans(guests_per_second: float) -> dict[str, Rate]:
    """Budgets of `scans`, by what is counted. A guest is a scan, a passage, and room for two refusals.

    At once: what a busy door makes in 100 s. `repeats` are records the hub has already, under other numbers:
    a whole salvaged journal comes like that.
    """
    return {
        "messages": Rate(per_s=6 * guests_per_second, at_once=600 * guests_per_second),
        "records": Rate(per_s=4 * guests_per_second, at_once=400 * guests_per_second),
        "admissions": Rate(per_s=guests_per_second, at_once=100 * guests_per_second),
        "repeats": Rate(per_s=4 * guests_per_second, at_once=200_000),
    }


def cost_of(batch: Batch, length: int, known: frozenset[str] = frozenset()) -> dict[str, float]:
    """What a message costs of each budget of `rates_of_scans`.

    :param length: of the message, in bytes.
    :param known: ids of scans the hub had stored before.
    """
    new = [record for record in batch.records if record.scan_id not in known]
    places = len(batch.records) + len(batch.quarantined)
    each = max(1.0, min(length, RAW_BYTES) / max(places, 1) / RECORD_BYTES)
    return {
        "messages": 1.0,
        "records": each * (len(new) + len(batch.quarantined)),
        "admissions": float(sum(map(_is_admission, new))),
        "repeats": float(len(batch.records) - len(new)),
    }


def _is_admission(record: ScanRecord) -> bool:
    return record.record == "scan" and record.verdict is Ruling.ADMIT
