"""The reader of single pages, against SQLite itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gate.recovery import sqlite_pages as pages
from gate.store.journal import Journal
from gate.store.rows import PAGE
from tests.factories import a_record

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=60),
    st.binary(max_size=60),
)


@given(rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=30))
def test_every_row_sqlite_wrote_is_read_from_its_page(rows: list[tuple[object, ...]]) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute(f"pragma page_size={PAGE}")
        db.execute("create table t (a, b, c)")
        db.executemany("insert into t values (?, ?, ?)", rows)
        data = db.serialize()
        expected = db.execute("select rowid, a, b, c from t").fetchall()
    found = [
        (cell.rowid, *cell.values)
        for at in range(PAGE, len(data), PAGE)
        for cell in pages.cells(data[at : at + PAGE])
    ]
    assert found == expected


@given(seed=st.integers(), kind=st.sampled_from([0x0D, 0x0A, 0x02]))
def test_no_page_raises_whatever_it_contains(seed: int, kind: int) -> None:
    list(pages.cells(bytes([kind]) + Random(seed).randbytes(PAGE - 1)))


def test_every_flipped_bit_in_a_committed_wal_is_noticed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db", "gate-1", "epoch-1")
    with journal.turn() as turn:
        turn.append(a_record())
    log = (tmp_path / "journal.db-wal").read_bytes()
    journal.close()
    assert spoiled(log) is None
    for at in range(0, len(log), 101):
        harmless = 12 <= at < 16  # the checkpoint counter: nothing depends on it, and its checksum covers it
        flipped = log[:at] + bytes([log[at] ^ 0x10]) + log[at + 1 :]
        assert spoiled(flipped) is not None or harmless, at


def spoiled(log: bytes) -> int | None:
    frames = [log[at : at + pages.FRAME] for at in range(pages.WAL_HEADER, len(log), pages.FRAME)]
    return pages.first_spoiled(log[: pages.WAL_HEADER], iter(frames))


def test_frames_left_over_from_an_older_wal_are_not_damage(tmp_path: Path) -> None:
    """SQLite restarts a WAL at its beginning; frames of the previous one remain behind the new ones."""
    journal = Journal(tmp_path / "journal.db", "gate-1", "epoch-1")
    for n in range(1, 20):
        with journal.turn() as turn:
            turn.append(a_record(n))
    journal._db.execute("pragma wal_checkpoint(restart)").fetchall()
    with journal.turn() as turn:
        turn.append(a_record(20))
    log = (tmp_path / "journal.db-wal").read_bytes()
    journal.close()
    assert spoiled(log) is None
