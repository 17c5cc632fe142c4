"""Revokes a gate: nothing it sends counts from then on (protocol 4.5, "Revocation")."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from hub.db.call import call
from hub.db.connection import Connection, retry_conflicts
from hub.db.statements import query
from hub.errors import HubError
from hub.gates.home_gates import find_gate, retire


def revoke(  # noqa: PLR0913 – all of it is recorded
    conn: Connection,
    venue: str,
    gate_id: str,
    *,
    actor: str,
    reason: str,
    now: datetime,
    stolen: bool = False,
) -> str:
    """Revoke a gate for good, and record who did it and why.

    :param now: the hub's time; what was stored before counts.
    :param stolen: it is told to erase its key and its guests' names when it next asks for its configuration.
    :returns: the result, in words.
    :raises UsageError: the venue has no such gate; nothing was changed.
    """
    find_gate(conn, venue, gate_id)
    wanted = {"venue": venue, "gate": gate_id, "actor": actor, "reason": reason, "now": now, "stolen": stolen}
    if retry_conflicts(lambda: _revoke(conn, wanted)) == "already":
        return f"{gate_id} was revoked before"
    return (
        f"{gate_id} is revoked: what it sends counts for nothing, its token is refused, and what it was "
        "granted and has not used is free"
    )


def leave_home(conn: Connection, gate_id: str, actor: str, reason: str, now: datetime) -> Iterator[str]:
    """Retire a gate wherever tickets are at home there (policy home_gate). What was done, a line a night."""
    for row in conn.execute(query("home_nights"), {"gate_id": gate_id}).fetchall():
        try:
            yield retire(conn, row["event_id"], gate_id, actor, reason, now)
        except HubError as error:
            yield str(error)


def _revoke(conn: Connection, wanted: dict[str, object]) -> str:
    with conn.transaction():
        outcome: str = call(conn, "revoke_gate", **wanted)
    return outcome
