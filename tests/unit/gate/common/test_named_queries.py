"""SQL statements in a file, each below its name."""

from __future__ import annotations

from gate.common.named_queries import parse_queries


def test_statements_are_found_by_name() -> None:
    assert parse_queries("-- a --\n-- why\nSELECT 1\n\n-- b --\nSELECT 2\n") == {
        "a": "-- why\nSELECT 1",
        "b": "SELECT 2",
    }
