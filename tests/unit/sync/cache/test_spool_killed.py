"""kill -9 at any statement while a snapshot is loaded into the cache."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from sync.cache.writer import Cache
from tests.factories import NOW, an_admission
from tests.patience import PATIENCE_S
from tests.unit.sync.cache.killed_spool import ROWS

OLD = an_admission()


def kill_at(folder: Path, statement: int) -> int:
    """How many statements ran, or minus the signal that ended it."""
    program = [sys.executable, "-m", "tests.unit.sync.cache.killed_spool", str(folder), str(statement)]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    return ended.returncode or int(ended.stdout)


def held(cache: Cache) -> tuple[int, list[str]]:
    found = cache._db.execute("select code_hash from admissions order by 1").fetchall()
    return cache.places()["event-1"].version, [code_hash for (code_hash,) in found]


def test_a_kill_at_any_statement_leaves_the_old_or_the_new_snapshot_and_no_spool(tmp_path: Path) -> None:
    before = (1, [OLD.code_hash])
    after = (2, sorted(row.code_hash for row in ROWS))
    states = []
    statements = whole_way(tmp_path / "whole")
    for statement in [1, 2, 5, 50, *range(statements - 14, statements + 1)]:
        folder = tmp_path / str(statement)
        prepare(folder)
        assert kill_at(folder, statement) == -signal.SIGKILL
        with closing(Cache(folder / "cache.db")) as cache:
            states.append(held(cache))
            assert cache.spool.path.name not in {path.name for path in folder.iterdir()}
            assert cache._db.execute("pragma integrity_check").fetchone() == ("ok",)
    assert all(state in (before, after) for state in states)
    assert states[0] == before
    assert after in states


def whole_way(folder: Path) -> int:
    prepare(folder)
    return kill_at(folder, 0)


def prepare(folder: Path) -> None:
    with closing(Cache(folder / "cache.db")) as cache:
        cache.put_snapshot("event-1", 1, cache.spool.fill([OLD]), NOW)
