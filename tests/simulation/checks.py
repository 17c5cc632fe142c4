"""The rules of quality 7.1, held against a night that has become quiet."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from gate.model import Ruling, ScanRecord
from sync.wire import record_hash
from tests.simulation.database import Session
from tests.simulation.gate import Place, Seen
from tests.simulation.night import Night

Rows = dict[Place, dict[str, Any]]


def broken_rules(night: Night, session: Session) -> list[str]:
    """One line for each break of a rule, beginning with the rule's number."""
    session.back_to_normal()
    mirror = {place: seen for gate in night.gates.values() for place, seen in gate.mirror.items()}
    logs = _by_place(session, "select * from scan_logs")
    kept = _by_place(session, "select gate_id, epoch, seq, error from scan_quarantine where seq is not null")
    repeats = _by_place(session, "select gate_id, epoch, seq from scan_repeats")
    return [
        *_no_loss(mirror, logs.keys() | kept.keys() | repeats.keys()),
        *_exactly_once(logs),
        *_unaltered(mirror, logs),
        *_gapless(logs, kept, repeats),
        *(() if night.plan.prunes else (*_one_gate_once(mirror), *_heard_is_not_repeated(mirror))),
        *(
            f"3 nothing altered: {place} is in the quarantine: {row['error'][:150]}"
            for place, row in kept.items()
        ),
        *_converged(night, session),
    ]


def _by_place(session: Session, sql: str) -> Rows:
    rows = session.execute(sql.encode()).fetchall()
    return {(row["gate_id"], row["epoch"], row["seq"]): row for row in rows}


def _no_loss(mirror: dict[Place, Seen], at_hub: Any) -> Iterator[str]:
    for place, seen in mirror.items():
        if place not in at_hub and not seen.is_lost:
            yield f"1 no loss: {place} is not at the hub"


def _exactly_once(logs: Rows) -> Iterator[str]:
    for scan_id, count in Counter(row["scan_id"] for row in logs.values()).items():
        if count > 1:
            yield f"2 exactly once: scan {scan_id} is there {count} times"


def _unaltered(mirror: dict[Place, Seen], logs: Rows) -> Iterator[str]:
    for place, row in logs.items():
        seen = mirror.get(place)
        if seen is None:
            yield f"3 nothing invented: {place} is at the hub and was in no journal"
        elif row["payload_hash"] != record_hash(seen.record):
            yield f"3 nothing altered: {place} differs"


def _gapless(*kept: Rows) -> Iterator[str]:
    places = set().union(*kept)
    numbers = defaultdict(set)
    for gate_id, epoch, seq in places:
        numbers[gate_id, epoch].add(seq)
    for who, seqs in numbers.items():
        if min(seqs) != 1 or max(seqs) != len(seqs):
            yield f"4 gapless: {who} has {len(seqs)} numbers from {min(seqs)} to {max(seqs)}"


def _is_first_entry(record: ScanRecord) -> bool:
    return (
        record.record == "scan"
        and record.verdict is Ruling.ADMIT
        and record.reason == "first_entry"
        and record.kind in ("ga", "unknown")
    )


def _standing(mirror: dict[Place, Seen]) -> list[ScanRecord]:
    """First entries of one-time tickets that were not annulled."""
    records = [seen.record for seen in mirror.values() if not seen.is_lost]
    annulled = {record.refers_to for record in records if record.record == "annulled"}
    return [one for one in records if _is_first_entry(one) and one.scan_id not in annulled]


def _one_gate_once(mirror: dict[Place, Seen]) -> Iterator[str]:
    for (gate_id, code), count in Counter((one.gate_id, one.code_hash) for one in _standing(mirror)).items():
        if count > 1:
            yield f"6 one gate once: {gate_id} admitted {code} {count} times"


def _heard_is_not_repeated(mirror: dict[Place, Seen]) -> Iterator[str]:
    """Also if it was annulled later: what counts is what had been heard by then."""
    records = {place: seen.record for place, seen in mirror.items()}
    annulments = {one.refers_to: one for one in records.values() if one.record == "annulled"}
    entries = defaultdict(list)
    for one in records.values():
        if _is_first_entry(one):
            entries[one.code_hash].append(one)
    for one in (one for several in entries.values() if len(several) > 1 for one in several):
        for heard in one.heard:
            for other in entries[one.code_hash]:
                is_heard = (other.gate_id, other.epoch) == (heard.gate, heard.epoch)
                if not is_heard or not heard.first <= other.seq <= heard.last:
                    continue
                annulled = annulments.get(other.scan_id)
                if annulled is None or annulled.seq > heard.last:
                    yield (
                        f"7 first scan wins: {one.gate_id} #{one.seq} repeats {other.gate_id} #{other.seq}, "
                        "which it had heard of"
                    )


def _converged(night: Night, session: Session) -> Iterator[str]:
    row = session.execute("select admission_version as version from events").fetchone()
    assert row is not None
    for gate in night.gates.values():
        held = gate.versions().get(night.plan.event_id)
        if held != row["version"]:
            yield f"9 convergence: {gate.gate_id} holds version {held}, the hub {row['version']}"
