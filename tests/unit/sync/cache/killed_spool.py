"""A sync that is killed in the middle of a snapshot; test_spool_killed.py runs it as a program.

Arguments: the folder, and the number of the SQLite statement at which it kills itself.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path

from sync.cache.writer import Cache
from tests.factories import NOW, an_admission, code_id

ROWS = [an_admission(code_id(number)) for number in range(100, 200)]


def main(folder: Path, last: int) -> None:
    """Load a snapshot and die at that statement."""
    done = 0

    def count(_statement: str) -> None:
        nonlocal done
        done += 1
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)

    class Traced(sqlite3.Connection):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[arg-type]
            self.set_trace_callback(count)

    cache = Cache(folder / "cache.db")
    cache._db.set_trace_callback(count)
    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **options: connect(*args, factory=Traced, **options)  # type: ignore[assignment]
    cache.put_snapshot("event-1", 2, cache.spool.fill(ROWS), NOW)
    sys.stdout.write(f"{done}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
