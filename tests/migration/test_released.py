"""A released migration is never edited: a club's database has it already, and would not get it again."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tests.migration.versions import FILES, FOLDER, early, edited, released


def test_no_released_migration_is_edited() -> None:
    names = edited(FOLDER)
    assert not names, (
        f"{', '.join(names)}: edited or removed, and databases of a released version keep what it was. "
        "Restore it (git log -- FILE) and put the change into a new migration."
    )


def test_a_new_migration_comes_after_all_released_ones() -> None:
    """The runner goes by name: a new database gets an early one in its place, an old one gets it last."""
    names = early(FOLDER)
    assert not names, f"{', '.join(names)}: sorts before {max(released(FOLDER))}. Give it a later time."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The migrations as they are now, released."""
    for file in FILES:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}" for file in FILES]
    (tmp_path / "released.txt").write_text("\n".join(("# 1.0", *lines)) + "\n")
    return tmp_path


def test_what_is_as_it_was_released_is_no_mistake(folder: Path) -> None:
    assert (len(released(folder)), edited(folder), early(folder)) == (len(FILES), [], [])


def test_an_edited_and_a_removed_migration_are_noticed(folder: Path) -> None:
    with (folder / FILES[3].name).open("a") as file:
        file.write("-- edited\n")
    (folder / FILES[0].name).unlink()
    assert edited(folder) == [FILES[0].name, FILES[3].name]


def test_a_migration_put_before_a_released_one_is_noticed(folder: Path) -> None:
    (folder / "20260101000001_between.sql").touch()
    (folder / "20990101000000_after.sql").touch()
    assert early(folder) == ["20260101000001_between.sql"]


def test_names_are_a_time_and_words() -> None:
    assert [file.name for file in FILES if not re.fullmatch(r"\d{14}_[a-z0-9_]+\.sql", file.name)] == []
    times = [file.name[:14] for file in FILES]
    assert sorted(set(times)) == times
