"""A night's tickets divided among its gates: what an operator may change of it (domain 2.3, situation 3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from hub.database import Connection, insisting
from hub.errors import HubError, UsageError
from hub.queries import query


def retire(  # noqa: PLR0913, PLR0917 - what is recorded of it
    conn: Connection, event: str, gate_id: str, actor: str, reason: str, now: datetime
) -> str:
    """Take a gate out for the night.

    :param event: its code or its id.
    :returns: what came of it, in words.
    :raises HubError: nothing was changed; the message says why. UsageError: there is no such night.
    """
    wanted = {"gate_id": gate_id, "actor": actor, "reason": reason, "now": now}
    night, outcome = insisting(lambda: _retire(conn, event, wanted))
    if outcome == "no home":
        raise HubError(_no_home(gate_id, night["name"], night["home_gates"]))
    if outcome == "last":
        raise HubError(
            f"{gate_id} is the last gate of '{night['name']}' with tickets of its own; nothing was changed. "
            "There is no other gate to send its guests to: repair or replace it."
        )
    if outcome == "already":
        return f"{gate_id} is out for '{night['name']}' already; nothing was changed."
    return f"{gate_id} is out for '{night['name']}': its tickets are at the other gates now. Leave it off."


def night_named(conn: Connection, name: str) -> DictRow:
    """A night by its code or its id. Raises `UsageError`: there is none."""
    night = conn.execute(query("event_named"), {"name": name}).fetchone()
    if night is None:
        raise UsageError(
            "Nothing was changed", [f"--event: no night '{name[:40]}'; give its code or its id."]
        )
    return night


def _retire(conn: Connection, event: str, wanted: dict[str, Any]) -> tuple[DictRow, str]:
    with conn.transaction():
        night = night_named(conn, event)
        row = conn.execute(query("retire_gate"), wanted | {"event_id": night["event_id"]}).fetchone()
    assert row is not None  # a function's one row
    return night, row["outcome"]


def _no_home(gate_id: str, night: str, homes: list[str]) -> str:
    if not homes:
        return (
            f"The tickets of '{night}' are not divided among gates (policy home_gate, from an hour before "
            "the doors open), so there is nothing to move; nothing was changed."
        )
    return (
        f"{gate_id} has no tickets of its own at '{night}', so there is nothing to move; nothing was "
        f"changed. Those with tickets of their own are {', '.join(homes)}."
    )
