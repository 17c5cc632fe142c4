"""The rules of quality 7.1, checked on a quiet night: what journals and hub have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from gate.rules.model import Flag, Ruling, ScanRecord
from sync.wire.scans import record_hash
from tests.simulation.database import Session
from tests.simulation.gate import Place, Seen
from tests.simulation.hub_checks import broken_at_the_hub
from tests.simulation.night import Night

Mirror = dict[Place, Seen]
Rows = dict[Place, dict[str, Any]]


def broken_rules(night: Night, session: Session) -> list[str]:
    """One line for each break of a rule, beginning with the rule's number."""
    session.back_to_normal()
    mirror = {place: seen for gate in night.gates.values() for place, seen in gate.mirror.items()}
    logs = _by_place(session, "select * from scan_logs")
    kept = _by_place(session, "select gate_id, epoch, seq, error from scan_quarantine where seq is not null")
    repeats = _by_place(session, "select gate_id, epoch, seq from scan_repeats")
    # a gate that does not keep its journal for a month forgets whom it let in
    of_memory = () if night.plan.prunes else (*_one_gate_once(mirror), *_heard_is_not_repeated(mirror))
    return [
        *_no_loss(mirror, logs.keys() | kept.keys() | repeats.keys()),
        *_exactly_once(logs),
        *_unaltered(mirror, logs),
        *(
            f"3 nothing altered: {place} is in quarantine: {row['error'][:150]}"
            for place, row in kept.items()
        ),
        *_gapless(mirror, logs, kept, repeats),
        *of_memory,
        *_granted_once(mirror),
        *_within_hours(night, mirror),
        *broken_at_the_hub(night, session, mirror, logs),
    ]


def _by_place(session: Session, sql: str) -> Rows:
    rows = session.execute(sql.encode()).fetchall()
    return {(row["gate_id"], row["epoch"], row["seq"]): row for row in rows}


def _no_loss(mirror: Mirror, at_hub: Any) -> Iterator[str]:
    for place, seen in mirror.items():
        if place not in at_hub and not seen.is_lost:
            yield f"1 no loss: {place} is not at the hub"


def _exactly_once(logs: Rows) -> Iterator[str]:
    for scan_id, count in Counter(row["scan_id"] for row in logs.values()).items():
        if count > 1:
            yield f"2 exactly once: scan {scan_id} is there {count} times"


def _unaltered(mirror: Mirror, logs: Rows) -> Iterator[str]:
    for place, row in logs.items():
        seen = mirror.get(place)
        if seen is None:
            yield f"3 nothing invented: {place} is at the hub and was in no journal"
        elif row["payload_hash"] != record_hash(seen.record):
            yield f"3 nothing altered: {place} differs"


def _gapless(mirror: Mirror, *kept: Rows) -> Iterator[str]:
    """Except what was lost with a card that was thrown away."""
    numbers = defaultdict(set)
    for gate_id, epoch, seq in set().union(*kept, (place for place, seen in mirror.items() if seen.is_lost)):
        numbers[gate_id, epoch].add(seq)
    for who, seqs in numbers.items():
        if min(seqs) != 1 or max(seqs) != len(seqs):
            yield f"4 gapless: {who} has {len(seqs)} numbers from {min(seqs)} to {max(seqs)}"


def is_first_entry(record: ScanRecord) -> bool:
    """Of a ticket that is good once."""
    admits = record.record == "scan" and record.verdict is Ruling.ADMIT
    return admits and record.reason == "first_entry" and record.kind in ("ga", "unknown")


def _standing(mirror: Mirror) -> list[ScanRecord]:
    """First entries of one-time tickets that were not annulled."""
    records = [seen.record for seen in mirror.values() if not seen.is_lost]
    annulled = {record.refers_to for record in records if record.record == "annulled"}
    return [one for one in records if is_first_entry(one) and one.scan_id not in annulled]


def _one_gate_once(mirror: Mirror) -> Iterator[str]:
    for (gate_id, code), count in Counter((one.gate_id, one.code_hash) for one in _standing(mirror)).items():
        if count > 1:
            yield f"6 one gate once: {gate_id} admitted {str(code)[:6]} {count} times"


def _heard_is_not_repeated(mirror: Mirror) -> Iterator[str]:
    """Unless nobody had walked through, and that was recorded before.

    Not "and that had been heard": `heard` may say too little (`sync.peers.heard_numbers`), and the
    hub may have known it.
    """
    annulled = {
        seen.record.refers_to: seen.since_us for seen in mirror.values() if seen.record.record == "annulled"
    }
    entries = defaultdict(list)
    for seen in mirror.values():
        if is_first_entry(seen.record):
            entries[seen.record.code_hash].append(seen)
    for seen in (seen for several in entries.values() for seen in several):
        one = seen.record
        for other in (other.record for other in entries[one.code_hash]):
            if _has_heard(one, other) and annulled.get(other.scan_id, seen.until_us) >= seen.until_us:
                told = f"{other.gate_id} #{other.seq}, which it had heard of"
                yield f"7 first scan wins: {one.gate_id} #{one.seq} repeats {told}"


def _has_heard(one: ScanRecord, other: ScanRecord) -> bool:
    return any(
        (other.gate_id, other.epoch) == (heard.gate, heard.epoch) and heard.first <= other.seq <= heard.last
        for heard in one.heard
    )


def _granted_once(mirror: Mirror) -> Iterator[str]:
    granted = [one for one in _standing(mirror) if Flag.UNCLAIMED not in one.flags]
    for code, count in Counter(one.code_hash for one in granted).items():
        if count > 1:
            yield f"7 first scan wins: {str(code)[:6]} was admitted {count} times by the hub's grant"


def _within_hours(night: Night, mirror: Mirror) -> Iterator[str]:
    """Invariants 10 and 15. A second is allowed for a clock that runs wrong by one in a hundred."""
    doors_us, ends_us = night.plan.doors_us - 1_000_000, night.plan.ends_us + 1_000_000
    for place, seen in mirror.items():
        if seen.record.verdict is Ruling.ADMIT and not (
            doors_us <= seen.until_us and seen.since_us <= ends_us
        ):
            clock = f"by a clock that was {seen.record.clock} and said {seen.record.occurred_at:%H:%M:%S}"
            yield f"15 honest clock: {place} was admitted outside the hours, {clock}"
