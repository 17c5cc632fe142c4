"""The hub's statements have names of their own: of two with one name, one would silently be the other."""

from __future__ import annotations

from collections import Counter

from gate.common.named_queries import parse_queries
from hub.db.statements import query, sql_folder


def test_no_name_stands_in_two_files() -> None:
    names: Counter[str] = Counter()
    for file in (sql_folder() / "queries").iterdir():
        names.update(parse_queries(file.read_text(encoding="utf-8")).keys())
    assert [name for name, count in names.items() if count > 1] == []
    assert all(query(name) for name in names)
