"""A digest of what a cache holds of one night: the hub compares it before it reports "in sync". Pure.

The sum, modulo 2**63, of the first 48 bits of the SHA-256 of every row's text; a sum, because rows arrive in
any order. The hub computes the same in SQL (`hub/sql`, function `feed_digest`), so the texts are part of the
protocol. It finds faults, not lies: the hub believes what a gate says of itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from gate.rules.model import Admission, Entry, Event, Table

MODULUS = 2**63


def of_row(row: Admission | Table | Event) -> int:
    """One row's share of the sum: 48 bits."""
    return int.from_bytes(hashlib.sha256(text_of(row).encode()).digest()[:6])


def of_rows(shares: Iterable[int]) -> str:
    """The digest of a night, from the shares of its rows: 16 hex digits."""
    return f"{sum(shares) % MODULUS:016x}"


def text_of(row: Admission | Table | Event) -> str:
    """The fields of a row that matter at a door, as one line."""
    match row:
        case Admission():
            parts = [
                "a", row.code_hash, row.subject_id, row.kind, row.status, row.reservation_id or "",
                row.signature_hash or "", _entry(row.first_entry), _entry(row.last_entry),
            ]  # fmt: skip
        case Table():
            parts = ["t", row.reservation_id, row.number, row.status, str(row.seats), str(row.arrived)]
        case Event():
            parts = [
                "e", row.event_id, row.code, row.status, _time(row.doors_open_at), _time(row.ends_at),
                str(row.capacity), row.isolation, ",".join(row.homes), ",".join(row.retired),
            ]  # fmt: skip
    return "|".join(parts)


def _entry(entry: Entry | None) -> str:
    return "" if entry is None else f"{_time(entry.at)} {entry.gate} {entry.scan}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
