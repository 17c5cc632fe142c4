"""Damage to the files of a gate, as a worn card or a careless hand causes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gate.store.rows import PAGE


def zero_page(path: Path, number: int) -> None:
    """Zero a page, as a card that lost it."""
    data = bytearray(path.read_bytes())
    data[number * PAGE : (number + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(data)


def root_of(path: Path, name: str) -> int:
    """Number of the first page of a table or an index, from 0."""
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("select rootpage from sqlite_master where name = ?", (name,)).fetchall()
    return int(root) - 1


def set_aside(folder: Path) -> list[str]:
    """Names of the damaged journals beside the one in use, without their companions."""
    return sorted(path.name for path in folder.glob("journal.damaged-*.db"))
