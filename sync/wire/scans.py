"""Batches of scans, sent from gates to hub: protocol 4.2 and 4.3. Pure; shared with the hub.

A record that cannot be read spoils only itself; the rest of its batch is used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value
from gate.rules.model import ScanRecord
from sync.wire.messages import EPOCH, VERSION, WireError

BATCH_LIMIT = 50
"""Most scan records in one message (protocol 4.2)."""
MESSAGE_LIMIT = 256 * 1024
"""Longest batch that is read, in bytes; 50 records take about 40 KiB."""

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_ERROR_CHARACTERS = 500
_COUNTED = ("monotonic_ms", "clock_offset_ms", "clock_uncertainty_ms", "cache_age_s")
_FARTHEST = 2**53
"""Sums of such numbers fit into a database's integers; JSON readers are exact up to here (RFC 8259, 6)."""


class _Batch(msgspec.Struct):
    v: int
    scans: list[msgspec.Raw]


class UnreadableRecord(Value, frozen=True):
    """A record that cannot be read. `epoch` and `seq`, if at least those could be."""

    raw: bytes
    error: str
    epoch: str | None = None
    seq: int | None = None


class SpoiledRow(Value, frozen=True):
    """Sent in the place of a journal row that is damaged or missing; `error` says why.

    The hub keeps what is left of it in the quarantine, and the numbering has no gap: an acknowledgement means
    "every scan up to here". `row`: its columns as far as they could be read; empty if the row is missing.
    """

    gate_id: str
    epoch: str
    seq: int
    error: str
    row: dict[str, str | int | float | None]


class _Place(msgspec.Struct):
    epoch: str
    seq: int


def encode_scans(records: Sequence[ScanRecord | SpoiledRow]) -> bytes:
    """A batch of 1 to `BATCH_LIMIT` scan records, or spoiled rows in their places."""
    if not 0 < len(records) <= BATCH_LIMIT:
        raise WireError(f"a batch holds 1 to {BATCH_LIMIT} records, not {len(records)}")
    return msgspec.json.encode({"v": VERSION, "scans": list(records)})


def record_hash(record: ScanRecord) -> str:
    """SHA-256 (hex) of a record as encoded: equal on both sides if nothing was altered."""
    return hashlib.sha256(msgspec.json.encode(record)).hexdigest()


def decode_scans(payload: bytes, gate_id: str) -> tuple[list[ScanRecord], list[UnreadableRecord]]:
    """Read a batch; an unreadable record spoils only itself.

    :param gate_id: the gate on whose topic it came; a record of another gate is refused.
    :raises WireError: the message as a whole cannot be read.
    """
    try:
        batch = read_json(payload, _Batch, limit=MESSAGE_LIMIT)
    except UnreadableError as error:
        raise WireError(f"not a batch of scans: {error}") from None
    if batch.v != VERSION:
        raise WireError(f"schema version {batch.v}, this side reads {VERSION}")
    if not 0 < len(batch.scans) <= BATCH_LIMIT:
        raise WireError(f"{len(batch.scans)} records, a batch holds 1 to {BATCH_LIMIT}")
    good: list[ScanRecord] = []
    bad: list[UnreadableRecord] = []
    for raw in batch.scans:
        found = _record(bytes(raw), gate_id)
        good.append(found) if isinstance(found, ScanRecord) else bad.append(found)
    return good, bad


def _record(raw: bytes, gate_id: str) -> ScanRecord | UnreadableRecord:
    try:
        record = read_json(raw, ScanRecord, limit=MESSAGE_LIMIT)
    except UnreadableError as error:
        return _unreadable(raw, _spoiled(raw) or str(error))
    if record.gate_id != gate_id:
        foreign = f"record of gate {record.gate_id[:64]!r} on the topic of {gate_id!r}"
        return UnreadableRecord(raw=raw, error=foreign)
    if not _EARLIEST <= record.occurred_at < _LATEST:
        return _unreadable(raw, f"occurred_at {record.occurred_at.isoformat()} is not within 1970 to 2199")
    wild = next(
        (name for name in _COUNTED if not -_FARTHEST <= (getattr(record, name) or 0) <= _FARTHEST), None
    )
    if wild is not None:
        return _unreadable(raw, f"{wild} {getattr(record, wild)} is more than a clock can say")
    if not EPOCH.fullmatch(record.epoch):
        return _unreadable(raw, "epoch is not 1 to 64 letters, digits, '_', '.', ':' or '-'")
    return record


def _spoiled(raw: bytes) -> str | None:
    """What the gate says is wrong with its row; None if this is not a `SpoiledRow`."""
    try:
        return f"spoiled in the gate's journal: {read_json(raw, SpoiledRow, limit=MESSAGE_LIMIT).error}"
    except UnreadableError:
        return None


def _unreadable(raw: bytes, error: str) -> UnreadableRecord:
    """With its epoch and number, if readable: without them the gate's acknowledgement stops here."""
    error = error[:_ERROR_CHARACTERS]
    try:
        # not strict: a number written as text still says which record this is
        place = read_json(raw, _Place, limit=MESSAGE_LIMIT, strict=False)
    except UnreadableError:
        return UnreadableRecord(raw=raw, error=error)
    if not EPOCH.fullmatch(place.epoch):
        return UnreadableRecord(raw=raw, error=error)
    return UnreadableRecord(raw=raw, error=error, epoch=place.epoch, seq=place.seq)
