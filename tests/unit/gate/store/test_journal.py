"""The journal: data model 3.2."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gate.common.errors import StoreError
from gate.rules.model import Entry, EventKind, Flag, Now, Reason, Ruling, ScanRecord
from gate.store.file_errors import DamagedError
from gate.store.journal import Journal, Past
from gate.store.rows import COLUMNS, from_row, to_row
from tests.factories import NOW, a_record

HASH = a_record().code_hash or ""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db", "gate-1", "epoch-1")


def write(journal: Journal, **changes: Any) -> ScanRecord:
    with journal.turn() as turn:
        return turn.append(a_record(**{"scan_id": f"scan-{journal.last_seq()}", **changes}))


def tidy(journal: Journal, acked_seq: int, older_than: datetime) -> int:
    """As after a reboot, when only the wall clock says how old a row is."""
    return journal.tidy(acked_seq, older_than, Now(wall=NOW, monotonic_ms=0, boot_id="boot-2"))


def rows(path: Path) -> list[ScanRecord]:
    with sqlite3.connect(path) as db:
        return [from_row(row) for row in db.execute(f"select {', '.join(COLUMNS)} from scans order by seq")]


def test_numbers_are_gapless_from_one(journal: Journal) -> None:
    assert [write(journal).seq for _ in range(5)] == [1, 2, 3, 4, 5]


def test_a_record_is_read_back_unaltered(journal: Journal) -> None:
    written = write(journal, flags=(Flag.ISOLATED, Flag.UNSYNCED), released=False, cache_version=7)
    assert rows(journal.path) == [written]


def test_the_table_has_a_column_for_every_field_of_a_record(journal: Journal) -> None:
    with sqlite3.connect(journal.path) as db:
        columns = [row[1] for row in db.execute("pragma table_info(scans)")]
    assert tuple(columns) == COLUMNS
    assert len(to_row(a_record())) == len(COLUMNS)


def test_a_turn_that_fails_writes_nothing_and_its_number_is_used_again(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError), journal.turn() as turn:
        turn.append(a_record())
        raise ZeroDivisionError
    assert rows(journal.path) == []
    assert write(journal).seq == 1


def test_every_commit_is_flushed_to_the_disk(journal: Journal) -> None:
    """2 is FULL: no other setting keeps the last commit through a power cut (quality 7.1)."""
    assert journal._db.execute("pragma synchronous").fetchone() == (2,)
    assert journal._db.execute("pragma journal_mode").fetchone() == ("wal",)


def test_the_epoch_and_the_numbers_go_on_after_a_restart(journal: Journal) -> None:
    write(journal)
    journal.close()
    again = Journal(journal.path, "gate-1", "another-epoch")
    assert again.epoch == "epoch-1"
    assert write(again).seq == 2


def test_a_journal_of_another_gate_is_refused_in_words(journal: Journal) -> None:
    journal.close()
    with pytest.raises(StoreError, match=r"belongs to gate 'gate-1', this one is 'gate-9'"):
        Journal(journal.path, "gate-9", "epoch-1")


def test_a_file_that_is_not_a_journal_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="nobody is admitted"):
        Journal(path, "gate-1", "epoch-1")
    assert path.read_bytes() == b"this is not a database" * 100


def test_only_admissions_that_were_not_annulled_are_entries(journal: Journal) -> None:
    first = write(journal, occurred_at=NOW)
    write(journal, verdict=Ruling.DENY, reason=Reason.ALREADY_USED)
    second = write(journal, occurred_at=NOW + timedelta(minutes=5))
    write(journal, record="annulled", refers_to=first.scan_id)
    with journal.turn() as turn:
        past = turn.past(HASH)
        assert past.entries == (Entry(at=second.occurred_at, gate="gate-1", scan=second.scan_id),)
        assert past.annulled == (Entry(at=first.occurred_at, gate="gate-1", scan=first.scan_id),)
        assert turn.past("another") == Past()
        assert turn.admitted([HASH, "another"]) == 1


def test_only_rows_the_hub_has_and_that_are_old_enough_are_pruned(journal: Journal) -> None:
    for day in range(4):
        write(journal, occurred_at=NOW + timedelta(days=day))
    assert tidy(journal, acked_seq=2, older_than=NOW + timedelta(days=10)) == 2
    assert [row.seq for row in rows(journal.path)] == [3, 4]
    assert tidy(journal, acked_seq=4, older_than=NOW) == 0
    assert write(journal).seq == 5


def test_staffs_last_order_and_the_rows_after_it_are_kept_while_it_holds(journal: Journal) -> None:
    """The rows before it are pruned and those after it are not, so that there is no gap."""
    later = NOW + timedelta(days=1)
    for reason in (EventKind.HELD_OPEN, EventKind.CLOSED, EventKind.TAMPER):
        write(journal, record="event", reason=reason)
    assert tidy(journal, 3, later) == 1
    written = journal._db.total_changes
    assert tidy(journal, 3, later) == 0
    assert journal._db.total_changes == written  # no needless commit every few seconds for weeks
    assert [row.reason for row in rows(journal.path)] == [EventKind.CLOSED, EventKind.TAMPER]
    write(journal, record="event", reason=EventKind.RESUMED)
    assert tidy(journal, 4, later) == 3
    assert rows(journal.path) == []


def test_a_clock_that_jumps_ahead_prunes_nothing_of_this_boot(journal: Journal) -> None:
    write(journal)
    jumped = Now(wall=NOW + timedelta(days=400), monotonic_ms=60_000, boot_id="boot-1")
    assert journal.tidy(1, NOW + timedelta(days=370), jumped) == 0
    a_month_later = Now(wall=jumped.wall, monotonic_ms=31 * 86_400_000, boot_id="boot-1")
    assert journal.tidy(1, NOW + timedelta(days=370), a_month_later) == 1


def test_a_journal_deleted_under_the_door_takes_no_scan(journal: Journal) -> None:
    write(journal)
    journal.path.unlink()
    with pytest.raises(StoreError, match="moved or deleted"):
        write(journal)


def test_numbers_go_on_though_every_row_was_pruned(journal: Journal) -> None:
    write(journal)
    tidy(journal, acked_seq=1, older_than=NOW + timedelta(days=1))
    assert rows(journal.path) == []
    assert write(journal).seq == 2


def test_first_entries_the_hub_does_not_have_yet_are_counted(journal: Journal) -> None:
    write(journal)
    write(journal, code_hash="b")
    write(journal, code_hash="b", reason=Reason.REENTRY)
    write(journal, code_hash="c", verdict=Ruling.DENY, reason=Reason.UNKNOWN)
    assert journal.waiting_entries(0, "event-1") == 2
    assert journal.waiting_entries(1, "event-1") == 1
    assert journal.waiting_entries(0, "event-2") == 0


def test_an_admission_annulled_in_the_meantime_does_not_open_the_turnstile(journal: Journal) -> None:
    """A door started beside `scan --release` annuls what has not been opened yet."""
    scan = write(journal)
    write(journal, record="annulled", refers_to=scan.scan_id)
    with pytest.raises(StoreError, match="was annulled before the turnstile opened"):
        journal.mark_opening(scan.scan_id)
    assert journal.unopened() == []


def test_an_opening_may_be_marked_twice(journal: Journal) -> None:
    scan = write(journal)
    journal.mark_opening(scan.scan_id)
    journal.mark_opening(scan.scan_id)
    assert journal.unopened() == []


@pytest.mark.parametrize(
    ("epoch", "hub_seq", "is_sound"),
    [("epoch-1", 1, True), ("epoch-1", 2, False), ("epoch-0", 9, True), (None, 9, True)],
)
def test_numbers_the_hub_has_beyond_this_file_are_damage(
    journal: Journal, epoch: str | None, hub_seq: int, is_sound: bool
) -> None:
    write(journal)
    if is_sound:
        journal.check_numbering(epoch, hub_seq)
        return
    with pytest.raises(DamagedError, match=r"ends at number 1, but the hub has 2 of this numbering"):
        journal.check_numbering(epoch, hub_seq)
    assert journal.damage is not None


@pytest.mark.parametrize(
    "trigger",
    [
        "before insert on scans begin select raise(ignore); end",
        "after insert on scans begin delete from scans where scan_id = new.scan_id; end",
    ],
)
def test_a_record_the_file_does_not_keep_is_damage(journal: Journal, trigger: str) -> None:
    """Another user of the group can change the file's tables; no turnstile opens without a record."""
    write(journal)
    with contextlib.closing(sqlite3.connect(journal.path)) as other:
        other.execute(f"create trigger swallow {trigger}")
        other.commit()
    with pytest.raises(DamagedError, match="did not keep it"):
        write(journal)
    assert journal.damage is not None
    assert [record.seq for record in rows(journal.path)] == [1]
