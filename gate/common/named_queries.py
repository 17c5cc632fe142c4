"""Queries live in `.sql` files, each under a comment line ``-- name --`` (as procrastinate does).

Pure: takes the text of such a file and returns its queries by name.
"""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- (?P<name>[a-z0-9_]+) --$", re.MULTILINE)


def parse_queries(text: str) -> dict[str, str]:
    """Split a file into its named queries. Text before the first name is a comment.

    :raises ValueError: a name appears twice.
    """
    pieces = _NAME.split(text)[1:]
    names, bodies = pieces[::2], pieces[1::2]
    if len(set(names)) < len(names):
        raise ValueError(f"a query name appears twice in {sorted(names)}")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}


def load_queries(package: str, name: str) -> dict[str, str]:
    """The queries of the file `name` in a package's folder ``sql/``."""
    return parse_queries((files(package) / "sql" / name).read_text("utf-8"))
