"""The hub's SQL statements by name, read once from `sql/queries/*.sql` (`gate.common.named_queries`)."""

from __future__ import annotations

import functools
from importlib import resources
from importlib.resources.abc import Traversable

from gate.common.named_queries import parse_queries


def sql_folder() -> Traversable:
    """The folder with `queries/`, `migrations/`, `objects/` and `schema.sql`."""
    return resources.files("hub") / "sql"


def query(name: str) -> bytes:
    """The statement called `name`, as bytes: psycopg accepts no `str` that was put together.

    :raises KeyError: there is none.
    """
    return _all()[name]


@functools.cache
def _all() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in (sql_folder() / "queries").iterdir():
        named = parse_queries(file.read_text(encoding="utf-8"))
        found |= {name: body.encode() for name, body in named.items()}
    return found
