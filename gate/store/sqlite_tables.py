"""sqlite-utils, imported without numpy.

It imports numpy wherever that is installed, for column types that no table of ours has. That costs sync,
which does not use it otherwise, 11 MB of memory and a third of its start.
"""

from __future__ import annotations

import sys
from typing import Any

_modules: dict[str, Any] = sys.modules
_is_hidden = "numpy" not in _modules
if _is_hidden:
    _modules["numpy"] = None  # an import of it fails, as if it were not installed

try:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations
finally:
    if _is_hidden:
        del _modules["numpy"]

__all__ = ["Database", "Migrations"]
