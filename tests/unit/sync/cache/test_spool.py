"""A snapshot on its way into the cache: all or nothing, in little memory, while the cache stays usable."""

from __future__ import annotations

import contextlib
import gc
import queue
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gate.common.errors import StoreError
from gate.rules.model import Admission, FeedRow, Removed, Status
from gate.store.cache import CacheReader
from gate.store.link_row import LinkNote
from sync.cache.cache_file import DamagedCacheError
from sync.cache.spool import LEFT_BYTES, PORTION, Spool, SpoolBusy
from sync.cache.writer import Cache
from sync.feed.snapshot import FetchedFeed
from tests.factories import NOW, a_record, a_table, an_admission, an_event, code_id
from tests.patience import PATIENCE_S
from tests.sync_bench import Bench

GUEST, FRIEND = an_admission(), an_admission(code_id(2))


class Gate:
    """A cache, and the door that reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = Cache(folder / "cache.db")
        self.door = CacheReader(folder / "cache.db")

    def load(self, version: int, *rows: FeedRow) -> None:
        self.cache.put_snapshot("event-1", version, self.cache.spool.fill(rows), NOW)

    def admission(self, row: Admission) -> Admission | None:
        return self.door.find(row.code_hash).admission

    def version(self) -> int | None:
        return self.door.feed("event-1", NOW).version

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("cache.db"))


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path)
    yield gate
    gate.door.close()
    gate.cache.close()


def test_a_snapshot_replaces_all_of_its_event_and_nothing_of_another(gate: Gate) -> None:
    elsewhere = an_admission(code_id(9), event_id="event-2")
    gate.cache.put_snapshot("event-2", 1, gate.cache.spool.fill([elsewhere]), NOW)
    gate.load(1, an_event(), a_table(), GUEST, FRIEND)
    refunded = an_admission(code_id(2), status=Status.REFUNDED)
    gate.load(2, an_event(name="Another name"), refunded)
    assert (gate.admission(GUEST), gate.admission(FRIEND)) == (None, refunded)
    assert gate.admission(elsewhere) == elsewhere
    assert [event.name for event in gate.door.events()] == ["Another name"]
    assert gate.cache._db.execute("select count(*) from tables").fetchone() == (0,)
    assert (gate.version(), gate.files()) == (2, [])


def test_the_last_of_two_rows_for_the_same_ticket_counts(gate: Gate) -> None:
    later = an_admission(status=Status.CHECKED_IN)
    gate.load(1, GUEST, FRIEND, later, Removed(code_hash=FRIEND.code_hash, event_id="event-1"))
    assert (gate.admission(GUEST), gate.admission(FRIEND)) == (later, None)
    assert gate.door.entered("event-1") == 1


def test_a_column_that_no_longer_matches_its_row_is_corrected(gate: Gate) -> None:
    gate.load(1, GUEST)
    gate.cache._db.execute("update admissions set entered = 1")
    gate.load(2, GUEST)
    assert gate.door.entered("event-1") == 0


def test_unchanged_rows_are_not_written_again(gate: Gate) -> None:
    rows: list[FeedRow] = [an_event(), a_table(), *(an_admission(code_id(number)) for number in range(50))]
    gate.load(1, *rows)
    before = gate.cache._db.total_changes
    gate.load(2, *rows)
    assert gate.cache._db.total_changes - before == 3  # the line of the feed: version and sums


def test_an_interrupted_download_leaves_the_old_snapshot_and_no_file(gate: Gate) -> None:
    def breaking() -> Iterator[FeedRow]:
        yield FRIEND
        raise ConnectionResetError

    gate.load(1, GUEST)
    with pytest.raises(ConnectionResetError):
        gate.cache.spool.fill(breaking())
    assert (gate.admission(GUEST), gate.admission(FRIEND), gate.files()) == (GUEST, None, [])
    gate.load(2, FRIEND)
    assert gate.version() == 2


def test_heartbeats_and_other_gates_entries_are_written_while_a_snapshot_arrives(gate: Gate) -> None:
    arrived: queue.SimpleQueue[FeedRow | None] = queue.SimpleQueue()
    taken = threading.Event()

    def slow() -> Iterator[FeedRow]:
        while (row := arrived.get()) is not None:
            yield row
            taken.set()

    filling = threading.Thread(target=lambda: gate.cache.spool.fill(slow()), daemon=True)
    filling.start()
    arrived.put(GUEST)
    arrived.put(FRIEND)
    assert taken.wait(PATIENCE_S)
    gate.cache._db.execute("pragma busy_timeout = 1")
    gate.cache.put_link(a_note(), None)
    there = a_record(gate_id="gate-2")
    gate.cache.peers.put([there])
    assert [entry.gate for entry in gate.door.find(there.code_hash or "").peers] == ["gate-2"]
    arrived.put(None)
    filling.join(PATIENCE_S)


def test_a_heartbeat_is_written_right_before_a_snapshot_is_taken_over(bench: Bench) -> None:
    bench.connect()
    bench.step(seconds=0.5)
    bench.step(bench.snapshot(1, GUEST), seconds=0.3)  # the next is due in a second
    note = bench.cache.link()
    assert note is not None
    assert note.beat_ms == bench.clock.now().monotonic_ms


def test_the_door_sees_the_old_snapshot_until_the_new_one_is_complete(gate: Gate) -> None:
    seen: list[Admission | None] = []
    gate.load(1, GUEST)
    spooled = gate.cache.spool.fill([FRIEND])
    seen.append(gate.admission(GUEST))
    gate.cache._db.set_progress_handler(lambda: seen.append(gate.admission(GUEST)), 1)
    gate.cache.put_snapshot("event-1", 2, spooled, NOW)
    gate.cache._db.set_progress_handler(None, 1)
    seen.append(gate.admission(GUEST))
    assert len(seen) > 20
    assert seen == [GUEST] * (seen.index(None)) + [None] * seen.count(None)


def test_a_snapshot_that_did_not_fit_the_cache_can_be_loaded_later(gate: Gate) -> None:
    gate.load(1, GUEST)
    (pages,) = gate.cache._db.execute("pragma page_count").fetchone()
    gate.cache._db.execute(f"pragma max_page_count={pages}")
    many = [an_admission(code_id(number)) for number in range(2, 300)]
    spooled = gate.cache.spool.fill(many)
    for _ in range(2):
        with pytest.raises(StoreError, match="full"):
            gate.cache.put_snapshot("event-1", 2, spooled, NOW)
    assert (gate.admission(GUEST), gate.version()) == (GUEST, 1)
    gate.cache._db.execute("pragma max_page_count=1000000")
    gate.cache.put_snapshot("event-1", 2, spooled, NOW)
    assert (gate.admission(GUEST), gate.version(), gate.files()) == (None, 2, [])


def test_a_snapshot_leaves_room_for_the_journal(tmp_path: Path) -> None:
    free = iter([LEFT_BYTES * 10, LEFT_BYTES])
    taken: list[int] = []

    def rows() -> Iterator[FeedRow]:
        for number in range(PORTION * 5):
            taken.append(number)
            yield an_admission(code_id(number))

    spool = Spool(tmp_path / "spool.db", free=lambda _folder: next(free))
    with pytest.raises(StoreError, match="No tickets are fetched, so that scans can still be recorded"):
        spool.fill(rows())
    assert len(taken) == PORTION * 2
    assert list(tmp_path.iterdir()) == []


def test_a_spool_that_cannot_be_written_is_reported_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="continues with the tickets it has"):
        Spool(tmp_path / "file" / "spool.db").fill([GUEST])


def test_only_one_snapshot_is_spooled_at_a_time(gate: Gate) -> None:
    first = gate.cache.spool.fill([GUEST])
    with pytest.raises(SpoolBusy):
        gate.cache.spool.fill([FRIEND])
    gate.cache.put_snapshot("event-1", 1, first, NOW)
    gate.load(2, FRIEND)
    assert gate.version() == 2


def test_a_snapshot_that_is_garbage_collected_makes_room_for_the_next(gate: Gate) -> None:
    kept = [FetchedFeed(event_id="event-1", version=1, spooled=gate.cache.spool.fill([GUEST]))]
    kept.clear()
    gc.collect()
    assert gate.files() == []
    gate.load(2, FRIEND)


def test_an_outdated_snapshot_is_removed(bench: Bench) -> None:
    bench.connect()
    bench.serve(GUEST, version=5)
    late = bench.snapshot(4)
    bench.step(late)
    assert late.spooled is not None
    assert not late.spooled.is_there
    assert not late.spooled.path.exists()


def test_a_killed_syncs_spool_is_removed_when_the_cache_is_next_opened(gate: Gate) -> None:
    gate.load(1, GUEST)
    gate.cache.close()
    gate.cache.spool.path.write_bytes(b"half a snapshot")
    gate.cache = Cache(gate.folder / "cache.db")
    assert (gate.files(), gate.admission(GUEST)) == ([], GUEST)


def test_a_deleted_spool_ends_sync_and_leaves_the_cache(gate: Gate) -> None:
    gate.load(1, GUEST)
    spooled = gate.cache.spool.fill([FRIEND])
    spooled.path.unlink()
    with pytest.raises(DamagedCacheError, match="was removed"):
        gate.cache.put_snapshot("event-1", 2, spooled, NOW)
    assert (gate.admission(GUEST), gate.files()) == (GUEST, [])


def test_a_corrupted_spool_ends_sync_and_leaves_the_cache(gate: Gate) -> None:
    gate.load(1, GUEST)
    spooled = gate.cache.spool.fill([FRIEND])
    spooled.path.write_bytes(b"garbage" * 2000)
    with pytest.raises(DamagedCacheError):
        gate.cache.put_snapshot("event-1", 2, spooled, NOW)
    assert (gate.admission(GUEST), gate.version()) == (GUEST, 1)


def test_the_rows_of_a_snapshot_do_not_stay_in_memory(tmp_path: Path) -> None:
    alive: list[weakref.ref[Admission]] = []
    most = 0

    def rows() -> Iterator[FeedRow]:
        nonlocal most
        for number in range(500):
            row = Watched(**msgspec.structs.asdict(an_admission(code_id(number))))
            alive.append(weakref.ref(row))
            most = max(most, sum(one() is not None for one in alive))
            yield row
            del row

    spooled = Spool(tmp_path / "spool.db").fill(rows())
    assert (spooled.count, len(alive)) == (500, 500)
    assert most <= 2  # a row is made while the previous one is still referenced
    with contextlib.closing(sqlite3.connect(spooled.path)) as db:
        assert db.execute("select count(*) from admissions").fetchone() == (500,)


class Watched(Admission, frozen=True, weakref=True, tag="admission"):
    """An admission that a test can hold weakly, to see whether it is still alive."""


def a_note() -> LinkNote:
    return LinkNote(
        connected=True, hub_heard=True, since_ms=0, beat_ms=0, boot_id="boot", epoch=None, acked_seq=0
    )
