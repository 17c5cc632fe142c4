"""A damaged cache, from the first guest sent to staff to the next one decided; data model 3.2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gate.common.errors import StoreError
from gate.ports.screen import Notice, OutOfOrder, Part, VerdictScreen
from gate.rules.model import Reason
from gate.store.file_errors import DamagedError
from sync.cache.cache_file import DamagedCacheError
from sync.cache.writer import Cache
from sync.feed.fetcher import WantConfig, WantEvent
from sync.wire.messages import GateConfig
from tests.damage import root_of, zero_page
from tests.doors import Bench as DoorBench
from tests.factories import an_admission, an_event, code_id
from tests.sync_bench import Bench


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("cache.damaged-*.db"))


def no_database(path: Path) -> None:
    path.write_bytes(b"this is not a database" * 1000)


def page_lost(path: Path) -> None:
    zero_page(path, root_of(path, "admissions"))


def spoil(folder: Path, how: Callable[[Path], None]) -> bytes:
    """Damage a cache nobody has open, and return its content."""
    how(folder / "cache.db")
    return (folder / "cache.db").read_bytes()


@pytest.mark.parametrize("how", [no_database, page_lost])
def test_a_damaged_cache_is_set_aside_logged_once_and_fetched_again(
    bench: Bench, how: Callable[[Path], None]
) -> None:
    bench.connect()
    bench.serve(an_admission())
    bench.sync._cache.close()
    bench.reader.close()
    damaged = spoil(bench.folder, how)
    bench.wanted.clear()
    with capture_logs() as lines:
        bench.sync = bench.start()
    [name] = kept(bench.folder)
    assert (bench.folder / name).read_bytes() == damaged
    assert [line["log_level"] for line in lines] == ["error"]
    bench.connect()
    assert WantConfig() in bench.wanted
    bench.serve(an_admission())
    assert WantEvent("event-1", 0) in bench.wanted
    assert bench.reader.find(an_admission().code_hash).admission is not None


def test_a_cache_found_damaged_in_use_ends_sync_and_is_rebuilt_at_the_next_start(bench: Bench) -> None:
    bench.connect()
    bench.serve(an_admission())
    bench.sync._cache._db.execute("pragma wal_checkpoint(truncate)")
    bench.sync._cache._db.execute("pragma cache_size = 0")
    (bench.folder / "cache.db").write_bytes(spoiled_bytes(bench.folder / "cache.db"))
    with pytest.raises(DamagedCacheError, match="fetches everything from the hub"):
        for _ in range(5):
            bench.step(seconds=1)
    bench.sync._cache.close()
    bench.reader.close()
    bench.sync = bench.start()
    bench.connect()
    bench.serve(an_admission())
    assert bench.reader.find(an_admission().code_hash).admission is not None


def spoiled_bytes(path: Path) -> bytes:
    """The file's content with every page but the first zeroed."""
    data = path.read_bytes()
    return data[:4096] + bytes(len(data) - 4096)


def test_only_the_newest_damaged_cache_is_kept(tmp_path: Path) -> None:
    for _ in range(3):
        Cache(tmp_path / "cache.db").close()
        no_database(tmp_path / "cache.db")
    Cache(tmp_path / "cache.db").close()
    assert len(kept(tmp_path)) == 1


def test_an_undamaged_cache_is_left_as_it_is(tmp_path: Path) -> None:
    Cache(tmp_path / "cache.db").close()
    before = (tmp_path / "cache.db").stat().st_ino
    Cache(tmp_path / "cache.db").close()
    assert (tmp_path / "cache.db").stat().st_ino == before
    assert kept(tmp_path) == []


def test_damage_of_a_cache_is_not_an_error_of_the_disk() -> None:
    """Otherwise sync would wait for the disk for ever."""
    assert not issubclass(DamagedCacheError, StoreError)
    assert issubclass(DamagedError, StoreError)


def test_with_a_damaged_cache_guests_go_to_staff_until_it_is_fetched_again(tmp_path: Path) -> None:
    """The door's own history is untouched."""
    door = DoorBench(tmp_path)
    door.show(code_id(1))
    door.cache.close()
    door.hub._db.execute("pragma wal_checkpoint(truncate)")  # or the WAL would still have everything
    door.hub.close()
    spoil(tmp_path, no_database)
    assert isinstance(door.show(code_id(2)), Notice)
    shown = door.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert shown.part is Part.CACHE
    door.hub = Cache(tmp_path / "cache.db")
    serve(door)
    assert reason(door, code_id(2)) is Reason.FIRST_ENTRY
    assert reason(door, code_id(1)) is Reason.ALREADY_USED
    assert {record.epoch for record in door.records()} == {"epoch-1"}
    door.close()


def serve(door: DoorBench) -> None:
    """Load the hub's answer."""
    config = GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(),))
    door.hub.put_config(config)
    door.hub.put_snapshot(
        "event-1", 1, door.hub.spool.fill((an_admission(), an_admission(code_id(2)))), door.clock.wall
    )


def reason(door: DoorBench, code: str) -> Reason:
    screen = door.show(code)
    assert isinstance(screen, VerdictScreen), screen
    return screen.verdict.reason
