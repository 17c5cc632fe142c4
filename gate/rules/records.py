"""Records of what follows a scan, and of what happens at the door without one. Pure.

A scan's own record never changes, because it may have been sent already. What happens later (somebody passed,
or nobody did) gets a record of its own that names the scan (protocol 4.3).
"""

from __future__ import annotations

from msgspec.structs import replace

from gate.rules.command import Action, Command
from gate.rules.model import EventKind, Kind, Now, Ruling, ScanRecord
from gate.rules.passage import Outcome

KIND_OF_ORDER: dict[Action, EventKind] = {
    "release": EventKind.RELEASED,
    "hold_open": EventKind.HELD_OPEN,
    "close": EventKind.CLOSED,
    "resume": EventKind.RESUMED,
    "show_text": EventKind.TEXT_SHOWN,
    "refetch": EventKind.REFETCHED,
    "restart": EventKind.RESTARTED,
}
"""The reason in the record of an order."""


def record_of(outcome: Outcome, now: Now, scan_id: str, gate_id: str) -> ScanRecord:
    """The record of an outcome; the journal numbers it when it is written.

    :param scan_id: a new id.
    """
    record = _record(scan_id, gate_id, now, outcome.reason)
    record = replace(record, record=outcome.record, note=outcome.note)
    scan = outcome.scan
    if scan is None:
        return record
    return replace(
        record,
        kind=scan.kind,
        event_id=scan.event_id,
        subject_id=scan.subject_id,
        code_hash=scan.code_hash,
        refers_to=scan.scan_id,
    )


def record_of_order(order: Command, now: Now, gate_id: str) -> ScanRecord:
    """The record of an order about to be followed. It has the order's id, which uses the order up."""
    return replace(
        _record(order.id, gate_id, now, KIND_OF_ORDER[order.action]),
        scan_method="staff",
        released=order.action == "release",
        actor=order.actor,
        note=order.reason,
    )


def _record(scan_id: str, gate_id: str, now: Now, reason: EventKind) -> ScanRecord:
    """An event now."""
    return ScanRecord(
        scan_id=scan_id,
        gate_id=gate_id,
        epoch="",
        seq=0,
        boot_id=now.boot_id,
        occurred_at=now.wall,
        monotonic_ms=now.monotonic_ms,
        clock=now.clock,
        clock_offset_ms=now.offset_ms,
        clock_uncertainty_ms=now.uncertainty_ms,
        verdict=Ruling.NONE,
        reason=reason,
        line=0,
        kind=Kind.UNKNOWN,
        record="event",
    )
