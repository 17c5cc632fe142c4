"""Messages between gates and hub: protocol 4.2 to 4.4. Pure; shared with the hub.

Topics are in `sync.wire.topics`, batches of scans in `sync.wire.scans`.

Every message is JSON with a schema version ``"v": 1``. Unknown fields are ignored. An unknown version raises
`WireError`: the hub quarantines such a message, a gate logs it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value
from gate.rules.first_entry import Claim, Grant, Returned
from gate.rules.model import Event, FeedRow

M = TypeVar("M", bound=msgspec.Struct)

VERSION = 1
SMALL_LIMIT = 4 * 1024
"""Longest message about one ticket, in bytes; they take some 300."""
LARGEST = 8 * 1024 * 1024
"""Longest message of any kind; the largest is a configuration with every lent ticket of a night."""
PACKET = 256 * 1024
"""Longest MQTT message that gates and hub send, topic included: a quarter of what the broker accepts."""
DELTA_BYTES = 128 * 1024
"""Longest delta, in bytes; further changes go into another."""
STATUS_BYTES = 128 * 1024
"""Longest status, in bytes; with three nights it takes about 2 KiB, with `MOST_NIGHTS` some 80."""
STATUS_TEXT = 500
"""Longest text in a status, in characters."""
STATUS_PARTS = 64
"""Most parts, and most counters, of a status."""
MOST_NIGHTS = 400
"""Most nights in a configuration or a status: a month back and a year ahead."""
MOST_NAMED = 64
"""Most gates that a status names as flooding; more than any venue has."""
EPOCH = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
"""What an epoch may be called."""


class WireError(ValueError):
    """A message that cannot be read; the text says why."""


class Ack(Value, frozen=True):
    """Every scan of `epoch` up to and including `seq` is committed in Postgres."""

    epoch: str
    seq: int
    v: int = VERSION


class Head(Value, frozen=True):
    """The newest state of an event's feed. `count`: admissions in it.

    `generation`: versions are only compared within one. It goes up when the hub's database was restored to an
    earlier state; a gate refuses an older one.
    """

    event_id: str
    version: int
    count: int
    generation: int = 1
    v: int = VERSION


class Change(Value, frozen=True):
    """One version step of an event's feed; versions of one event are gapless."""

    version: int
    row: FeedRow


class Delta(Value, frozen=True):
    """Consecutive changes of one event's feed, oldest first."""

    event_id: str
    changes: tuple[Change, ...]
    generation: int = 1
    v: int = VERSION


class FeedPlace(Value, frozen=True, order=True):
    """A place in a feed; a later generation comes after every version of an earlier one (docs/adr/0018)."""

    generation: int
    version: int


class HeldNight(Value, frozen=True):
    """What a gate's cache holds of one night. `digest`: see `sync.cache.digest`."""

    event_id: str
    version: int
    generation: int
    count: int
    digest: str


class GateStatus(Value, frozen=True):
    """What a gate reports of itself, retained; its last will is a status with `online` false.

    `door`: whether it runs, None if this message does not say. `parts`: each part of the door, ``ok`` or what
    is wrong with it; `way`: what its turnstile is for everybody; `counters`: since its start. `last_seq`,
    `acked`: in the journal's `epoch`; `oldest_unacked_s`: age of the first record above `acked`, None if
    there is none. `clock`: whether the hub's clock was measured in this boot; the machine's own is off by
    `clock_offset_ms`, give or take `clock_uncertainty_ms`. `boot_id`, `monotonic_ms`: of this message.
    `held`: each night served. `flooding`: gates that lately sent more than any door can, at most
    `MOST_NAMED`.
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
    last_seq: int = 0
    acked: int = 0
    oldest_unacked_s: int | None = None
    clock: Literal["synced", "untrusted"] = "untrusted"
    clock_offset_ms: int | None = None
    clock_uncertainty_ms: int | None = None
    boot_id: str = ""
    monotonic_ms: int | None = None
    isolated: bool = False
    held: tuple[HeldNight, ...] = ()
    flooding: tuple[str, ...] = ()
    v: int = VERSION


class Probe(Value, frozen=True, tag="probe", tag_field="t"):
    """Gate to hub, on `claims`: are claims answered, and what time is it? The answer has the same `id`."""

    id: int
    v: int = VERSION


class LendAnswer(Value, frozen=True, tag="lent", tag_field="t"):
    """Gate to hub, on `claims`: the answer to `LendRequest`.

    `lent`: this gate will no longer admit it alone. `used`: it has admitted it. Neither: it cannot say.
    """

    scan_id: str
    code_hash: str
    lent: bool
    used: bool = False
    v: int = VERSION


ToHub = Claim | Returned | Probe | LendAnswer


class HubTime(Value, frozen=True, tag="time", tag_field="t"):
    """Hub to gate, on `grants`: the answer to a probe, in microseconds since 1970 by the hub's clock."""

    id: int
    received_us: int
    sent_us: int
    v: int = VERSION


class LendRequest(Value, frozen=True, tag="lend", tag_field="t"):
    """Hub to a ticket's home gate, on `grants`: gate `to` wants it, with the claim `scan_id`."""

    scan_id: str
    code_hash: str
    event_id: str
    to: str
    v: int = VERSION


ToGate = Grant | HubTime | LendRequest


class GateConfig(Value, frozen=True):
    """`GET /api/gates/{gate}/config`: the gate's name, and the nights of its venue.

    `events`: every night for which a guest might hold a ticket; `Event.served` marks those this gate admits
    to.
    `gate_names`: what screens call the other gates. `lent`: by event, code hashes of this gate's own tickets
    that the hub has ever asked it to lend (policy ``home_gate``). `revoked`: gates whose scans are ignored
    (protocol 4.5).
    """

    gate_id: str
    gate_name: str
    venue: str
    events: tuple[Event, ...]
    gate_names: dict[str, str] = {}
    lent: dict[str, tuple[str, ...]] = {}
    revoked: tuple[str, ...] = ()
    v: int = VERSION


class SnapshotHeader(Value, frozen=True):
    """First line of a snapshot (`since` 0) or a catch-up.

    `count` lines follow, each a `FeedRow` (snapshot) or a `Change` (catch-up), then a `SnapshotEnd`. A
    catch-up comes in pages: this one leads to `version`, while the hub is at `newest` (0: at `version`).
    """

    event_id: str
    version: int
    since: int
    count: int
    generation: int = 1
    newest: int = 0
    v: int = VERSION


class SnapshotEnd(Value, frozen=True):
    """Last line. `sha256`: hex digest of all bytes before this line, including newlines."""

    sha256: str
    end: bool = True


def encode(message: msgspec.Struct) -> bytes:
    """A message as sent."""
    return msgspec.json.encode(message)


def decode(payload: bytes, shape: type[M]) -> M:
    """Read one message of a known shape (`Ack`, `Head`, `Delta`, `Alert`, `GateStatus`, `GateConfig`).

    :raises WireError: it has another shape or schema version.
    """
    message: M = _read(payload, shape, LARGEST, f"not a {shape.__name__}")
    return message


def to_hub(payload: bytes) -> ToHub:
    """Read a message on `claims`. Raises `WireError`."""
    message: ToHub = _read(payload, ToHub, SMALL_LIMIT, "cannot be read")
    return message


def to_gate(payload: bytes) -> ToGate:
    """Read a message on `grants`. Raises `WireError`."""
    message: ToGate = _read(payload, ToGate, SMALL_LIMIT, "cannot be read")
    return message


def _read(payload: bytes, shape: Any, limit: int, failed: str) -> Any:
    try:
        message = read_json(payload, shape, limit=limit)
    except UnreadableError as error:
        raise WireError(f"{failed}: {error}") from None
    version = getattr(message, "v", VERSION)
    if version != VERSION:
        raise WireError(f"schema version {version}, this side reads {VERSION}")
    return message
