"""Compares journals and Postgres: was every scan of the evening committed exactly once?"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg

from demo.club import Club
from gate.rules.model import Kind, Reason, Ruling

_VIP = (Kind.VIP_HOST, Kind.VIP_PASS, Kind.VIP_LINKED)


class Summary(msgspec.Struct, frozen=True):
    """`var/demo/summary.json`. `lost`: in a journal but not in Postgres. `duplicated`: see `count`."""

    scans: int
    admitted: int
    denied: int
    reentries: int
    committed_in_postgres: int
    lost: int
    duplicated: int
    decision_ms_p50: float
    decision_ms_p99: float

    @property
    def is_good(self) -> bool:
        """Whether there were scans, and each is in Postgres exactly once."""
        return 0 < self.scans == self.committed_in_postgres and not self.lost and not self.duplicated


def count(club: Club, decisions_ms: Sequence[float]) -> Summary:
    """Compare what the gates recorded with what Postgres holds.

    A row that no journal has counts as a duplicate, and so does a VIP entry logged twice: the scan log cannot
    hold a scan twice, but a scan ingested twice would log two entries.
    """
    records = [record for gate in club.gates for record in gate.records()]
    written = {record.scan_id for record in records}
    with psycopg.connect(club.dsn) as db:
        committed = [scan_id for (scan_id,) in db.execute("select scan_id::text from scan_logs")]
        ((entries,),) = db.execute("select count(*) from vip_scan_logs").fetchall()
    admitted = [record for record in records if record.verdict is Ruling.ADMIT]
    vip_entries = sum(record.kind in _VIP for record in admitted)
    return Summary(
        scans=len(records),
        admitted=len(admitted),
        denied=sum(record.verdict is Ruling.DENY for record in records),
        reentries=sum(record.reason is Reason.REENTRY for record in records),
        committed_in_postgres=len(written.intersection(committed)),
        lost=len(written.difference(committed)),
        duplicated=len(committed) - len(written.intersection(committed)) + max(0, entries - vip_entries),
        decision_ms_p50=_percentile(decisions_ms, 50),
        decision_ms_p99=_percentile(decisions_ms, 99),
    )


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 3)


def write(summary: Summary, path: Path) -> None:
    """Write the summary as JSON."""
    path.write_text(json.dumps(msgspec.to_builtins(summary), indent=2) + "\n")
