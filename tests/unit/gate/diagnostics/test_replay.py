"""A recorded night decided again: nothing differs unless something has changed since."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from gate.common.errors import CallError, StoreError
from gate.diagnostics.recorded_night import replay_night
from gate.diagnostics.replay import replay
from gate.rules.decide import Policy
from gate.rules.model import (
    Admission,
    Entry,
    EventKind,
    FeedRow,
    Flag,
    Kind,
    Reason,
    Removed,
    ReservationStatus,
    ScanRecord,
    Status,
)
from gate.rules.payload import code_hash
from gate.store.cache import Known
from tests.factories import (
    DOORS,
    NOW,
    a_record,
    a_table,
    an_admission,
    an_event,
    code_id,
)
from tests.nights import GA, REFUNDED, SPOILED, UNKNOWN, Night, guests


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    night = Night(tmp_path)
    night.play()
    yield night
    night.close()


def test_an_unchanged_night_gives_no_difference(night: Night) -> None:
    replayed = night.replayed()
    assert (replayed.scans, replayed.skipped, replayed.differences) == (20, 0, ())


def test_entries_the_hub_has_counted_since_change_nothing(night: Night) -> None:
    """The hub reports this gate's own admissions with corrected times."""
    entered = [Entry(at=NOW.replace(minute=1), gate="gate-1"), Entry(at=NOW.replace(minute=2), gate="gate-1")]
    rows = [row for row in guests() if isinstance(row, Admission) and row.status is Status.ISSUED]
    night.change(
        *(
            msgspec.structs.replace(
                row, status=Status.CHECKED_IN, first_entry=entered[0], last_entry=entered[1]
            )
            for row in rows
        )
    )
    assert night.differences() == ()


@pytest.mark.parametrize("fast_s", [1, 5, 3600])
def test_entries_corrected_to_before_the_journal_began_change_nothing(night: Night, fast_s: int) -> None:
    """If the gate's clock was fast, the hub's times of first entries precede the first record."""
    (first,) = [record for record in _of_code(night, code_id(GA)) if record.reason is Reason.FIRST_ENTRY]
    corrected = Entry(at=first.occurred_at - timedelta(seconds=fast_s), gate="gate-1")
    night.change(
        an_admission(
            code_id(GA),
            subject_id="ga",
            status=Status.CHECKED_IN,
            first_entry=corrected,
            last_entry=corrected,
        )
    )
    assert night.differences() == ()


def test_an_entry_from_before_the_journal_counts_for_the_scans_in_it(night: Night) -> None:
    """After a gate's card was replaced, only the hub knows its earlier entries."""
    night.journal._db.execute("delete from scans where seq <= 7")
    first = Entry(at=NOW, gate="gate-1")
    night.change(
        an_admission(
            code_id(GA), subject_id="ga", status=Status.CHECKED_IN, first_entry=first, last_entry=first
        )
    )
    again = {code_hash(code_id(GA))[:12]}
    assert [one for one in night.differences() if one.code in again] == []


def test_a_later_entry_at_another_gate_changes_nothing(night: Night) -> None:
    later = night.clock.wall
    night.hub.peers.put(
        [a_record(90, gate_id="gate-2", code_hash=code_hash(code_id(REFUNDED)), occurred_at=later)]
    )
    assert night.differences() == ()


def test_a_refund_since_then_is_one_difference_for_each_scan_it_changes(night: Night) -> None:
    night.change(an_admission(code_id(REFUNDED), subject_id="later refunded", status=Status.REFUNDED))
    first, again = night.differences()
    assert (first.was.reason, first.would_be.reason) == (Reason.FIRST_ENTRY, Reason.REFUNDED)
    assert (again.was.reason, again.would_be.reason) == (Reason.ALREADY_USED, Reason.REFUNDED)
    assert first.seq == 3
    assert first.why == "It has been refunded since."
    assert first.code == code_hash(code_id(REFUNDED))[:12]


CHANGES: list[tuple[FeedRow, Reason, Reason, str]] = [
    (
        an_admission(code_id(UNKNOWN), subject_id="late"),
        Reason.UNKNOWN,
        Reason.FIRST_ENTRY,
        "It came into the cache after the scan.",
    ),
    (
        Removed(code_hash=code_hash(code_id(GA)), event_id="event-1"),
        Reason.FIRST_ENTRY,
        Reason.UNKNOWN,
        "The cache no longer knows it.",
    ),
    (
        a_table(status=ReservationStatus.CANCELLED),
        Reason.FIRST_ENTRY,
        Reason.TABLE_NOT_CONFIRMED,
        "Its table is no longer confirmed.",
    ),
    (
        an_admission(code_id(SPOILED), subject_id="cancelled"),
        Reason.CANCELLED,
        Reason.FIRST_ENTRY,
        "It is good again.",
    ),
    (
        an_event(status="cancelled"),
        Reason.FIRST_ENTRY,
        Reason.EVENT_CANCELLED,
        "The night has been cancelled since.",
    ),
    (
        an_event(doors_open_at=DOORS.replace(hour=23, minute=30)),
        Reason.FIRST_ENTRY,
        Reason.TOO_EARLY,
        "The night's hours were changed.",
    ),
    (
        an_admission(code_id(GA), subject_id="ga", kind=Kind.VIP_LINKED, reservation_id="reservation-1"),
        Reason.FIRST_ENTRY,
        Reason.FIRST_ENTRY,
        "It has been linked to a table since, or removed from it, or the table was paid.",
    ),
]


@pytest.mark.parametrize(("row", "was", "would_be", "why"), CHANGES)
def test_each_difference_is_reported_with_its_likely_cause(
    night: Night, row: FeedRow, was: Reason, would_be: Reason, why: str
) -> None:
    night.change(row)
    told = [(one.was.reason, one.would_be.reason, one.why) for one in night.differences()]
    assert (was, would_be, why) in told


def test_an_earlier_entry_at_another_gate_that_became_known_since_is_named(night: Night) -> None:
    night.hub.peers.put([a_record(90, gate_id="gate-2", code_hash=code_hash(code_id(GA)), occurred_at=NOW)])
    (one,) = night.differences()
    assert (one.seq, one.would_be.reason) == (1, Reason.ALREADY_USED)
    assert "gate-2" in one.why


def test_without_its_annulment_the_second_scan_would_be_refused(night: Night) -> None:
    """The history comes from the journal: scan, annulment, scan, in that order."""
    reasons = [record.reason for record in _of_code(night, code_id(20))]
    assert reasons == [Reason.FIRST_ENTRY, EventKind.EXPIRED, Reason.FIRST_ENTRY, Reason.ALREADY_USED]
    night.journal._db.execute("delete from scans where record = 'annulled'")
    (one,) = night.differences()
    assert (one.was.reason, one.would_be.reason) == (Reason.FIRST_ENTRY, Reason.ALREADY_USED)


def _of_code(night: Night, text: str) -> list[ScanRecord]:
    from gate.store.rows import COLUMNS, from_row

    rows = night.journal._db.execute(f"select {', '.join(COLUMNS)} from scans order by seq")
    return [one for one in map(from_row, rows) if one.code_hash == code_hash(text)]


def test_refusals_of_a_locked_gate_are_not_decided_again(night: Night) -> None:
    assert Flag.LOCKED in night.scan(code_id(30), locked=True).flags
    replayed = night.replayed()
    assert (replayed.skipped, replayed.differences) == (1, ())


def test_one_event_alone_can_be_replayed(night: Night) -> None:
    assert night.replayed("event-1").scans == 20
    with pytest.raises(CallError, match="no night 'event-9'"):
        night.replayed("event-9")


def test_replaying_writes_nothing(night: Night) -> None:
    before = {path.name: path.read_bytes() for path in Path(night.config.state_dir).glob("*.db")}
    night.differences()
    assert {path.name: path.read_bytes() for path in Path(night.config.state_dir).glob("*.db")} == before


def test_a_file_that_is_not_a_journal_is_refused_in_words(night: Night, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with pytest.raises(StoreError, match="there is no journal"):
        replay_night(night.config, other)
    other.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="Is it a whole journal"):
        replay_night(night.config, other)


def test_a_signed_ticket_the_cache_never_knew_belongs_to_the_night_in_its_record() -> None:
    """Even if several nights were open at once: the journal says which one."""
    matinee = an_event(event_id="event-0", code="MAT", doors_open_at=DOORS - timedelta(hours=4))
    recorded = [
        a_record(
            seq,
            event_id=event.event_id,
            kind=Kind.UNKNOWN,
            subject_id=None,
            code_hash=code_hash(code_id(seq)),
            line=6,
            flags=(Flag.UNSYNCED,),
        )
        for seq, event in enumerate((matinee, an_event()), start=1)
    ]
    replayed = replay(recorded, lambda _hash: Known(), (an_event(), matinee), Policy())
    assert (replayed.scans, replayed.differences) == (2, ())
