"""A damaged journal at a whole door: docs/adr/0012-a-damaged-journal.md."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gate.common.errors import Step, StoreError
from gate.ports.screen import Idle, Notice, OutOfOrder, Part, Screen, VerdictScreen
from gate.rules.model import Entry, Flag, Kind, Reason, ReservationStatus, Status
from gate.rules.payload import code_hash
from gate.store.journal import Journal
from gate.store.link_row import LinkNote
from gate.store.rows import PAGE
from tests.damage import root_of, set_aside, zero_page
from tests.doors import SENSOR, Bench, guests
from tests.factories import a_record, a_table, an_admission, code_id

TABLE_LEAF = 0x0D
MANY = 60
"""So many tickets that their rows fill several pages."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    table = a_table(status=ReservationStatus.CONFIRMED)
    vip = an_admission(code_id(100), kind=Kind.VIP_LINKED, reservation_id=table.reservation_id)
    bench = Bench(tmp_path, feed=(table, vip, *guests(MANY)))
    yield bench
    bench.close()


def answer(screen: Screen) -> tuple[Reason, tuple[Flag, ...]]:
    assert isinstance(screen, VerdictScreen), screen
    return screen.verdict.reason, tuple(set(screen.verdict.flags) - {Flag.ISOLATED, Flag.UNCLAIMED})


def admit_all(bench: Bench) -> None:
    """Every guest but the last enters; then the door stops, and its journal is one file."""
    for n in range(1, MANY):
        assert answer(bench.show(code_id(n), seconds=0.1)) == (Reason.FIRST_ENTRY, ())
    stop(bench)


def stop(bench: Bench) -> None:
    bench.journal.close()
    bench.cache.close()


def journal_file(bench: Bench) -> Path:
    return bench.folder / "journal.db"


def the_hub_has(bench: Bench, seq: int, *, hub_seq: int = 0, current: bool = True) -> None:
    """Sync's note about the link, as of now."""
    now, journal = bench.clock.now(), bench.journal.part
    assert journal is not None
    note = LinkNote(
        connected=True, hub_heard=True, since_ms=0, beat_ms=now.monotonic_ms, boot_id=now.boot_id,
        epoch=journal.epoch, acked_seq=seq, hub_seq=hub_seq,
    )  # fmt: skip
    bench.hub.put_link(note, now.wall if current else None)


def test_a_damaged_index_page_loses_no_record_and_the_numbers_go_on(bench: Bench) -> None:
    admit_all(bench)
    zero_page(journal_file(bench), root_of(journal_file(bench), "scans_of_a_code"))
    bench.start()
    assert answer(bench.show(code_id(1))) == (Reason.ALREADY_USED, ())
    assert answer(bench.show(code_id(MANY))) == (Reason.FIRST_ENTRY, ())
    records = bench.records()
    assert [record.seq for record in records] == list(range(1, MANY + 2))
    assert {record.epoch for record in records} == {"epoch-1"}


def lose_a_page_of_rows(bench: Bench) -> list[int]:
    """Return the numbers of the tickets whose rows are lost."""
    admit_all(bench)
    there = {record.code_hash for record in bench.records()}
    file = journal_file(bench)
    data = file.read_bytes()
    leaves = [
        at for at in range(0, len(data), PAGE) if data[at] == TABLE_LEAF and b"camera" in data[at:][:PAGE]
    ]
    zero_page(file, leaves[2] // PAGE)
    bench.start()
    bench.wait(0.2)
    left = {record.code_hash for record in bench.records()}
    return [n for n in range(1, MANY) if code_hash(code_id(n)) in there - left]


def test_after_lost_rows_the_rest_keeps_its_scan_ids_in_a_new_epoch(bench: Bench) -> None:
    lost = lose_a_page_of_rows(bench)
    assert 0 < len(lost) < MANY / 2
    [damaged] = set_aside(bench.folder)
    records = bench.records()
    assert len(records) == MANY - 1 - len(lost)
    assert {record.epoch for record in records} == {"epoch-2"}
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    kept = (bench.folder / damaged).read_bytes()
    assert all(record.scan_id.encode() in kept for record in records)


def test_an_admission_whose_row_is_lost_is_remembered_from_the_index(bench: Bench) -> None:
    lost = lose_a_page_of_rows(bench)
    assert lost
    for n in lost:
        assert answer(bench.show(code_id(n))) == (Reason.ALREADY_USED, ())


def test_while_history_is_lost_a_one_time_first_entry_is_admitted_and_flagged(bench: Bench) -> None:
    lose_a_page_of_rows(bench)
    assert answer(bench.show(code_id(MANY))) == (Reason.FIRST_ENTRY, (Flag.HISTORY_LOST,))
    assert Flag.HISTORY_LOST in bench.records()[-1].flags
    assert answer(bench.show(code_id(MANY))) == (Reason.ALREADY_USED, ())


def test_while_history_is_lost_vip_is_decided_as_always(bench: Bench) -> None:
    lose_a_page_of_rows(bench)
    assert answer(bench.show(code_id(100), seconds=90)) == (Reason.FIRST_ENTRY, ())
    assert answer(bench.show(code_id(100))) == (Reason.REENTRY, ())


def test_lost_history_stays_on_the_screen_until_the_hub_has_replaced_it(bench: Bench) -> None:
    lose_a_page_of_rows(bench)
    bench.wait(2)
    assert shown(bench) == (Part.JOURNAL, Step.HISTORY_LOST)
    last = bench.records()[-1].seq
    the_hub_has(bench, last - 1)
    bench.wait(30)
    the_hub_has(bench, last - 1)
    bench.wait(30)
    assert shown(bench) == (Part.JOURNAL, Step.HISTORY_LOST)
    the_hub_has(bench, last)
    bench.wait(20)  # the hub has everything, but the cache has not been confirmed current since
    assert shown(bench) == (Part.JOURNAL, Step.HISTORY_LOST)
    with capture_logs() as lines:
        the_hub_has(bench, last)
        bench.wait(10)
    assert isinstance(bench.display.screens[-1], Idle)
    assert [line["event"] for line in lines if "history recovered" in line["event"]]
    assert answer(bench.show(code_id(MANY))) == (Reason.FIRST_ENTRY, ())


def shown(bench: Bench) -> tuple[Part, Step]:
    screen = bench.display.screens[-1]
    assert isinstance(screen, OutOfOrder), screen
    return screen.part, screen.step


def test_lost_history_survives_a_restart(bench: Bench) -> None:
    lose_a_page_of_rows(bench)
    stop(bench)
    bench.start()
    assert answer(bench.show(code_id(MANY))) == (Reason.FIRST_ENTRY, (Flag.HISTORY_LOST,))


def test_an_entry_only_the_hub_still_knows_refuses_the_ticket(bench: Bench) -> None:
    admit_all(bench)
    journal_file(bench).write_bytes(b"")
    entry = Entry(at=bench.clock.wall, gate="gate-1")
    used = an_admission(code_id(1), status=Status.CHECKED_IN, first_entry=entry, last_entry=entry)
    bench.hub.put_snapshot("event-1", 2, bench.hub.spool.fill([used]), bench.clock.wall)
    bench.start()
    assert answer(bench.show(code_id(1))) == (Reason.ALREADY_USED, ())


def spoil_all(path: Path) -> None:
    path.write_bytes(b"this is not a database" * 1000)


def spoil_the_header(path: Path) -> None:
    zero_page(path, 0)


def lose_the_notes(path: Path) -> None:
    zero_page(path, root_of(path, "meta"))


def count_wrongly(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("update meta set value = 7 where key = 'last_seq'")


def lose_a_row(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("delete from scans where seq = 30")


def lose_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("drop table openings")


@pytest.mark.parametrize(
    "spoil", [spoil_all, spoil_the_header, lose_the_notes, count_wrongly, lose_a_row, lose_a_table]
)
def test_a_damaged_journal_is_set_aside_and_logged_and_the_door_goes_on(
    bench: Bench, spoil: Callable[[Path], None]
) -> None:
    admit_all(bench)
    spoil(journal_file(bench))
    damaged = journal_file(bench).read_bytes()
    bench.start()
    with capture_logs() as lines:
        bench.wait(0.2)
        answer(bench.show(code_id(MANY)))
    [kept] = set_aside(bench.folder)
    assert (bench.folder / kept).read_bytes() == damaged
    told = [line for line in lines if line["log_level"] == "error"]
    assert [line["event"] for line in told] == [
        "journal damaged, salvaging what can be read",
        "journal salvaged",
    ]
    assert kept in told[1]["set_aside"]


@pytest.mark.parametrize("spoil", [spoil_the_header, lose_the_notes, count_wrongly, lose_a_table])
def test_entries_that_damage_leaves_readable_still_count(bench: Bench, spoil: Callable[[Path], None]) -> None:
    admit_all(bench)
    spoil(journal_file(bench))
    bench.start()
    for n in range(1, MANY):
        assert answer(bench.show(code_id(n), seconds=0.1))[0] is Reason.ALREADY_USED


def test_an_opening_mark_lost_with_the_damage_annuls_no_admission(bench: Bench) -> None:
    """Otherwise every ticket whose mark was on a lost page would be good again."""
    admit_all(bench)
    zero_page(journal_file(bench), root_of(journal_file(bench), "openings"))
    bench.start()
    bench.wait(1)
    assert {record.record for record in bench.records()} == {"scan"}
    assert answer(bench.show(code_id(1)))[0] is Reason.ALREADY_USED


def test_an_annulled_admission_stays_annulled_after_damage(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SENSOR, feed=guests(2))
    bench.show(code_id(1), seconds=8)
    assert bench.told() == [("scan", "first_entry"), ("annulled", "expired")]
    stop(bench)
    lose_the_notes(journal_file(bench))
    bench.start()
    assert answer(bench.show(code_id(1))) == (Reason.FIRST_ENTRY, (Flag.HISTORY_LOST,))
    bench.close()


def test_a_journal_older_than_what_the_hub_has_is_not_continued(bench: Bench) -> None:
    """Its numbers would be used a second time."""
    bench.show(code_id(1))
    the_hub_has(bench, 40)
    stop(bench)
    bench.start()
    assert answer(bench.show(code_id(2))) == (Reason.FIRST_ENTRY, (Flag.HISTORY_LOST,))
    assert {record.epoch for record in bench.records()} == {"epoch-2"}


def test_a_journal_restored_from_a_backup_is_noticed_in_use_and_renumbered(bench: Bench) -> None:
    """Sync acknowledges no number beyond the file's own; only `hub_seq` says that the hub has more."""
    bench.show(code_id(1))
    the_hub_has(bench, 1, hub_seq=40)
    with capture_logs() as logs:
        bench.wait(2)
    assert any("put back from a backup" in str(line) for line in logs)
    bench.wait(4)
    assert answer(bench.show(code_id(2))) == (Reason.FIRST_ENTRY, (Flag.HISTORY_LOST,))
    assert answer(bench.show(code_id(1))) == (Reason.ALREADY_USED, ())
    assert {record.epoch for record in bench.records()} == {"epoch-2"}


def test_a_journal_restored_from_a_backup_is_noticed_when_it_is_opened(bench: Bench) -> None:
    bench.show(code_id(1))
    the_hub_has(bench, 1, hub_seq=40)
    stop(bench)
    bench.start()
    assert answer(bench.show(code_id(2))) == (Reason.FIRST_ENTRY, (Flag.HISTORY_LOST,))
    assert {record.epoch for record in bench.records()} == {"epoch-2"}


def test_a_missing_journal_that_sync_knows_of_counts_as_lost_history(bench: Bench) -> None:
    bench.show(code_id(1))
    the_hub_has(bench, 1)
    stop(bench)
    journal_file(bench).unlink()
    bench.start()
    assert answer(bench.show(code_id(2))) == (Reason.FIRST_ENTRY, (Flag.HISTORY_LOST,))


def test_a_gate_that_never_had_a_journal_has_lost_nothing(bench: Bench) -> None:
    assert answer(bench.show(code_id(1))) == (Reason.FIRST_ENTRY, ())
    assert set_aside(bench.folder) == []


def test_a_journal_deleted_under_the_door_is_restored_whole(bench: Bench) -> None:
    bench.show(code_id(1))
    for file in bench.folder.glob("journal.db*"):
        file.unlink()
    bench.show(code_id(2), seconds=4)  # see staff
    assert answer(bench.show(code_id(1))) == (Reason.ALREADY_USED, ())
    assert answer(bench.show(code_id(2))) == (Reason.FIRST_ENTRY, ())
    assert [(record.epoch, record.seq) for record in bench.records()] == [
        ("epoch-1", 1), ("epoch-1", 2), ("epoch-1", 3),
    ]  # fmt: skip


def test_a_journal_put_in_place_of_the_doors_is_set_aside_and_the_doors_restored(bench: Bench) -> None:
    bench.show(code_id(1))
    for file in bench.folder.glob("journal.db*"):
        file.unlink()
    Journal(journal_file(bench), "gate-1", "another").close()
    bench.show(code_id(2), seconds=4)
    assert answer(bench.show(code_id(1))) == (Reason.ALREADY_USED, ())
    assert len(set_aside(bench.folder)) == 1
    assert {record.epoch for record in bench.records()} == {"epoch-1"}


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_wal_or_shm_deleted_under_the_door_loses_no_record(bench: Bench, end: str) -> None:
    """Otherwise a process that opens the journal later, such as sync, would never see the door's writes."""
    bench.show(code_id(1))
    journal_file(bench).with_name(f"journal.db{end}").unlink()
    bench.show(code_id(2), seconds=4)  # see staff
    assert answer(bench.show(code_id(1))) == (Reason.ALREADY_USED, ())
    assert answer(bench.show(code_id(2))) == (Reason.FIRST_ENTRY, ())
    assert [record.seq for record in bench.records()] == [1, 2, 3]
    with closing(sqlite3.connect(f"file:{journal_file(bench)}?mode=ro", uri=True)) as later:
        assert later.execute("select count(*) from scans").fetchone() == (3,)


def test_a_wal_deleted_while_no_guest_comes_is_noticed_too(bench: Bench) -> None:
    bench.show(code_id(1))
    journal_file(bench).with_name("journal.db-wal").unlink()
    bench.wait(seconds=60)
    assert answer(bench.show(code_id(2))) == (Reason.FIRST_ENTRY, ())


def test_damage_found_by_a_scan_sends_that_guest_to_staff_and_is_salvaged(bench: Bench) -> None:
    bench.show(code_id(1))
    with closing(sqlite3.connect(journal_file(bench), isolation_level=None)) as db:
        db.execute("update scans set occurred_at = 'half past ten'")
    assert isinstance(bench.show(code_id(1), seconds=4), Notice)
    assert len(set_aside(bench.folder)) == 1
    assert answer(bench.show(code_id(1)))[0] is Reason.ALREADY_USED


def test_a_ticket_whose_row_cannot_be_read_is_known_from_the_index(bench: Bench) -> None:
    bench.show(code_id(1))
    stop(bench)
    with closing(sqlite3.connect(journal_file(bench), isolation_level=None)) as db:
        db.execute("update scans set occurred_at = 'half past ten'")
        db.execute("pragma wal_checkpoint(truncate)")
        db.execute("delete from openings")
    lose_the_notes(journal_file(bench))
    bench.start()
    assert answer(bench.show(code_id(1)))[0] is Reason.ALREADY_USED
    assert answer(bench.show(code_id(2))) == (Reason.FIRST_ENTRY, (Flag.HISTORY_LOST,))


def test_a_damaged_journal_of_another_gate_is_refused_and_left_where_it_is(bench: Bench) -> None:
    stop(bench)
    other = Journal(journal_file(bench), "gate-9", "epoch-9")
    with other.turn() as turn:
        turn.append(a_record(gate_id="gate-9"))
    other.close()
    lose_the_notes(journal_file(bench))
    before = journal_file(bench).read_bytes()
    with pytest.raises(StoreError, match="belongs to gate 'gate-9', this one is 'gate-1'"):
        bench.opening.open()
    assert journal_file(bench).read_bytes() == before


def test_nothing_set_aside_is_ever_overwritten(bench: Bench) -> None:
    """Not even twice in the same second."""
    for n in (1, 2):
        bench.show(code_id(n), seconds=0)
        stop(bench)
        spoil_the_header(journal_file(bench))
        bench.start()
        bench.look()
    assert len(set_aside(bench.folder)) == 2


def test_a_spoiled_wal_frame_is_noticed_though_sqlite_would_drop_it_silently(bench: Bench) -> None:
    for n in range(1, 10):
        bench.show(code_id(n), seconds=0.1)
    crashed = bench.folder / "crashed"
    crashed.mkdir()
    for end in ("", "-wal"):
        (crashed / f"journal.db{end}").write_bytes((bench.folder / f"journal.db{end}").read_bytes())
    log = crashed / "journal.db-wal"
    frames = bytearray(log.read_bytes())
    frames[32 + 24 + 100] ^= 1  # in the first frame; everything that was committed comes after it
    log.write_bytes(frames)
    stop(bench)
    for file in bench.folder.glob("journal.db*"):
        file.unlink()
    for file in crashed.iterdir():
        file.rename(bench.folder / file.name)
    bench.start()
    for n in range(1, 10):
        assert answer(bench.show(code_id(n), seconds=0.1))[0] is Reason.ALREADY_USED
