"""Was every scan of the evening committed exactly once? Counted from the journals and from Postgres."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg

from demo.club import Club
from gate.model import Reason, Ruling


class Summary(msgspec.Struct, frozen=True):
    """`var/demo/summary.json`. `lost`: in a journal, not in Postgres. `duplicated`: more than once there."""

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
        """Whether there were scans and every one of them is in Postgres exactly once."""
        return 0 < self.scans == self.committed_in_postgres and not self.lost and not self.duplicated


def count(club: Club, decisions_ms: Sequence[float]) -> Summary:
    """Compare what the gates recorded with what Postgres holds."""
    records = [record for gate in club.gates for record in gate.records()]
    with psycopg.connect(club.dsn) as db:
        rows = db.execute("select scan_id::text from scan_logs").fetchall()
    committed = Counter(scan_id for (scan_id,) in rows)
    return Summary(
        scans=len(records),
        admitted=sum(record.verdict is Ruling.ADMIT for record in records),
        denied=sum(record.verdict is Ruling.DENY for record in records),
        reentries=sum(record.reason is Reason.REENTRY for record in records),
        committed_in_postgres=len(committed),
        lost=len({record.scan_id for record in records} - set(committed)),
        duplicated=sum(times - 1 for times in committed.values()),
        decision_ms_p50=_percentile(decisions_ms, 50),
        decision_ms_p99=_percentile(decisions_ms, 99),
    )


def _percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 3)


def write(summary: Summary, path: Path) -> None:
    """Write it where the demo's user looks for it."""
    path.write_text(json.dumps(msgspec.to_builtins(summary), indent=2) + "\n")
