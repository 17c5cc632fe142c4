"""What was released is never edited: a club's database has it already, and would not get it again."""

from __future__ import annotations

import hashlib
import re

from tests.migration.versions import FILES, FOLDER, VERSIONS, released

LATE = {
    "20260101000300_people_and_roles.sql",
    "20260101000400_orders_and_payments.sql",
    "20260130000000_add_payment_constraints_and_failures.sql",
}
"""They sort before files of 0.4. That they work after those as well: `test_old_database.py`."""


def test_a_released_migration_is_never_edited() -> None:
    edited = [name for name, digest in released().items() if _digest(name) != digest]
    assert not edited, (
        f"{', '.join(edited)}: edited or removed, and databases of a released version keep what it was. "
        "Restore it (git log -- FILE) and put the change into a new migration: create or replace, alter."
    )


def test_a_new_migration_comes_after_all_released_ones() -> None:
    """The runner goes by name: a new database gets an early one in its place, an old one gets it last."""
    last = max(released())
    early = {file.name for file in FILES if file.name < last} - set(released()) - LATE
    assert not early, (
        f"{', '.join(sorted(early))}: sorts before {last}, which databases of {list(VERSIONS)[-1]} have. "
        "Give it a later time; or show in test_old_database.py that it works there too, and add it to LATE."
    )


def test_names_are_a_time_and_words() -> None:
    assert [file.name for file in FILES if not re.fullmatch(r"\d{14}_[a-z0-9_]+\.sql", file.name)] == []
    times = [file.name[:14] for file in FILES]
    assert sorted(set(times)) == times


def test_no_file_is_released_twice() -> None:
    names = [name for files in VERSIONS.values() for name in files]
    assert sorted(set(names)) == sorted(names)
    assert {"0.4"} <= set(VERSIONS)


def _digest(name: str) -> str:
    file = FOLDER / name
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else "gone"
