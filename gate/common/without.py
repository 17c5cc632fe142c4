"""Imports a library without another one, which it loads wherever that is installed and we do not use."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

_modules: dict[str, Any] = sys.modules


@contextlib.contextmanager
def without(name: str) -> Iterator[None]:
    """Inside the block `name` cannot be imported, as if it were not installed, unless it is loaded already.

    For the import statements of one module and nothing else: other threads cannot import it either.
    """
    if name in _modules:
        yield
        return
    _modules[name] = None
    try:
        yield
    finally:
        del _modules[name]
