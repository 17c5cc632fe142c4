"""The terms of the domain as values: frozen, typed, the same on the Pi, on the wire and at the hub.

Source: docs/domain.md, sections 2.1 to 2.3; for the scan record, protocol section 4.3. Times are aware
datetimes in UTC. Ids are UUIDs as text. A ticket's secret never appears here: `code_hash` is the SHA-256 of
the code, in lower-case hex.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from gate.common.value import Value


class Measure(Value, frozen=True):
    """One measurement of the hub's clock: at `monotonic_ms` of the boot `boot_id` it said `hub_ms`.

    `hub_ms`: milliseconds since 1970, UTC. `uncertainty_ms`: half the round trip, the most by which it can be
    wrong; that grows with the time since (`sync.claims.hub_clock`).
    """

    boot_id: str
    monotonic_ms: int
    hub_ms: int
    uncertainty_ms: int


Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset from UTC; a time without one is refused when it is read."""


class Kind(StrEnum):
    """What kind of guest a code is for."""

    GA = "ga"
    VIP_HOST = "vip_host"
    VIP_PASS = "vip_pass"
    VIP_LINKED = "vip_linked"
    UNKNOWN = "unknown"


class Status(StrEnum):
    """Life of a ticket or pass: ``issued → checked_in``, or cancelled or refunded."""

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
    """What the door does. `NONE`: nothing was decided; the guest is asked to try again."""

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
    RecordReason = str  # msgspec allows one enum of strings per field, so `ScanRecord` tells the two apart

_RECORD_REASONS = {str(word): word for words in (Reason, EventKind) for word in words}


class Flag(StrEnum):
    """Circumstances of an admission that somebody may want to look at later.

    `UNCLAIMED`: a first entry of a one-time ticket without the hub's grant, because the hub did not answer in
    time. `STALE`: the list was known to be behind the hub's, whether the hub answered or not.
    `FORCED`: staff let in a guest whom the gate had refused. No order does that yet: `release` moves the
    turnstile for nobody's ticket and is an event without flags. Gates and hub already understand the word.
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

    `scan`: the id of its record, if there is one. Compare entries by `scan` first, because the hub may
    correct `at` once it knows the boot's clock.
    """

    at: Moment
    gate: str
    scan: str = ""


Name = Annotated[str, msgspec.Meta(max_length=64)]
"""An id, a hash, or the name of a gate or an epoch."""
Words = Annotated[str, msgspec.Meta(max_length=200)]
"""What somebody wrote about an order."""

IsolationPolicy = Literal["admit", "home_gate", "deny"]
"""What a gate that cannot ask the hub does with a one-time ticket (domain 2.3, situation 3)."""


class Event(Value, frozen=True, tag="event", tag_field="t"):
    """One night. `served`: this gate admits guests to it; of other nights it knows only the name.

    `homes`: for the policy ``home_gate`` the gates among which the tickets are divided, once that is final;
    empty before. `retired`: those of them that are out for the night, so the others share their tickets.
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
    """A reserved VIP table of one night: who is expected, and how many have arrived."""

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
    """What the cache knows about one code. `signature_hash`: SHA-256 hex of the printed HMAC."""

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
    """A code that is no longer of this event; it may have moved to another."""

    code_hash: str
    event_id: str


FeedRow = Event | Table | Admission | Removed
"""One row of a snapshot or a delta (protocol 4.2, 4.4)."""


class History(Value, frozen=True):
    """The admissions of one code that this gate knows of, from cache, own journal and peers together."""

    first: Entry | None = None
    last: Entry | None = None


class Verdict(Value, frozen=True):
    """The answer to one scan, with everything the screen and the record need.

    `line`: the number of the line in the decision table (domain 2.3) that applied. `entry`: the earlier
    entry that the answer refers to, the first for ``already_used`` and the last for ``reentry``. `event`:
    the event the ticket is for, if known. `other_gate`: for the reason ``other_gate``, the id of the gate
    that may admit this ticket.
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
        """Whether to release the turnstile."""
        return self.ruling is Ruling.ADMIT


class Now(Value, frozen=True):
    """One reading of the gate's clocks.

    `monotonic_ms`: since boot; it never jumps. `clock`: whether `wall` was confirmed against the hub
    (protocol 4.3).
    """

    wall: Moment
    monotonic_ms: int
    boot_id: str
    clock: Literal["synced", "untrusted"] = "untrusted"
    offset_ms: int | None = None
    uncertainty_ms: int | None = None


class Heard(Value, frozen=True):
    """What one gate had heard of another: every record of this epoch from `first` to `last`, inclusive."""

    gate: Name
    epoch: Name
    first: int
    last: int


class ScanRecord(Value, frozen=True):
    """One row of the journal and one message to the hub: protocol 4.3, field by field.

    `record`: a scan; or what happened to it later (``passed``, ``annulled``), with the scan's id in
    `refers_to`; or an ``event`` that no scan caused (a fire alarm, guessing). The last three have the ruling
    `NONE` and an `EventKind` as `reason`. `line`: as in `Verdict`; the wire and the journal call it
    ``rule``. `raw_hash`: the SHA-256 hex of the bytes presented, even if they were not a code of ours.
    `released`: the verdict commands the turnstile. `heard`: for the first entry of a one-time ticket, what
    this gate had heard of the others (quality 7.1, invariant 7). `actor`, `note`: who ordered it, and why,
    in their words.

    The length of texts is checked when a record is read from the journal or the wire, so the size of a batch
    has a limit.
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
