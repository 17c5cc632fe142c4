"""A recorded night decided again: nothing differs unless something was changed since."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from gate.cache import CacheReader
from gate.config import GateFile, HubSection
from gate.decide import Policy
from gate.desk import Desk
from gate.errors import StoreError
from gate.journal import Journal
from gate.model import (
    Admission,
    Entry,
    Event,
    FeedRow,
    Flag,
    Kind,
    Reason,
    Removed,
    ReservationStatus,
    ScanRecord,
    Status,
)
from gate.passage import Outcome
from gate.payload import code_hash, parse
from gate.presence import Presented
from gate.recorded import replay_night
from gate.records import record_of
from gate.replay import Difference, Replayed
from sync.cache import Cache
from sync.wire import Change, GateConfig
from tests.factories import (
    DOORS,
    NOW,
    StoppedClock,
    a_record,
    a_table,
    an_admission,
    an_event,
    code_id,
    pass_id,
)

GA, SPOILED, REFUNDED, HOST, GUEST, LINKED, OTHER_NIGHT, UNKNOWN = range(1, 9)
SATURDAY = an_event(event_id="event-2", code="PS", name="Perreo Saturdays", served=False)


class Night:
    """A gate with real files on which an evening is played and then changed."""

    def __init__(self, folder: Path) -> None:
        self.clock = StoppedClock()
        self.config = GateFile(
            gate_id="gate-1",
            venue="maguey",
            state_dir=str(folder),
            hub=HubSection(url="http://hub", token_file=""),
        )
        self.hub = Cache(self.config.cache)
        self.version = 1
        self.tell(an_event(), SATURDAY)
        self.hub.put_snapshot("event-1", 1, list(_guests()), NOW)
        elsewhere = an_admission(code_id(OTHER_NIGHT), event_id="event-2")
        self.hub.put_snapshot("event-2", 1, [elsewhere], NOW)
        self.journal = Journal(self.config.journal, "gate-1", "epoch-1")
        self.cache = CacheReader(self.config.cache)

    def tell(self, *events: Event) -> None:
        self.hub.put_config(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=events))

    def change(self, *rows: FeedRow) -> None:
        for row in rows:
            self.version += 1
            self.hub.put_changes(row.event_id, [Change(version=self.version, row=row)], NOW)

    def scan(self, text: str, *, locked: bool = False) -> ScanRecord:
        self.clock.forward(10)
        desk = Desk(
            gate_id="gate-1",
            journal=self.journal,
            cache=self.cache,
            clock=self.clock,
            random=os.urandom,
            policy=Policy(),
            keys={},
            isolated_after=10.0,
        )
        answered = desk.answer(Presented(parse(text.encode()), text.encode()), locked=locked)
        assert answered.record is not None
        return answered.record

    def annul(self, scan: ScanRecord) -> None:
        self.clock.forward(8)
        outcome = Outcome(record="annulled", reason=Reason.EXPIRED, scan=scan)
        with self.journal.turn() as turn:
            turn.append(record_of(outcome, self.clock.now(), f"annulled-{scan.seq}", "gate-1"))

    def play(self) -> None:
        """An evening with every kind of guest, and an annulment between two scans of one ticket."""
        misread = code_id(UNKNOWN)[:-1] + ("A" if code_id(UNKNOWN)[-1] != "A" else "B")
        for text in (
            *_tickets(),
            "https://example.org",
            code_id(UNKNOWN),
            misread,
            *_tickets(),
        ):
            self.scan(text)
        self.annul(self.scan(code_id(20)))
        self.scan(code_id(20))
        self.scan(code_id(20))

    def replayed(self, event_id: str | None = None) -> Replayed:
        return replay_night(self.config, self.config.journal, event_id)

    def differences(self) -> Sequence[Difference]:
        return self.replayed().differences

    def close(self) -> None:
        for part in (self.hub, self.journal, self.cache):
            part.close()


def _tickets() -> list[str]:
    passes = [pass_id(GUEST)]
    return [*(code_id(number) for number in (GA, SPOILED, REFUNDED, HOST, LINKED, OTHER_NIGHT)), *passes]


def _guests() -> Iterator[FeedRow]:
    yield a_table()
    yield an_admission(code_id(GA), subject_id="ga")
    yield an_admission(code_id(SPOILED), subject_id="cancelled", status=Status.CANCELLED)
    yield an_admission(code_id(REFUNDED), subject_id="later refunded")
    yield an_admission(code_id(20), subject_id="annulled")
    for kind, text in (
        (Kind.VIP_HOST, code_id(HOST)),
        (Kind.VIP_PASS, pass_id(GUEST)),
        (Kind.VIP_LINKED, code_id(LINKED)),
    ):
        yield an_admission(text, subject_id=kind.value, kind=kind, reservation_id="reservation-1")


@pytest.fixture
def night(tmp_path: Path) -> Iterator[Night]:
    night = Night(tmp_path)
    night.play()
    yield night
    night.close()


def test_an_unchanged_night_gives_no_difference(night: Night) -> None:
    replayed = night.replayed()
    assert (replayed.scans, replayed.skipped, replayed.differences) == (20, 0, ())


def test_what_the_hub_counted_since_changes_nothing(night: Night) -> None:
    """The hub tells of this gate's own admissions with a time it has corrected."""
    entered = [Entry(at=NOW.replace(minute=1), gate="gate-1"), Entry(at=NOW.replace(minute=2), gate="gate-1")]
    rows = [row for row in _guests() if isinstance(row, Admission) and row.status is Status.ISSUED]
    night.change(
        *(
            msgspec.structs.replace(
                row, status=Status.CHECKED_IN, first_entry=entered[0], last_entry=entered[1]
            )
            for row in rows
        )
    )
    assert night.differences() == ()


def test_a_later_entry_at_another_gate_changes_nothing(night: Night) -> None:
    later = night.clock.wall
    night.hub.put_peers(
        [a_record(90, gate_id="gate-2", code_hash=code_hash(code_id(REFUNDED)), occurred_at=later)]
    )
    assert night.differences() == ()


def test_a_refund_since_then_is_one_difference_for_each_scan_it_changes(night: Night) -> None:
    night.change(an_admission(code_id(REFUNDED), subject_id="later refunded", status=Status.REFUNDED))
    first, again = night.differences()
    assert (first.was.reason, first.would_be.reason) == (Reason.FIRST_ENTRY, Reason.REFUNDED)
    assert (again.was.reason, again.would_be.reason) == (Reason.ALREADY_USED, Reason.REFUNDED)
    assert first.seq == 3
    assert first.why == "It was refunded since."
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
        "The cache does not know it any more.",
    ),
    (
        a_table(status=ReservationStatus.CANCELLED),
        Reason.FIRST_ENTRY,
        Reason.TABLE_NOT_CONFIRMED,
        "Its table is not confirmed any more.",
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
        "The night was cancelled since.",
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
        "It was linked to a table since, or taken from it, or the table was paid.",
    ),
]


@pytest.mark.parametrize(("row", "was", "would_be", "why"), CHANGES)
def test_each_change_since_is_told_with_its_likely_cause(
    night: Night, row: FeedRow, was: Reason, would_be: Reason, why: str
) -> None:
    night.change(row)
    told = [(one.was.reason, one.would_be.reason, one.why) for one in night.differences()]
    assert (was, would_be, why) in told


def test_an_earlier_entry_elsewhere_that_became_known_since_is_named(night: Night) -> None:
    night.hub.put_peers([a_record(90, gate_id="gate-2", code_hash=code_hash(code_id(GA)), occurred_at=NOW)])
    (one,) = night.differences()
    assert (one.seq, one.would_be.reason) == (1, Reason.ALREADY_USED)
    assert "gate-2" in one.why


def test_without_its_annulment_the_second_scan_would_be_refused(night: Night) -> None:
    """The past comes from the journal: scan, annulment, scan, in that order."""
    reasons = [record.reason for record in _of_code(night, code_id(20))]
    assert reasons == [Reason.FIRST_ENTRY, Reason.EXPIRED, Reason.FIRST_ENTRY, Reason.ALREADY_USED]
    night.journal._db.execute("delete from scans where record = 'annulled'")
    (one,) = night.differences()
    assert (one.was.reason, one.would_be.reason) == (Reason.FIRST_ENTRY, Reason.ALREADY_USED)


def _of_code(night: Night, text: str) -> list[ScanRecord]:
    from gate.rows import COLUMNS, from_row

    rows = night.journal._db.execute(f"select {', '.join(COLUMNS)} from scans order by seq")
    return [one for one in map(from_row, rows) if one.code_hash == code_hash(text)]


def test_what_a_locked_gate_refused_is_not_judged_again(night: Night) -> None:
    assert Flag.LOCKED in night.scan(code_id(30), locked=True).flags
    replayed = night.replayed()
    assert (replayed.skipped, replayed.differences) == (1, ())


def test_one_event_alone_can_be_asked_for(night: Night) -> None:
    assert night.replayed("event-1").scans == 20
    assert night.replayed("event-9").scans == 0


def test_nothing_is_written(night: Night) -> None:
    before = {path.name: path.read_bytes() for path in Path(night.config.state_dir).glob("*.db")}
    night.differences()
    assert {path.name: path.read_bytes() for path in Path(night.config.state_dir).glob("*.db")} == before


def test_a_file_that_is_no_journal_is_told_in_words(night: Night, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with pytest.raises(StoreError, match="there is no journal"):
        replay_night(night.config, other)
    other.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="Is it a journal"):
        replay_night(night.config, other)
