"""Any damage to a journal: nothing that can still be read is forgotten, and nobody is let in on it.

Real journals, with and without a write-ahead log left by a crash, and bytes flipped, zeroed,
overwritten or cut off anywhere in either file. Quality 7.1, invariants 6 and 12.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gate.common.errors import StoreError
from gate.recovery.open_journal import JournalOpener
from gate.rules.payload import code_hash
from gate.store.cache import LinkState
from gate.store.journal import Journal
from tests.damage import set_aside
from tests.factories import StoppedClock, a_record, code_id
from tests.long import cases

GUESTS = 40
UNKNOWN = LinkState()
Blow = tuple[str, int, int, int]
"""What is done, in which thousandth of the file and at which byte from there, how long."""

BLOWS = st.tuples(
    st.sampled_from(["flip", "zero", "noise", "cut"]),
    st.integers(0, 999),
    st.integers(0, 4095),
    st.sampled_from([1, 1, 1, 8, 512, 4096, 20_000]),
)
FILES = st.sampled_from(["journal.db", "journal.db-wal"])


class Night:
    """A journal's files as a crash left them, and who came in."""

    def __init__(self, folder: Path, checkpoint_at: int) -> None:
        live = folder / "live"
        live.mkdir()
        journal = Journal(live / "journal.db", "gate-1", "epoch-1")
        for n in range(1, GUESTS + 1):
            with journal.turn() as turn:
                turn.append(a_record(n, code_hash=code_hash(code_id(n))))
            journal.mark_opening(a_record(n).scan_id)
            journal.settle()
            if n == checkpoint_at:
                journal._db.execute("pragma wal_checkpoint(truncate)")
        self.files = {end: (live / f"journal.db{end}").read_bytes() for end in ("", "-wal")}
        journal.close()
        shutil.rmtree(live)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> list[Night]:
    """Everything in the log; half of it; a whole file and an empty log."""
    return [Night(tmp_path_factory.mktemp("night"), at) for at in (0, GUESTS // 2, GUESTS)]


def struck(data: bytes, blow: Blow) -> bytes:
    what, thousandth, offset, length = blow
    at = min(len(data) * thousandth // 1000 + offset, max(0, len(data) - 1))
    end = min(at + length, len(data))
    match what:
        case "flip":
            return data[:at] + bytes([data[at] ^ (1 << length % 8)]) + data[at + 1 :] if data else data
        case "zero":
            return data[:at] + bytes(end - at) + data[end:]
        case "noise":
            return data[:at] + bytes((7 * n + length) % 256 for n in range(end - at)) + data[end:]
        case _:
            return data[:at]


@contextlib.contextmanager
def a_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="damage-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def opening(folder: Path, hub: LinkState = UNKNOWN) -> JournalOpener:
    return JournalOpener(
        path=folder / "journal.db",
        gate_id="gate-1",
        new_epoch=lambda: "epoch-2",
        hub=lambda: hub,
        clock=StoppedClock(),
    )


class Row(NamedTuple):
    """What the gate itself needs of a row. Sync checks that the rest is a record: `sync.upload.outbox`."""

    epoch: str
    seq: int
    scan_id: str
    code_hash: str
    verdict: str


def rows(path: Path) -> list[Row]:
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [Row(*row) for row in db.execute(f"select {', '.join(Row._fields)} from scans order by seq")]


@pytest.mark.parametrize("part", range(4))
@settings(
    max_examples=cases(20, long=100),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(night=st.integers(0, 2), blows=st.lists(st.tuples(FILES, BLOWS), min_size=1, max_size=3))
@example(night=0, blows=[("journal.db-wal", ("flip", 0, 3, 1))])  # the log's header
@example(night=0, blows=[("journal.db-wal", ("flip", 999, 4095, 1))])  # the last byte of all
@example(night=1, blows=[("journal.db", ("flip", 0, 18, 1))])  # the header says: there is no log
@example(night=0, blows=[("journal.db-wal", ("cut", 997, 0, 1))])  # the mark of the last opening
@example(night=2, blows=[("journal.db", ("cut", 0, 0, 1))])
def test_whatever_is_damaged_nothing_is_forgotten_silently(
    nights: list[Night], part: int, night: int, blows: list[tuple[str, Blow]]
) -> None:
    before = nights[night].files
    after = dict(before)
    for name, blow in blows:
        end = name.removeprefix("journal.db")
        after[end] = struck(after[end], blow)
    with a_folder() as folder:
        for end, data in after.items():
            (folder / f"journal.db{end}").write_bytes(data)
        door = opening(folder, LinkState(epoch="epoch-1", acked_seq=GUESTS))
        try:
            journal, known, in_use = opened(door)
        except StoreError as error:
            pytest.fail(f"everything but the file is well, it can be salvaged: {error}")
        with contextlib.closing(journal):
            the_journal_is_one(folder, journal)
            nobody_readable_is_forgotten(folder, journal, known)
            if not in_use:  # otherwise the file was usable until then
                the_damaged_files_are_kept(folder, after)


def opened(door: JournalOpener) -> tuple[Journal, set[int], bool]:
    """The journal, who is known to be in, and whether damage was found only in use and salvaged then."""
    journal = door.open()
    for attempt in range(GUESTS):
        try:
            journal.unopened()
            return journal, known_in(journal), attempt > 0
        except StoreError:
            door.close_journal(journal)
            journal = door.open()
    raise AssertionError("it is never well")


def known_in(journal: Journal) -> set[int]:
    with journal.turn() as turn:
        return {n for n in range(1, GUESTS + 1) if turn.past(code_hash(code_id(n))).entries}


def the_journal_is_one(folder: Path, journal: Journal) -> None:
    """Whole, gapless, everybody in it once, and nobody is annulled because of the damage."""
    found = rows(folder / "journal.db")
    assert [one.seq for one in found] == list(range(1, len(found) + 1))
    assert {one.epoch for one in found} <= {journal.epoch}
    assert len({one.scan_id for one in found}) == len(found)
    # a log cut off behind the last admission is what a power cut before its pulse leaves (domain 2.3)
    last = [] if set_aside(folder) else [GUESTS]
    assert [one.seq for one in journal.unopened()] in ([], last)
    with contextlib.closing(opening(folder).open()) as again:  # sound, the next time as well
        assert again.epoch == journal.epoch
    with journal.turn() as turn:
        assert turn.append(a_record(scan_id="next", code_hash="next")).seq == len(found) + 1


def nobody_readable_is_forgotten(folder: Path, journal: Journal, known: set[int]) -> None:
    salvaged = {one.code_hash for one in rows(folder / "journal.db") if one.verdict == "admit"}
    assert {n for n in range(1, GUESTS + 1) if code_hash(code_id(n)) in salvaged} <= known
    if len(known) < GUESTS:
        assert journal.history_lost() is not None, "forgotten, and nothing said"


def the_damaged_files_are_kept(folder: Path, after: dict[str, bytes]) -> None:
    aside = sorted(path for path in folder.glob("journal.damaged-*.db*") if not path.name.endswith("-shm"))
    kept = {path.name.partition(".db")[2]: path.read_bytes() for path in aside}
    assert kept in ({}, after)


@pytest.mark.parametrize("page", range(60))
def test_one_lost_page_costs_no_admission_at_all(nights: list[Night], page: int) -> None:
    """An admission stands in the table and in the index of codes, and those are different pages."""
    for night in nights:
        with a_folder() as folder:
            for end, data in night.files.items():
                start = page * 4096
                is_there = end == "" and start < len(data)
                struck_data = data[:start] + bytes(4096) + data[start + 4096 :] if is_there else data
                (folder / f"journal.db{end}").write_bytes(struck_data)
            journal, known, _ = opened(opening(folder))
            journal.close()
            assert known == set(range(1, GUESTS + 1))
