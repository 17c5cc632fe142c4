"""The door reads the cache as of one moment and from one file, or not at all."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gate.common.errors import CacheError
from gate.rules.model import Entry, Ruling, Status
from gate.rules.payload import code_hash
from gate.store.cache import CacheReader, Known, LinkState
from gate.store.link_row import LinkNote
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.factories import NOW, StoppedClock, a_record, a_table, an_admission, an_event, code_id

HASH = code_hash(code_id())
TABLE = "reservation-1"


def a_cache(path: Path, *, status: Status = Status.ISSUED) -> Path:
    """A cache of one night with one ticket."""
    cache = Cache(path)
    cache.put_config(GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(),)))
    cache.put_snapshot("event-1", 1, cache.spool.fill([an_admission(status=status)]), NOW)
    cache.close()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return a_cache(tmp_path / "cache.db")


@pytest.fixture
def reader(path: Path) -> Iterator[CacheReader]:
    reader = CacheReader(path)
    yield reader
    reader.close()


def status(reader: CacheReader) -> Status | None:
    admission = reader.find(HASH).admission
    return admission.status if admission else None


def spoil(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


def test_everything_read_in_a_view_is_from_one_moment(path: Path, reader: CacheReader) -> None:
    with reader.view():
        assert reader.events()
        cache = Cache(path)
        cache.put_snapshot("event-1", 2, cache.spool.fill([an_admission(status=Status.CANCELLED)]), NOW)
        cache.close()
        assert status(reader) is Status.ISSUED
        assert reader.feed("event-1", NOW).version == 1
    with reader.view():
        assert status(reader) is Status.CANCELLED


def test_a_replaced_file_counts_from_the_next_view_on(
    path: Path, reader: CacheReader, tmp_path: Path
) -> None:
    other = a_cache(tmp_path / "other.db", status=Status.CANCELLED)
    with reader.view():
        assert reader.events()
        path.with_name("cache.db-wal").unlink(missing_ok=True)
        shutil.move(other, path)
        assert status(reader) is Status.ISSUED
    with reader.view():
        assert status(reader) is Status.CANCELLED


def test_a_file_that_appears_in_a_view_counts_from_the_next_one_on(tmp_path: Path) -> None:
    reader = CacheReader(tmp_path / "cache.db")
    with reader.view():
        assert reader.events() == ()
        a_cache(reader.path)
        assert reader.find(HASH) == Known()
    with reader.view():
        assert status(reader) is Status.ISSUED
    reader.close()


def test_a_replaced_file_is_noticed_outside_a_view_too(
    path: Path, reader: CacheReader, tmp_path: Path
) -> None:
    assert status(reader) is Status.ISSUED
    shutil.move(a_cache(tmp_path / "other.db", status=Status.CANCELLED), path)
    assert status(reader) is Status.CANCELLED


@pytest.mark.parametrize(
    "statement",
    [
        "update admissions set row = '{'",
        "update admissions set row = x'ff'",
        "update admissions set row = 7",
        "update feed set current_at = x'00'",
        "update feed set current_at = 'yesterday'",
        "update feed set current_at = '2026-11-20T23:00:00'",  # without a time zone
        "update events set row = '{}'",
        "update link set row = json_set(row, '$.beat_ms', 'soon')",
        "drop table peer_entries",
    ],
)
def test_an_unreadable_value_spoils_the_whole_view(path: Path, reader: CacheReader, statement: str) -> None:
    clock = StoppedClock()
    put_link(path, clock)
    spoil(path, statement)
    with pytest.raises(CacheError, match="Restart maguey-sync"), reader.view():
        reader.events()
        reader.find(HASH)
        reader.feed("event-1", NOW)
        reader.link(clock.now())


def put_link(path: Path, clock: StoppedClock, **changes: object) -> None:
    now = clock.now()
    note = LinkNote(
        connected=True,
        hub_heard=True,
        since_ms=now.monotonic_ms,
        beat_ms=now.monotonic_ms,
        boot_id=now.boot_id,
        epoch="epoch-1",
        acked_seq=7,
    )
    cache = Cache(path)
    cache.put_link(msgspec.structs.replace(note, **changes), None)
    cache.close()


def test_after_a_view_that_failed_the_next_one_reads_again(path: Path, reader: CacheReader) -> None:
    spoil(path, "update admissions set row = '{' || row")
    with contextlib.suppress(CacheError), reader.view():
        assert reader.find(HASH) == Known()
    spoil(path, "update admissions set row = substr(row, 2)")
    with reader.view():
        assert status(reader) is Status.ISSUED


def test_other_gates_entries_count_for_a_code_the_hub_does_not_know(path: Path, reader: CacheReader) -> None:
    cache = Cache(path)
    unknown, ours = code_hash(code_id(9)), a_record(gate_id="gate-2", occurred_at=NOW)
    cache.peers.put([ours, a_record(scan_id="x", gate_id="gate-3", occurred_at=NOW, code_hash=unknown)])
    cache.close()
    assert ours.code_hash == HASH and ours.verdict is Ruling.ADMIT
    assert reader.find(unknown) == Known(peers=(Entry(at=NOW, gate="gate-3", scan="x"),))
    known = reader.find(HASH)
    assert known.admission is not None
    assert known.peers == (Entry(at=NOW, gate="gate-2", scan=ours.scan_id),)


def test_companions_are_the_guests_of_a_table_the_hub_has_not_counted(
    path: Path, reader: CacheReader
) -> None:
    def guest(number: int, status: Status = Status.ISSUED) -> object:
        return an_admission(code_id(number), status=status, reservation_id=TABLE)

    cache = Cache(path)
    rows = [a_table(reservation_id=TABLE), guest(1, Status.CHECKED_IN), guest(2), guest(3)]
    cache.put_snapshot("event-1", 2, cache.spool.fill([*rows, an_admission(code_id(4))]), NOW)  # type: ignore[list-item]
    cache.peers.put([a_record(gate_id="gate-2", code_hash=code_hash(code_id(3)))])
    cache.close()
    assert reader.companions(TABLE) == {code_hash(code_id(2)): False, code_hash(code_id(3)): True}


@pytest.mark.parametrize(
    ("changes", "then"),
    [
        ({}, LinkState(alive=True, online=True, cut_ms=0, epoch="epoch-1", acked_seq=7)),
        ({"hub_heard": False}, LinkState(alive=True, online=False, cut_ms=0, epoch="epoch-1", acked_seq=7)),
        ({"boot_id": "of another boot"}, LinkState(epoch="epoch-1", acked_seq=7)),
    ],
)
def test_the_link_is_what_sync_wrote_in_this_boot(
    path: Path, reader: CacheReader, changes: dict[str, object], then: LinkState
) -> None:
    clock = StoppedClock()
    put_link(path, clock, **changes)
    assert reader.link(clock.now()) == then


def test_a_row_nested_too_deeply_is_a_cache_error(path: Path, reader: CacheReader) -> None:
    with pytest.raises(CacheError), reader.view():
        reader._read("events", lambda rows: msgspec.json.decode(b"[" * 100_000) if rows else ())
