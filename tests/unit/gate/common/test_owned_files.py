"""In folders that two users share, no link leads the gate to another file (ADR 0014)."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gate.common.errors import MagueyError, StoreError
from gate.recovery.check_journal import first_spoiled_in_wal
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from gate.store.live_file import Live, LiveWriter, read_live
from gate.store.locks import LOCK_FILE, LendingBusy, Service, lending_lock, only_one
from gate.store.shared_files import identity, share
from sync.cache.writer import Cache
from sync.upload.outbox import Outbox
from tests.factories import StoppedClock


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Somebody else's file."""
    file = tmp_path / "elsewhere"
    file.write_bytes(b"precious")
    file.chmod(0o600)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def make_journal(folder: Path) -> None:
    Journal(folder / "journal.db", "gate-1", "epoch-1").close()


def make_cache(folder: Path) -> None:
    Cache(folder / "cache.db").close()


def take_lending_lock(folder: Path) -> None:
    with lending_lock(folder / LOCK_FILE, 0.0):
        pass


Place = tuple[str, Callable[[Path], None], type[Exception]]
PLACES: list[Place] = [
    *((f"journal.db{end}", make_journal, StoreError) for end in ("", "-wal", "-shm")),
    *((f"cache.db{end}", make_cache, StoreError) for end in ("", "-wal", "-shm")),
    *((f"cache.fetched.db{end}", make_cache, StoreError) for end in ("-wal", "-shm")),
    (LOCK_FILE, take_lending_lock, LendingBusy),
]


@pytest.mark.parametrize("place", PLACES, ids=[name for name, _, _ in PLACES])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_in_place_of_a_file_is_refused_and_its_target_left_untouched(
    folder: Path, elsewhere: Path, place: Place, is_there: bool
) -> None:
    name, use, refusal = place
    if not is_there:
        elsewhere.unlink()
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(refusal):
        use(folder)
    untouched(elsewhere, is_there)


def test_a_link_in_place_of_the_snapshot_being_fetched_is_removed(folder: Path, elsewhere: Path) -> None:
    (folder / "cache.fetched.db").symlink_to(elsewhere)
    make_cache(folder)
    untouched(elsewhere)
    assert not (folder / "cache.fetched.db").is_symlink()


def untouched(file: Path, is_there: bool = True) -> None:
    assert file.exists() is is_there
    if is_there:
        assert file.read_bytes() == b"precious"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("service", ["door", "sync"])
def test_a_link_in_place_of_the_services_lock_is_not_followed(
    folder: Path, elsewhere: Path, service: Service
) -> None:
    (folder / f"{service}.lock").symlink_to(elsewhere)
    with only_one(service, folder):
        pass
    untouched(elsewhere)


def test_sharing_a_file_changes_no_rights_through_a_link(folder: Path, elsewhere: Path) -> None:
    for end in ("", "-wal", "-shm"):
        (folder / f"journal.db{end}").symlink_to(elsewhere)
    share(folder / "journal.db")
    untouched(elsewhere)


def a_live() -> Live:
    now = StoppedClock().now()
    return Live(at=now.wall, monotonic_ms=now.monotonic_ms, boot_id=now.boot_id, pid=1, version="1")


def test_the_doors_status_file_replaces_a_link_instead_of_following_it(folder: Path, elsewhere: Path) -> None:
    for name in ("door.json", ".door.json.new"):
        (folder / name).symlink_to(elsewhere)
    LiveWriter(folder / "door.json").put(a_live())
    untouched(elsewhere)
    assert read_live(folder / "door.json", StoppedClock().now()).is_fresh


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: Path(path).symlink_to("/dev/zero"), os.mkdir])
def test_reading_the_doors_status_never_blocks_on_a_pipe_device_or_folder(
    folder: Path, make: Callable[[Path], None]
) -> None:
    make(folder / "door.json")
    assert "cannot be read" in read_live(folder / "door.json", StoppedClock().now()).why


@pytest.mark.parametrize("service", ["door", "sync"])
def test_a_second_service_on_the_same_folder_is_refused_in_words(folder: Path, service: Service) -> None:
    with (
        only_one(service, folder),
        pytest.raises(MagueyError, match=f"another {service} runs on this folder"),
    ):
        hold(service, folder)
    hold(service, folder)


def hold(service: Service, folder: Path) -> None:
    with only_one(service, folder):
        pass


def test_door_and_sync_share_a_folder(folder: Path) -> None:
    with only_one("door", folder), only_one("sync", folder):
        assert {path.name for path in folder.iterdir()} == {"door.lock", "sync.lock"}


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("place", PLACES[:6], ids=[name for name, _, _ in PLACES[:6]])
def test_a_pipe_or_folder_in_place_of_a_database_is_refused_in_words(
    folder: Path, place: Place, make: Callable[[Path], None]
) -> None:
    name, use, refusal = place
    make(folder / name)
    with pytest.raises(refusal, match="not a regular file"):
        use(folder)


def test_a_pipe_in_place_of_a_database_reads_as_empty_without_blocking(folder: Path) -> None:
    for name in ("cache.db", "journal.db"):
        os.mkfifo(folder / name)
        assert identity(folder / name) == (0, 0, 0)
    reader = CacheReader(folder / "cache.db")
    with reader.view():
        assert reader.events() == ()
    assert not Outbox(folder / "journal.db").has_changed()


def test_a_pipe_in_place_of_the_wal_is_refused_before_the_journal_is_opened(folder: Path) -> None:
    make_journal(folder)
    (folder / "journal.db-wal").unlink(missing_ok=True)
    os.mkfifo(folder / "journal.db-wal")
    with pytest.raises(StoreError, match="not a regular file"):
        first_spoiled_in_wal(folder / "journal.db")
