"""The hub's SQL statements by name, read once from `sql/queries/*.sql`.

A statement starts with ``-- name --`` on a line of its own, as in procrastinate.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from importlib.resources.abc import Traversable

_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)


def sql_folder() -> Traversable:
    """The folder with `queries/`, `migrations/` and `schema.sql`."""
    return resources.files("hub") / "sql"


def query(name: str) -> bytes:
    """The statement called `name`; KeyError if there is none."""
    return _all()[name]


@functools.cache
def _all() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in (sql_folder() / "queries").iterdir():
        found |= parse(file.read_text(encoding="utf-8"))
    return found


def parse(text: str) -> dict[str, bytes]:
    """Split a file into its named statements."""
    parts = _NAME.split(text)
    return {name: body.strip().encode() for name, body in zip(parts[1::2], parts[2::2], strict=True)}
