"""A door killed at every step of setting a damaged journal aside and salvaging it, twice: docs/adr/0012."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import CodeType

import pytest

from gate.recovery import open_journal as opening
from gate.recovery import rebuild_journal as salvage
from gate.recovery.open_journal import JournalOpener
from gate.rules.payload import code_hash
from gate.store import journal
from gate.store.cache import LinkState
from gate.store.journal import Journal
from tests.damage import root_of, set_aside, zero_page
from tests.deaths import Doom
from tests.factories import StoppedClock, a_record, code_id
from tests.lean import lean

GUESTS = 3
STEPS = {module.__file__ for module in (opening, salvage, journal)}
READING = {"_read_all", "_keep", "_keep_row", "_keep_note", "_pages", "_chunks"}
"""They work row by row on a file that nobody uses yet: a kill at one row is like a kill at any other."""


def an_opening(folder: Path) -> JournalOpener:
    return JournalOpener(
        path=folder / "journal.db",
        gate_id="gate-1",
        new_epoch=lambda: "epoch-2",
        hub=LinkState,
        clock=StoppedClock(),
    )


def a_night(folder: Path) -> Journal:
    folder.mkdir()
    made = Journal(folder / "journal.db", "gate-1", "epoch-1")
    for n in range(1, GUESTS + 1):
        with made.turn() as turn:
            turn.append(a_record(n, code_hash=code_hash(code_id(n))))
        made.mark_opening(a_record(n).scan_id)
    made.settle()
    return made


def index_lost(folder: Path) -> None:
    """Nothing is missing, so the numbering continues."""
    a_night(folder).close()
    zero_page(folder / "journal.db", root_of(folder / "journal.db", "scans_of_a_code"))


def notes_lost(folder: Path) -> None:
    """The numbering is lost, so a new epoch begins."""
    a_night(folder).close()
    zero_page(folder / "journal.db", root_of(folder / "journal.db", "meta"))


def log_spoiled(folder: Path) -> None:
    """Everything is in the write-ahead log left by a crash, and SQLite would discard it."""
    made = a_night(folder)
    files = {end: (folder / f"journal.db{end}").read_bytes() for end in ("", "-wal")}
    made.close()
    for end, data in files.items():
        (folder / f"journal.db{end}").write_bytes(data)
    log = bytearray(files["-wal"])
    log[32 + 24 + 200] ^= 1
    (folder / "journal.db-wal").write_bytes(log)


def deleted_under_the_door(folder: Path) -> None:
    """The door saved its own copy beside it; what was put in the journal's place is somebody else's."""
    made = a_night(folder)
    (folder / "journal.db").unlink()
    an_opening(folder).close_journal(made)
    Journal(folder / "journal.db", "gate-1", "somebody's").close()


def is_a_step(code: CodeType) -> bool:
    return code.co_filename in STEPS and code.co_name not in READING


def opened_in_a_process(folder: Path, fatal: int | None) -> list[int]:
    """Open the journal and be killed at `fatal`; if None, find where a kill matters."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            doom = Doom(folder, is_a_step, fatal)
            sys.settrace(doom.called)
            an_opening(folder).open()
            sys.settrace(None)
            os.write(writing, json.dumps(doom.different).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        told = said.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or told, "it failed by itself"
    different: list[int] = json.loads(told or "[]")
    return different


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        end: (folder / f"journal.db{end}").read_bytes()
        for end in ("", "-wal")
        if (folder / f"journal.db{end}").exists()
    }


@pytest.mark.parametrize("damage", [index_lost, notes_lost, log_spoiled, deleted_under_the_door])
def test_a_salvage_killed_at_any_step_and_then_once_more_loses_nothing(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    places, again = lean(killed_at_each_twice, tmp_path, damage)
    assert places > 3
    assert again > 3


def killed_at_each_twice(tmp_path: Path, damage: Callable[[Path], None]) -> tuple[int, int]:
    """At how many places the first opening was killed, and at how many different ones the second.

    Each time the second is killed at the next of its own places, in turn.
    """
    second: set[int] = set()
    damage(tmp_path / "damaged")
    damaged = files_of(tmp_path / "damaged")
    fatals = opened_in_a_process(Path(shutil.copytree(tmp_path / "damaged", tmp_path / "0")), None)
    for number, fatal in enumerate(fatals):
        folder = Path(shutil.copytree(tmp_path / "damaged", tmp_path / str(fatal)))
        opened_in_a_process(folder, fatal)
        shutil.copytree(folder, tmp_path / "looked at")
        places = opened_in_a_process(tmp_path / "looked at", None)
        shutil.rmtree(tmp_path / "looked at")
        again = places[number % len(places)]
        opened_in_a_process(folder, again)
        second.add(again)
        nothing_is_lost(folder, damaged, fatal)
        shutil.rmtree(folder)
    return len(fatals), len(second)


def nothing_is_lost(folder: Path, damaged: dict[str, bytes], fatal: int) -> None:
    with closing(an_opening(folder).open()) as opened:
        with opened.turn() as turn:
            known = [n for n in range(1, GUESTS + 1) if turn.past(code_hash(code_id(n))).entries]
        assert known == list(range(1, GUESTS + 1)), f"forgotten after statement {fatal}"
        assert opened.unopened() == [], f"annulled after statement {fatal}"
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        assert [seq for (seq,) in db.execute("select seq from scans order by seq")] == known
    [kept] = set_aside(folder)
    aside = {end: (folder / f"{kept}{end}").read_bytes() for end in damaged}
    assert aside == damaged, f"not what was damaged, after statement {fatal}"
    left = {
        path.name for path in folder.iterdir() if not path.name.startswith(("journal.damaged-", "journal.db"))
    }
    assert left == set(), f"left over after statement {fatal}"
