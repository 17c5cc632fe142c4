"""The base of every value that is passed around."""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all values here: immutable, named fields."""
