"""The two services as two users who share a folder: the steps, each in a process of that user.

Run as root by `test_two_users.py`. Prints one JSON object: what each step gave.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gate.bootstrap import journal
from gate.config import GateFile, HubSection
from gate.rules.model import Kind, Reason, Ruling, ScanRecord
from gate.store.cache import CacheReader
from sync.cache.writer import Cache
from sync.upload.outbox import Outbox

DOOR, SYNC, STRANGER = 64_001, 64_002, 64_003
GROUP = 64_100
NOW = datetime(2026, 11, 20, 23, tzinfo=UTC)


def as_user(uid: int, gid: int, do: Callable[[], Any], umask: int = 0o007) -> Any:
    """What `do` returns, done by a process of that user alone; an exception as its text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.umask(umask)
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        try:
            answer = {"is": do()}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "where": traceback.format_exc()}
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)  # as a crash would: no connection is closed in order
    os.close(writing)
    with os.fdopen(reading) as answers:
        answer = json.loads(answers.read())
    os.waitpid(child, 0)
    return answer.get("is", answer.get("error"))


def config(folder: Path) -> GateFile:
    hub = HubSection(url="http://hub", token_file="")
    return GateFile(
        gate_id="gate-1",
        venue="maguey",
        state_dir=str(folder),
        hub=hub,
    )


def record(seq: int) -> ScanRecord:
    return ScanRecord(
        scan_id=f"scan-{seq}",
        gate_id="gate-1",
        epoch="",
        seq=0,
        boot_id="boot",
        occurred_at=NOW,
        monotonic_ms=seq,
        verdict=Ruling.DENY,
        reason=Reason.UNKNOWN,
        line=5,
        kind=Kind.UNKNOWN,
    )


class Steps:
    """What door and sync do with the two files; `clean` closes them as a stopped service does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = config(folder)

    def scan(self, *, clean: bool) -> int:
        """The door records one scan."""
        opened = journal(self.config)
        with opened.turn() as turn:
            seq = turn.append(record(opened.last_seq() + 1)).seq
        if clean:
            opened.close()
        return seq

    def send(self, *, clean: bool) -> int:
        """Sync reads the journal."""
        outbox = Outbox(self.config.journal)
        found = outbox.last_seq()
        if clean:
            outbox.close()
        return found

    def fetch(self, version: int, *, clean: bool) -> int:
        """Sync writes the cache."""
        cache = Cache(self.config.cache)
        cache.put_snapshot("e", version, cache.spool.fill([]), NOW)
        if clean:
            cache.close()
        return version

    def look(self, *, clean: bool) -> int | None:
        """The door reads the cache."""
        reader = CacheReader(self.config.cache)
        version = reader.feed("e", NOW).version
        if reader.trouble is not None:
            raise reader.trouble
        if clean:
            reader.close()
        return version

    def read_raw(self) -> list[str]:
        return [str((self.folder / name).open("rb").read(6)) for name in ("journal.db", "cache.db")]

    def write_journal(self) -> None:
        """What sync's own connection to the journal refuses, though the file's permissions do not."""
        outbox = Outbox(self.config.journal)
        outbox.last_seq()
        assert outbox._db is not None
        outbox._db.execute("delete from scans")


def play(folder: Path, *, clean: bool) -> dict[str, Any]:
    """Every order of first comers: each file is opened first by its writer, then first by its reader."""
    steps, told = Steps(folder), {}
    told["door writes"] = as_user(DOOR, GROUP, lambda: steps.scan(clean=clean))
    told["sync reads"] = as_user(SYNC, GROUP, lambda: steps.send(clean=clean))
    told["door writes after sync"] = as_user(DOOR, GROUP, lambda: steps.scan(clean=clean))
    told["sync reads both"] = as_user(SYNC, GROUP, lambda: steps.send(clean=clean))
    told["sync writes"] = as_user(SYNC, GROUP, lambda: steps.fetch(1, clean=clean))
    told["door reads"] = as_user(DOOR, GROUP, lambda: steps.look(clean=clean))
    told["sync writes after door"] = as_user(SYNC, GROUP, lambda: steps.fetch(2, clean=clean))
    told["door reads the new"] = as_user(DOOR, GROUP, lambda: steps.look(clean=clean))
    told["sync may not write the journal"] = as_user(SYNC, GROUP, steps.write_journal)
    told["a stranger reads"] = as_user(STRANGER, STRANGER, steps.read_raw)
    told["modes"] = sorted({oct(one.stat().st_mode & 0o7777) for one in folder.glob("*.db*")})
    told["groups"] = sorted({one.stat().st_gid for one in folder.iterdir()})
    told["root writes"] = steps.scan(clean=clean)
    told["door writes after root"] = as_user(DOOR, GROUP, lambda: steps.scan(clean=clean))
    return told


def main() -> None:
    """Both endings, each in a folder as tmpfiles.d makes it.

    First all of it as root, so that every module is loaded: the users may not read where Python is.
    """
    with tempfile.TemporaryDirectory() as folder:
        steps = Steps(Path(folder))
        steps.scan(clean=True), steps.send(clean=True), steps.fetch(1, clean=True), steps.look(clean=True)
    told = {}
    for name, clean in (("closed", True), ("killed", False)):
        with tempfile.TemporaryDirectory(prefix="maguey-two-users-") as folder:
            Path(folder).chmod(0o711)
            state = Path(folder, "state")
            state.mkdir()
            os.chown(state, DOOR, GROUP)
            state.chmod(0o2770)
            told[name] = play(state, clean=clean)
    sys.stdout.write(json.dumps({"sqlite": sqlite3.sqlite_version, **told}))


if __name__ == "__main__":
    main()
