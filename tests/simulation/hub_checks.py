"""The rules of quality 7.1, checked on a quiet night: what the hub made of it, and the caches."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from gate.rules.model import Admission, Event, Ruling, Table
from sync.cache import digest
from tests.simulation.agenda import START
from tests.simulation.database import Session
from tests.simulation.gate import Gate, Place, Seen
from tests.simulation.night import Night

Rows = dict[Place, dict[str, Any]]
HOUR = timedelta(hours=1)
MS = timedelta(milliseconds=1)
AN_HOUR_MS = HOUR // MS


def broken_at_the_hub(night: Night, session: Session, mirror: dict[Place, Seen], logs: Rows) -> list[str]:
    """One line for each break of a rule, beginning with the rule's number."""
    doubles = _doubles(logs)
    return [
        *_conflicts(session, doubles),
        *_never_apart(night, doubles),
        *_check_ins(session, doubles),
        *_revoked(session, mirror),
        *_converged(night, session),
        *([] if night.plan.drifts else _clocks(mirror, logs)),
        *_order(logs),
    ]


def _doubles(logs: Rows) -> dict[str, list[dict[str, Any]]]:
    """By code: the admissions of one-time tickets that stand, by the records alone."""
    annulled = {row["refers_to"] for row in logs.values() if row["record"] == "annulled"}
    found = defaultdict(list)
    for row in logs.values():
        first = row["record"] == "scan" and row["verdict"] == "admit" and row["reason"] == "first_entry"
        if first and row["kind"] in ("ga", "unknown") and row["scan_id"] not in annulled:
            found[row["code_hash"]].append(row)
    return found


def winner(admissions: list[dict[str, Any]]) -> dict[str, Any]:
    """Which of them counts (docs/adr/0016), written differently than in the hub."""

    def doubt(row: dict[str, Any]) -> timedelta:
        uncertain = row["corrected_uncertainty_ms"]
        return HOUR if uncertain is None else min(HOUR, uncertain * MS)

    latest = min(row["corrected_at"] + doubt(row) for row in admissions)
    maybe = [row for row in admissions if row["corrected_at"] - doubt(row) <= latest]
    return min(maybe, key=lambda row: (row["gate_id"], row["epoch"], row["seq"]))


def _conflicts(session: Session, doubles: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Invariant 8: one row for each admission beyond the one that counts, each told once."""
    rows = session.execute(
        b"select c.code_hash, c.winner_scan, c.loser_scan, c.withdrawn_at, count(a.scan_id) as alerts,"
        b" count(a.sent_at) as sent from scan_conflicts c left join alerts a on a.scan_id = c.id"
        b" group by c.id"
    ).fetchall()
    standing = [row for row in rows if row["withdrawn_at"] is None]
    for row in standing:
        if (row["alerts"], row["sent"]) != (1, 1):
            yield f"8 conflicts: {row['code_hash'][:6]} has {row['alerts']} alerts, {row['sent']} were sent"
    told = defaultdict(set)
    for row in standing:
        told[row["code_hash"]].add((row["winner_scan"], row["loser_scan"]))
    for code in doubles.keys() | told.keys():
        admissions = doubles.get(code, [])
        counts = winner(admissions)["scan_id"] if admissions else None
        expected = {(counts, row["scan_id"]) for row in admissions if row["scan_id"] != counts}
        if told.get(code, set()) != expected:
            yield f"8 conflicts: {code[:6]} has {len(admissions)} admissions and {len(told[code])} other rows"


def _never_apart(night: Night, doubles: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Invariant 8: with the policy ``home_gate`` there is no double admission, as long as gates remember."""
    if night.plan.policy == "home_gate" and not night.plan.prunes:
        for code, rows in doubles.items():
            if len(rows) > 1:
                where = ", ".join(f"{row['gate_id']} #{row['seq']} {row['flags']}" for row in rows)
                yield f"8 home gate: {code[:6]} was admitted at {where}"


def _check_ins(session: Session, doubles: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """A ticket's check-in is the admission that counts."""
    sql = b"select t.* from tickets t where status not in ('refunded', 'cancelled') and not exists"
    sql += b" (select from vip_linked_tickets l where l.ticket_id = t.id)"
    for row in session.execute(sql).fetchall():
        admissions = doubles.get(row["code_hash"], [])
        counts = winner(admissions) if admissions else {"scan_id": None, "corrected_at": None}
        held = (row["checked_in_scan"], row["checked_in_at"])
        if held != (counts["scan_id"], counts["corrected_at"]):
            told = f"{held[0]} at {held[1]}, not by {counts['scan_id']} at {counts['corrected_at']}"
            yield f"9 convergence: ticket {row['code_hash'][:6]} is checked in by {told}"


def _revoked(session: Session, mirror: dict[Place, Seen]) -> Iterator[str]:
    """Invariant 10: not revoked in the version held."""
    rows = session.execute(
        b"select row ->> 'code_hash' as code, min(version) as version from admission_changes"
        b" where row ->> 'status' in ('refunded', 'cancelled') group by 1"
    ).fetchall()
    revoked = {row["code"]: row["version"] for row in rows}
    for place, seen in mirror.items():
        record = seen.record
        since = revoked.get(record.code_hash or "")
        if record.verdict is Ruling.ADMIT and since is not None and (record.cache_version or 0) >= since:
            yield f"10 no forgery: {place} was admitted at version {record.cache_version}, revoked at {since}"


def _converged(night: Night, session: Session) -> Iterator[str]:
    row = session.execute(
        b"select admission_version as version, feed_digest(id) as digest from events"
    ).fetchone()
    assert row is not None
    for gate in night.gates.values():
        held = gate.versions().get(night.plan.event_id)
        if held != row["version"]:
            yield f"9 convergence: {gate.gate_id} holds version {held}, the hub {row['version']}"
        elif _digest(gate, night.plan.event_id) != row["digest"]:
            yield f"9 convergence: {gate.gate_id} holds something else than the hub at version {held}"


def _digest(gate: Gate, event_id: str) -> str:
    tables: dict[str, Any] = {"admissions": Admission, "tables": Table, "events": Event}
    rows = [
        msgspec.json.decode(text, type=shape)
        for table, shape in tables.items()
        for text in gate.cached(table, event_id)
    ]
    return digest.of_rows(digest.of_row(row) for row in rows)


def _clocks(mirror: dict[Place, Seen], logs: Rows) -> Iterator[str]:
    """Invariant 15: the time given to a record is true within the uncertainty given with it."""
    for place, row in logs.items():
        seen, uncertain = mirror.get(place), row["corrected_uncertainty_ms"]
        if seen is None or uncertain is None:
            continue
        give = (uncertain + 2) * MS
        since, until = (START + timedelta(microseconds=at) for at in (seen.since_us, seen.until_us))
        if not since - give <= row["corrected_at"] <= until + give:
            off = _off(row["corrected_at"], since, until) / MS
            yield f"15 honest clock: {place} is placed {off:.0f} ms off, give or take {uncertain} ms"


def _off(at: datetime, since: datetime, until: datetime) -> timedelta:
    return at - until if at > until else at - since


def _order(logs: Rows) -> Iterator[str]:
    """Invariant 15: what happened one after the other at a gate stays so, whatever its clock did.

    Within the uncertainty of the times: none within a boot; an hour if a boot's clock was never known.
    """
    by_gate = defaultdict(list)
    for place in sorted(logs):
        by_gate[place[:2]].append(logs[place])
    for who, rows in by_gate.items():
        for one, other in itertools.pairwise(rows):
            unknown_ms = 0 if one["boot_id"] == other["boot_id"] else AN_HOUR_MS
            found = [row["corrected_uncertainty_ms"] for row in (one, other)]
            doubt = sum(unknown_ms if ms is None else ms for ms in found)
            if other["corrected_at"] < one["corrected_at"] - doubt * MS:
                back = (one["corrected_at"] - other["corrected_at"]) / MS
                yield f"15 honest clock: {who} #{other['seq']} is placed {back:.0f} ms before #{one['seq']}"
