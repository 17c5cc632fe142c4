"""After a rollback the release before reads what the newer one wrote, because files only ever gain.

`tests/releases/` has the files of each release as SQL (`python -m tests.integration.fleet.test_release_before
VERSION` records them): of a journal with a scan, and of a cache with a ticket. They are never edited after
the release. An older program names the tables and columns that it uses, so it can read and write a file in
which each of them is still there, and whatever was added may be left out.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from gate.rules.payload import code_hash
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.factories import NOW, a_record, an_admission, an_event, code_id
from tests.paths import ROOT

RECORDED = sorted((ROOT / "tests" / "releases").glob("*.sql"))


def write_all(folder: Path) -> None:
    """The files of a gate, as this release writes them."""
    made = Journal(folder / "journal.db", "gate-1", "epoch-1")
    with made.turn() as turn:
        turn.append(a_record(1, code_hash=code_hash(code_id(1))))
    made.settle()
    made.close()
    cache = Cache(folder / "cache.db")
    cache.put_config(GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="m", events=(an_event(),)))
    cache.put_snapshot("event-1", 1, cache.spool.fill((an_admission(),)), NOW)
    cache.close()


def record(version: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        write_all(Path(place))
        for name in ("journal", "cache"):
            with closing(sqlite3.connect(Path(place) / f"{name}.db")) as db:
                text = "\n".join(db.iterdump())
            (ROOT / "tests" / "releases" / f"{name}-{version}.sql").write_text(text + "\n")


def restored(dump: Path, folder: Path) -> Path:
    path = folder / f"{dump.stem.partition('-')[0]}.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(dump.read_text("utf-8"))
    return path


def columns(path: Path) -> dict[str, dict[str, bool]]:
    """Of each table its columns, and whether a writer that does not know one may leave it out."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
        return {
            table: {
                name: not must or default is not None or bool(key)
                for _, name, _, must, default, key in db.execute(f"pragma table_info('{table}')")
            }
            for table in tables
            if not table.startswith("sqlite_")
        }


@pytest.mark.parametrize("dump", RECORDED, ids=lambda dump: dump.stem)
def test_what_an_earlier_release_uses_is_still_there_and_what_is_new_may_be_left_out(
    dump: Path, tmp_path: Path
) -> None:
    write_all(tmp_path)
    (tmp_path / "then").mkdir()
    now = columns(tmp_path / f"{dump.stem.partition('-')[0]}.db")
    for table, before in columns(restored(dump, tmp_path / "then")).items():
        assert before.keys() <= now[table].keys(), table
        assert [name for name in now[table].keys() - before.keys() if not now[table][name]] == [], table


@pytest.mark.parametrize(
    "dump", [one for one in RECORDED if one.stem.startswith("journal")], ids=lambda dump: dump.stem
)
def test_a_journal_of_an_earlier_release_is_continued(dump: Path, tmp_path: Path) -> None:
    with closing(Journal(restored(dump, tmp_path), "gate-1", "epoch-2")) as journal:
        with journal.turn() as turn:
            assert turn.past(code_hash(code_id(1))).entries
            turn.append(a_record(2, code_hash=code_hash(code_id(2))))
        assert (journal.epoch, journal.last_seq()) == ("epoch-1", 2)


@pytest.mark.parametrize(
    "dump", [one for one in RECORDED if one.stem.startswith("cache")], ids=lambda dump: dump.stem
)
def test_a_cache_of_an_earlier_release_is_read_and_written(dump: Path, tmp_path: Path) -> None:
    path = restored(dump, tmp_path)
    with closing(CacheReader(path)) as reader:
        assert [event.event_id for event in reader.events()] == ["event-1"]
        assert reader.find(code_hash(code_id())).admission is not None
    with closing(Cache(path)) as cache:
        cache.put_snapshot("event-1", 2, cache.spool.fill((an_admission(code_id(2)),)), NOW)
    with closing(CacheReader(path)) as reader:
        assert reader.find(code_hash(code_id(2))).admission is not None


def test_a_journal_of_a_later_release_is_continued_without_what_it_added(tmp_path: Path) -> None:
    """A rollback: this release finds a column and a table that it does not know."""
    write_all(tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db, db:
        db.execute("alter table scans add column mood text")
        db.execute("create table moods (mood text primary key)")
    with closing(Journal(tmp_path / "journal.db", "gate-1", "epoch-2")) as journal:
        with journal.turn() as turn:
            assert turn.past(code_hash(code_id(1))).entries
            turn.append(a_record(2, code_hash=code_hash(code_id(2))))
        assert (journal.epoch, journal.last_seq()) == ("epoch-1", 2)


if __name__ == "__main__":
    record(sys.argv[1])
