"""The hub's statements have unique names: of two with the same name, one would silently replace the other."""

from __future__ import annotations

from collections import Counter

from gate.common.named_queries import parse_queries
from hub.db.statements import query, sql_folder


def test_no_statement_name_is_in_two_files() -> None:
    names: Counter[str] = Counter()
    for file in (sql_folder() / "queries").iterdir():
        names.update(parse_queries(file.read_text(encoding="utf-8")).keys())
    assert [name for name, count in names.items() if count > 1] == []
    assert all(query(name) for name in names)
