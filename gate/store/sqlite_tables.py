"""sqlite-utils, imported without numpy.

It imports numpy wherever that is installed, for column types that no table of ours has. That costs door and
sync, which do not use it otherwise, 11 MB of memory and a third of their start.
"""

from __future__ import annotations

from gate.common.without import without

with without("numpy"):
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

__all__ = ["Database", "Migrations"]
