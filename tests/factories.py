"""Values for tests, valid unless a test says otherwise: `an_admission(status=Status.REFUNDED)`."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from stdnum.iso7064 import mod_37_36

from gate.rules.decide import Question
from gate.rules.model import (
    Admission,
    Event,
    Kind,
    Measure,
    Now,
    Reason,
    ReservationStatus,
    Ruling,
    ScanRecord,
    Status,
    Table,
)
from gate.rules.payload import Code, Malformed, code_hash, parse

DOORS = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
NOW = DOORS + timedelta(hours=1)


def code_id(number: int = 1, event: str = "PF", date: str = "20261120") -> str:
    """A well-formed ticket id with its check character."""
    body = f"{number:016d}"
    return f"MGY-{event}-{date}-{body}{mod_37_36.calc_check_digit(f'MGY{event}{date}{body}')}"


def pass_id(number: int = 1) -> str:
    """A well-formed guest pass token with its check character."""
    body = f"{number:016d}"
    return f"VIP-PASS-{body}{mod_37_36.calc_check_digit(f'VIPPASS{body}')}"


def a_code(text: str | None = None) -> Code:
    """A code of ours, parsed."""
    code = parse((text or code_id()).encode())
    assert not isinstance(code, Malformed), code
    return code


def an_event(**changes: Any) -> Event:
    return msgspec.structs.replace(
        Event(
            event_id="event-1",
            code="PF",
            name="Perreo Fridays",
            doors_open_at=DOORS,
            ends_at=DOORS + timedelta(hours=8),
            capacity=500,
        ),
        **changes,
    )


def a_table(**changes: Any) -> Table:
    return msgspec.structs.replace(
        Table(
            reservation_id="reservation-1",
            event_id="event-1",
            number="12",
            name="Terraza Norte",
            tier="premium",
            status=ReservationStatus.CONFIRMED,
            host="Ana Pérez",
            seats=8,
        ),
        **changes,
    )


def an_admission(code: str | None = None, **changes: Any) -> Admission:
    return msgspec.structs.replace(
        Admission(
            code_hash=code_hash(code or code_id()),
            subject_id="ticket-1",
            event_id="event-1",
            kind=Kind.GA,
            status=Status.ISSUED,
            ticket_type="General",
        ),
        **changes,
    )


def a_question(**changes: Any) -> Question:
    """A known, unused GA ticket, in hours."""
    return msgspec.structs.replace(
        Question(
            presented=a_code(),
            now=NOW,
            event=an_event(),
            admission=an_admission(),
            ticket_event=an_event(),
        ),
        **changes,
    )


def a_record(seq: int = 1, **changes: Any) -> ScanRecord:
    """A first entry of a GA ticket at gate-1."""
    return msgspec.structs.replace(
        ScanRecord(
            scan_id=str(uuid.UUID(int=seq)),
            gate_id="gate-1",
            epoch="epoch-1",
            seq=seq,
            boot_id="boot-1",
            occurred_at=NOW,
            monotonic_ms=1000 + seq,
            verdict=Ruling.ADMIT,
            reason=Reason.FIRST_ENTRY,
            line=11,
            kind=Kind.GA,
            event_id="event-1",
            subject_id="ticket-1",
            code_hash=code_hash(code_id()),
            released=True,
        ),
        **changes,
    )


class StoppedClock:
    """A clock that stands until it is moved: a working `gate.clock.Clock` not yet told the time.

    `synced`: the hub vouches for it.
    """

    def __init__(self, wall: datetime = NOW, *, synced: bool = False) -> None:
        self.wall = wall
        self.monotonic_ms = 1_000_000
        self.boot_id = "boot-1"
        self.synced = synced

    def now(self) -> Now:
        now = Now(wall=self.wall, monotonic_ms=self.monotonic_ms, boot_id=self.boot_id)
        if not self.synced:
            return now
        return msgspec.structs.replace(now, clock="synced", offset_ms=0, uncertainty_ms=5)

    def learn(self, measure: Measure | None) -> None:
        """Ignored: the clock goes by what the test says."""

    def forward(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic_ms += int(seconds * 1000)

    def reboot(self) -> None:
        """A new boot, in which the hub has not told the time yet."""
        self.boot_id, self.monotonic_ms, self.synced = "boot-2", 5_000, False
