"""The words of the door as values: frozen, typed, the same on the Pi, on the wire and at the hub.

Source: the domain rules (docs/domain.md), sections 2.1 to 2.3; the scan record is
protocol section 4.3. Times are aware datetimes in UTC. Ids are text UUIDs. A ticket's
secret never appears here: `code_hash` is the SHA-256 of the code, in lower-case hex.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from gate.common.value import Value


class Measure(Value, frozen=True):
    """The hub's clock, measured: at `monotonic_ms` of the boot `boot_id` it was `hub_ms` there.

    `hub_ms`: milliseconds since 1970, UTC. `uncertainty_ms`: half of the way there and back, at most
    that much it can be wrong; it grows with the time since (`sync.claims.hub_clock`).
    """

    boot_id: str
    monotonic_ms: int
    hub_ms: int
    uncertainty_ms: int


Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that says how far it is from UTC; one that does not is refused when it is read."""


class Kind(StrEnum):
    """What sort of guest a code stands for."""

    GA = "ga"
    VIP_HOST = "vip_host"
    VIP_PASS = "vip_pass"
    VIP_LINKED = "vip_linked"
    UNKNOWN = "unknown"


class Status(StrEnum):
    """Life of a ticket or pass: ``issued → checked_in``, or out of use."""

    ISSUED = "issued"
    CHECKED_IN = "checked_in"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


class ReservationStatus(StrEnum):
    """Life of a table's reservation; forward only."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CHECKED_IN = "checked_in"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


PAID = frozenset({ReservationStatus.CONFIRMED, ReservationStatus.CHECKED_IN})
"""Reservations whose guests have the VIP perk (domain 2.2)."""


class Ruling(StrEnum):
    """What the door does. `NONE`: nothing was decided, the guest is asked to try again."""

    ADMIT = "admit"
    DENY = "deny"
    NONE = "none"


class Reason(StrEnum):
    """Why a scan got its answer. Stable: it stands in logs, on the wire and in Postgres (domain 2.3)."""

    MALFORMED = "malformed"
    BAD_CHECKSUM = "bad_checksum"
    FORGED = "forged"
    AMBIGUOUS = "ambiguous"
    UNKNOWN = "unknown"
    WRONG_EVENT = "wrong_event"
    EVENT_CANCELLED = "event_cancelled"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"
    TABLE_NOT_CONFIRMED = "table_not_confirmed"
    TOO_EARLY = "too_early"
    EVENT_OVER = "event_over"
    FIRST_ENTRY = "first_entry"
    REENTRY = "reentry"
    ALREADY_USED = "already_used"
    # a one-time ticket that this gate may not admit alone (domain 2.3, situation 3)
    ISOLATED = "isolated"
    OTHER_GATE = "other_gate"


class EventKind(StrEnum):
    """What a record says that no scan caused. Stable like `Reason`, and the two share no word."""

    # why an admission was annulled (domain 2.3, Passage)
    EXPIRED = "expired"
    NOT_OPENED = "not_opened"
    # somebody walked through
    PASSED = "passed"
    # what happened at the door without a scan
    GUESSING = "guessing"
    FREE_PASSAGE = "free_passage"
    FREE_PASSAGE_OVER = "free_passage_over"
    HELD_OPEN = "held_open"
    CLOSED = "closed"
    RESUMED = "resumed"
    TAMPER = "tamper"
    INTRUSION = "intrusion"
    SENSOR_SILENT = "sensor_silent"
    TEST_PULSE = "test_pulse"
    # an order of staff was followed; for the turnstile's own the words above serve
    RELEASED = "released"
    TEXT_SHOWN = "text_shown"
    RESTARTED = "restarted"
    REFETCHED = "refetched"


if TYPE_CHECKING:
    RecordReason = Reason | EventKind
else:
    RecordReason = str  # msgspec allows one enum of strings a field, so `ScanRecord` tells them apart itself

_RECORD_REASONS = {str(word): word for words in (Reason, EventKind) for word in words}


class Flag(StrEnum):
    """Circumstances of an admission that somebody may want to look at later.

    `UNCLAIMED`: a first entry of a one-time ticket without the hub's grant, for it did not answer in time.
    `STALE`: the list was known to be behind the hub's, whether the hub answered or not.
    """

    UNSYNCED = "unsynced"
    ISOLATED = "isolated"
    UNCLAIMED = "unclaimed"
    STALE = "stale"
    PASSBACK_SUSPECT = "passback_suspect"
    FORCED = "forced"
    LOCKED = "locked"
    HISTORY_LOST = "history_lost"


class Entry(Value, frozen=True):
    """One admission of one code: when, and at which gate (its id, or a staff member's name).

    `scan`: the id of its record, where there is one. The hub may move `at` once it knows the boot's
    clock; who compares entries goes by `scan` first.
    """

    at: Moment
    gate: str
    scan: str = ""


Name = Annotated[str, msgspec.Meta(max_length=64)]
"""An id, a hash, what a gate or a numbering is called."""
Words = Annotated[str, msgspec.Meta(max_length=200)]
"""What somebody said of an order."""

IsolationPolicy = Literal["admit", "home_gate", "deny"]
"""What becomes of a one-time ticket at a gate that cannot ask (domain 2.3, situation 3)."""


class Event(Value, frozen=True, tag="event", tag_field="t"):
    """One night. `served`: this gate admits to it; other nights are known by name only.

    `homes`: for the policy ``home_gate`` the gates among which its tickets are divided, once that is
    final; empty before. `retired`: those of them that are out for the night; their tickets are divided
    among the others.
    """

    event_id: str
    code: str
    name: str
    doors_open_at: Moment
    ends_at: Moment
    status: Literal["scheduled", "completed", "cancelled"] = "scheduled"
    capacity: int = 0
    served: bool = True
    isolation: IsolationPolicy = "admit"
    homes: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()


class Table(Value, frozen=True, tag="table", tag_field="t"):
    """A reserved VIP table of one night, with who is expected and how many are in."""

    reservation_id: str
    event_id: str
    number: str
    name: str
    tier: str
    status: ReservationStatus
    host: str = ""
    seats: int = 0
    arrived: int = 0
    guests: tuple[str, ...] = ()


class Admission(Value, frozen=True, tag="admission", tag_field="t"):
    """What the cache knows of one code. `signature_hash`: SHA-256 hex of the printed HMAC."""

    code_hash: str
    subject_id: str
    event_id: str
    kind: Kind
    status: Status
    ticket_type: str = ""
    holder: str = ""
    reservation_id: str | None = None
    guest_number: int | None = None
    signature_hash: str | None = None
    first_entry: Entry | None = None
    last_entry: Entry | None = None


class Removed(Value, frozen=True, tag="removed", tag_field="t"):
    """A code that no longer exists in this event; it may have moved to another."""

    code_hash: str
    event_id: str


FeedRow = Event | Table | Admission | Removed
"""One row of a snapshot or a delta (protocol 4.2, 4.4)."""


class History(Value, frozen=True):
    """Admissions of one code this gate knows of, from cache, own journal and peers together."""

    first: Entry | None = None
    last: Entry | None = None


class Verdict(Value, frozen=True):
    """The answer to one scan, with all the screen and the record need.

    `line` is the number of the line in the decision table (domain 2.3) that applied.
    `entry` is the earlier entry the answer refers to: the first for ``already_used``,
    the last for ``reentry``. `event` is the event the ticket is for, where known. `other_gate`: the
    id of the gate that may admit this ticket, of the reason ``other_gate``.
    """

    ruling: Ruling
    reason: Reason
    line: int
    kind: Kind = Kind.UNKNOWN
    flags: tuple[Flag, ...] = ()
    subject_id: str | None = None
    event: Event | None = None
    table: Table | None = None
    ticket_type: str = ""
    holder: str = ""
    guest_number: int | None = None
    entry: Entry | None = None
    other_gate: str = ""

    @property
    def admits(self) -> bool:
        """Whether the turnstile is to be released."""
        return self.ruling is Ruling.ADMIT


class Now(Value, frozen=True):
    """One reading of the gate's clocks.

    `monotonic_ms` counts since boot and never jumps; `clock` says whether `wall` has been
    confirmed against the hub (protocol 4.3).
    """

    wall: Moment
    monotonic_ms: int
    boot_id: str
    clock: Literal["synced", "untrusted"] = "untrusted"
    offset_ms: int | None = None
    uncertainty_ms: int | None = None


class Heard(Value, frozen=True):
    """What a gate had heard of another: every record of this epoch from `first` to `last`, both included."""

    gate: Name
    epoch: Name
    first: int
    last: int


class ScanRecord(Value, frozen=True):
    """One row of the journal and one message to the hub: protocol 4.3, field by field.

    `record` tells a scan from what is later said of it (``passed``, ``annulled``), which
    names the scan in `refers_to`, and from an ``event`` that no scan caused (a fire alarm,
    guessing); these have the ruling `NONE` and say why in `reason`. `raw_hash` is the SHA-256
    hex of the bytes presented, also when they were no code of ours. `line`: as in `Verdict`; the wire and
    the journal call it ``rule``. `released`: the verdict
    commands the turnstile. `heard`: of a first entry of a one-time ticket, what this gate knew of the
    others by then (quality 7.1, invariant 7). `actor`, `note`: who ordered it, and why, in their words.

    Texts are bounded when one is read, from the journal or the wire: so a batch has a largest size.
    """

    scan_id: Name
    gate_id: Name
    epoch: Name
    seq: int
    boot_id: Name
    occurred_at: Moment
    monotonic_ms: int
    verdict: Ruling
    reason: RecordReason
    line: int = msgspec.field(name="rule")
    kind: Kind
    clock: Literal["synced", "untrusted"] = "untrusted"
    clock_offset_ms: int | None = None
    clock_uncertainty_ms: int | None = None
    event_id: Name | None = None
    subject_id: Name | None = None
    code_hash: Name | None = None
    raw_hash: Name | None = None
    flags: Annotated[tuple[Flag, ...], msgspec.Meta(max_length=32)] = ()
    scan_method: Literal["camera", "scanner", "manual", "staff"] = "camera"
    cache_version: int | None = None
    cache_age_s: int | None = None
    released: bool = False
    record: Literal["scan", "passed", "annulled", "event"] = "scan"
    refers_to: Name | None = None
    heard: Annotated[tuple[Heard, ...], msgspec.Meta(max_length=64)] = ()
    actor: Words = ""
    note: Words = ""

    def __post_init__(self) -> None:
        """Raises `ValueError` for a reason that is neither a `Reason` nor an `EventKind`."""
        if type(self.reason) is str:
            if self.reason not in _RECORD_REASONS:
                raise ValueError(f"Invalid enum value {self.reason!r} of the reason")
            msgspec.structs.force_setattr(self, "reason", _RECORD_REASONS[self.reason])
