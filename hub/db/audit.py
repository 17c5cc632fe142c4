"""Records who changed what, and why."""

from __future__ import annotations

from typing import Any

import msgspec

from hub.db.connection import Connection
from hub.db.statements import query


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes something, and why."""

    actor: str
    reason: str = ""


def write_audit(conn: Connection, by: Author, action: str, target: str, details: dict[str, Any]) -> None:
    """Record a change, in the transaction that makes it.

    :param details: without guests' names, because this is kept for good.
    """
    said = {"actor": by.actor, "reason": by.reason, "action": action, "target": target}
    conn.execute(query("write_audit"), said | {"details": msgspec.json.encode(details).decode()})
