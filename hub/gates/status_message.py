"""A gate's status, checked, and whether it is older than the one known. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from gate.common.uuids import is_uuid
from sync.wire.messages import (
    MOST_NIGHTS,
    STATUS_BYTES,
    STATUS_PARTS,
    STATUS_TEXT,
    GateStatus,
    WireError,
    decode,
)
from sync.wire.topics import GATE_ID

_MOST = {"held": MOST_NIGHTS}
_LARGEST = 2**53
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class KnownStatus(msgspec.Struct, frozen=True, kw_only=True):
    """When the newest known status was sent, by its boot's clock and by the wall's."""

    boot_id: str
    monotonic_ms: int | None
    clock: str
    said_at: datetime | None

    @classmethod
    def from_status(cls, status: GateStatus) -> KnownStatus:
        """From a status that is not in Postgres yet."""
        return cls(
            boot_id=status.boot_id,
            monotonic_ms=status.monotonic_ms,
            clock=status.clock,
            said_at=status.at,
        )

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> KnownStatus | None:
        """From the query `kept_status`; None if nothing is known yet."""
        if not row["has_status"]:
            return None
        return cls(**{name: row[name] for name in cls.__struct_fields__})


def is_older(status: GateStatus, kept: KnownStatus | None, now: datetime | None = None) -> bool:
    """Whether an online gate's status was sent before the known one, or is the same again.

    Within a boot its monotonic clock decides; otherwise two times of the hub's clock do. Without either, the
    later arrival is newer. A time still to come decides nothing: the hub's clock was ahead once.

    :param now: the hub's time.
    """
    if kept is None:
        return False
    if status.boot_id == kept.boot_id and None not in (status.monotonic_ms, kept.monotonic_ms):
        return (status.monotonic_ms or 0) <= (kept.monotonic_ms or 0)
    if status.clock != "synced" or kept.clock != "synced" or status.at is None or kept.said_at is None:
        return False
    return status.at < kept.said_at and (now is None or kept.said_at <= now)


def decode_status(payload: bytes, gate_id: str) -> GateStatus:
    """Read a status.

    :raises WireError: it cannot be read, is another gate's, or holds what the database cannot store.
    """
    if len(payload) > STATUS_BYTES:
        raise WireError(f"{len(payload)} bytes, more than {STATUS_BYTES}")
    status = decode(payload, GateStatus)
    if status.gate_id != gate_id:
        raise WireError(f"status of gate {status.gate_id[:64]!r} on the topic of {gate_id!r}")
    if b"\\u0000" in msgspec.json.encode(status):
        raise WireError("a NUL character")
    wrong = next(_mistakes(status), None)
    if wrong is not None:
        raise WireError(wrong)
    return status


def _mistakes(status: GateStatus) -> Iterator[str]:
    for name, value in msgspec.structs.asdict(status).items():
        texts = (value, *value, *value.values()) if isinstance(value, dict) else (value,)
        if any(isinstance(text, str) and len(text) > STATUS_TEXT for text in texts):
            yield f"{name}: longer than {STATUS_TEXT} characters"
        if isinstance(value, int) and not -_LARGEST < value < _LARGEST:
            yield f"{name}: {value} is too large"
        if isinstance(value, dict | tuple) and len(value) > _MOST.get(name, STATUS_PARTS):
            yield f"{name}: more than {_MOST.get(name, STATUS_PARTS)}"
    if status.at is not None and (status.at.tzinfo is None or not _EARLIEST <= status.at < _LATEST):
        yield f"at: {status.at.isoformat()} is not within 1970 to 2199, or has no time zone"
    for event_id in (status.event_id, *(held.event_id for held in status.held)):
        if event_id is not None and not is_uuid(event_id):
            yield f"event_id: {event_id[:64]!r} is no id"
    if not all(GATE_ID.fullmatch(gate_id) for gate_id in status.flooding):
        yield "flooding: a name that is no gate's id"
    if len({held.event_id for held in status.held}) < len(status.held):
        yield "held: the same night twice"
    for held in status.held:
        if not all(0 <= number < _LARGEST for number in (held.version, held.generation, held.count)):
            yield f"held: version {held.version} of generation {held.generation}, {held.count} rows"
