"""Topics and messages between gates and hub: protocol 4.2 to 4.4. Pure; shared with the hub.

Every message is JSON with a schema version ``"v": 1``. Unknown fields are ignored, unknown
versions refused with `WireError`: the hub quarantines them, a gate logs them once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from gate.model import Event, FeedRow, Moment, ScanRecord, Value

M = TypeVar("M", bound=msgspec.Struct)

VERSION = 1
BATCH_LIMIT = 50
"""Most scan records in one message (protocol 4.2)."""
MESSAGE_LIMIT = 256 * 1024
"""Longest message looked at, in bytes; 50 records take about 40 KiB."""

GATE_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What a gate may be called: it is a level of its topics and a key at the hub."""
_EPOCH = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_ERROR_CHARACTERS = 500


class WireError(ValueError):
    """A message that cannot be read; the text says why."""


class Ack(Value, frozen=True):
    """Every scan of `epoch` up to and including `seq` is committed in Postgres."""

    epoch: str
    seq: int
    v: int = VERSION


class Head(Value, frozen=True):
    """Newest state of an event's feed. `count`: admissions in it."""

    event_id: str
    version: int
    count: int
    v: int = VERSION


class Change(Value, frozen=True):
    """One version step of an event's feed; versions of one event are gapless."""

    version: int
    row: FeedRow


class Delta(Value, frozen=True):
    """Consecutive changes of one event's feed, oldest first."""

    event_id: str
    changes: tuple[Change, ...]
    v: int = VERSION


class GateStatus(Value, frozen=True):
    """What a gate says of itself, retained; its last will is the same with `online` false.

    `door`: running or not, None if this side does not tell. `parts`: each part of the door, ``ok`` or
    its trouble in words; `way`: what its turnstile is for everybody; `counters`: since its start.
    """

    gate_id: str
    online: bool
    version: str = ""
    event_id: str | None = None
    cache_version: int | None = None
    cache_age_s: int | None = None
    epoch: str | None = None
    unacked: int = 0
    at: datetime | None = None
    door: bool | None = None
    parts: dict[str, str] = {}
    way: str = ""
    counters: dict[str, int] = {}
    v: int = VERSION


class Alert(Value, frozen=True):
    """Something at a gate that staff should know of at once; `reason` as in its record (domain 2.3).

    `id`: the same when it is told again. `count`: so many records of this gate and reason, the
    first of them `at` that time by the gate's clock.
    """

    id: str
    gate: str
    reason: str
    at: Moment
    count: int = 1
    v: int = VERSION


class GateConfig(Value, frozen=True):
    """`GET /api/gates/{gate}/config`: the gate's name, and the nights it serves or may name.

    `events` holds every night of the venue a guest might hold a ticket for; `Event.served`
    marks those this gate admits to. `gate_names`: what screens call the other gates.
    """

    gate_id: str
    gate_name: str
    venue: str
    events: tuple[Event, ...]
    gate_names: dict[str, str] = {}
    v: int = VERSION


class SnapshotHeader(Value, frozen=True):
    """First line of a snapshot or catch-up. `since` 0: a whole snapshot of `count` rows.

    Then follow `count` lines, each a `FeedRow` (snapshot) or a `Change` (catch-up), then a
    `SnapshotEnd`.
    """

    event_id: str
    version: int
    since: int
    count: int
    v: int = VERSION


class SnapshotEnd(Value, frozen=True):
    """Last line. `sha256`: hex digest of all bytes before this line, newlines included."""

    sha256: str
    end: bool = True


class _Batch(msgspec.Struct):
    v: int
    scans: list[msgspec.Raw]


class Unreadable(Value, frozen=True):
    """A record of a batch that is none. `epoch` and `seq` where at least those could be read."""

    raw: bytes
    error: str
    epoch: str | None = None
    seq: int | None = None


class Spoiled(Value, frozen=True):
    """In a batch, the place of a journal row that is no record any more; `error` says why.

    It goes to the hub so that what is left of it is kept, in the quarantine, and the numbering has no
    hole: an acknowledgement says "every scan up to here". `row`: its columns as far as they could be
    read, empty if there is no such row.
    """

    gate_id: str
    epoch: str
    seq: int
    error: str
    row: dict[str, str | int | float | None]


class _Place(msgspec.Struct):
    epoch: str
    seq: int


class Topics(Value, frozen=True):
    """The topics of one venue."""

    venue: str

    def _gate(self, gate_id: str, leaf: str) -> str:
        return f"maguey/v1/{self.venue}/gates/{gate_id}/{leaf}"

    def scans(self, gate_id: str = "+") -> str:
        """Scan batches; with ``+`` the filter for every gate."""
        return self._gate(gate_id, "scans")

    def status(self, gate_id: str = "+") -> str:
        """A gate's retained status."""
        return self._gate(gate_id, "status")

    def ack(self, gate_id: str) -> str:
        """The hub's retained acknowledgement to one gate."""
        return self._gate(gate_id, "ack")

    def deltas(self, event_id: str = "+") -> str:
        """Feed changes of one event."""
        return f"maguey/v1/{self.venue}/admissions/{event_id}/deltas"

    def head(self, event_id: str = "+") -> str:
        """Retained head of one event's feed."""
        return f"maguey/v1/{self.venue}/admissions/{event_id}/head"

    def alerts(self) -> str:
        """What staff and gates should know at once."""
        return f"maguey/v1/{self.venue}/alerts"

    def gate_of(self, topic: str) -> str | None:
        """The gate a topic belongs to, None if it is no gate's topic of this venue or no gate's id."""
        parts = topic.split("/")
        mine = len(parts) == 6 and parts[:2] == ["maguey", "v1"] and parts[2:4] == [self.venue, "gates"]
        return parts[4] if mine and GATE_ID.fullmatch(parts[4]) else None


def encode(message: msgspec.Struct) -> bytes:
    """A message as it goes over the wire."""
    return msgspec.json.encode(message)


def encode_scans(records: Sequence[ScanRecord | Spoiled]) -> bytes:
    """A batch of one to `BATCH_LIMIT` scan records, or of the places of spoiled ones."""
    if not 0 < len(records) <= BATCH_LIMIT:
        raise WireError(f"a batch holds 1 to {BATCH_LIMIT} records, not {len(records)}")
    return msgspec.json.encode({"v": VERSION, "scans": list(records)})


def record_hash(record: ScanRecord) -> str:
    """SHA-256 hex of a record as encoded: equal on both sides when nothing was altered."""
    return hashlib.sha256(msgspec.json.encode(record)).hexdigest()


def decode_scans(payload: bytes, gate_id: str) -> tuple[list[ScanRecord], list[Unreadable]]:
    """Read a batch; a record that is wrong spoils only itself.

    :param gate_id: the gate whose topic it came on; a record of another gate is refused.
    :raises WireError: the message as a whole cannot be read.
    """
    if len(payload) > MESSAGE_LIMIT:
        raise WireError(f"{len(payload)} bytes, more than {MESSAGE_LIMIT}")
    try:
        batch = msgspec.json.decode(payload, type=_Batch)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a batch of scans: {error}") from None
    if batch.v != VERSION:
        raise WireError(f"schema version {batch.v}, this side reads {VERSION}")
    if not 0 < len(batch.scans) <= BATCH_LIMIT:
        raise WireError(f"{len(batch.scans)} records, a batch holds 1 to {BATCH_LIMIT}")
    good: list[ScanRecord] = []
    bad: list[Unreadable] = []
    for raw in batch.scans:
        found = _record(bytes(raw), gate_id)
        good.append(found) if isinstance(found, ScanRecord) else bad.append(found)
    return good, bad


def _record(raw: bytes, gate_id: str) -> ScanRecord | Unreadable:
    try:
        record = msgspec.json.decode(raw, type=ScanRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _unreadable(raw, _spoiled(raw) or str(error))
    if record.gate_id != gate_id:
        foreign = f"record of gate {record.gate_id[:64]!r} on the topic of {gate_id!r}"
        return Unreadable(raw=raw, error=foreign)
    if not _EARLIEST <= record.occurred_at < _LATEST:
        return _unreadable(raw, f"occurred_at {record.occurred_at.isoformat()} is not within 1970 to 2199")
    if not _EPOCH.fullmatch(record.epoch):
        return _unreadable(raw, "epoch is not 1 to 64 letters, digits, '_', '.', ':' or '-'")
    return record


def _spoiled(raw: bytes) -> str | None:
    """What the gate itself says is wrong with the row, if it does."""
    try:
        return f"spoiled in the gate's journal: {msgspec.json.decode(raw, type=Spoiled).error}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _unreadable(raw: bytes, error: str) -> Unreadable:
    """With its place, if that much can be read: without it the gate's acknowledgement stops here."""
    error = error[:_ERROR_CHARACTERS]
    try:
        # not strict: a number written as text still says which record this is
        place = msgspec.json.decode(raw, type=_Place, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Unreadable(raw=raw, error=error)
    if not _EPOCH.fullmatch(place.epoch):
        return Unreadable(raw=raw, error=error)
    return Unreadable(raw=raw, error=error, epoch=place.epoch, seq=place.seq)


def decode(payload: bytes, shape: type[M]) -> M:
    """Read one message of a known shape (`Ack`, `Head`, `Delta`, `Alert`, `GateStatus`, `GateConfig`).

    :raises WireError: not that shape, or another schema version.
    """
    try:
        message = msgspec.json.decode(payload, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"not a {shape.__name__}: {error}") from None
    version = getattr(message, "v", VERSION)
    if version != VERSION:
        raise WireError(f"schema version {version}, this side reads {VERSION}")
    return message
