"""Whatever settings say, they are read again as they were."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleet.inventory.toml_text import toml_text

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
tables = st.recursive(
    st.dictionaries(texts, scalars | st.lists(scalars, max_size=3), max_size=4),
    lambda inner: st.dictionaries(texts, scalars | inner, max_size=4),
    max_leaves=8,
)


def without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """A section without anything in it is not written."""
    kept = {key: without_empty(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in kept.items() if value != {}}


@given(tables)
def test_settings_are_read_again_as_they_were(table: dict[str, Any]) -> None:
    read = tomllib.loads(toml_text(table, "Written by a program.\nNot by hand."))
    assert without_empty(read) == without_empty(table)
