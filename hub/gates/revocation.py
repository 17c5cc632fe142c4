"""Revokes a gate: nothing it sends counts from then on (protocol 4.5, "Revocation")."""

from __future__ import annotations

from datetime import datetime

from hub.db.call import call
from hub.db.connection import Connection, retry_conflicts
from hub.gates.home_gates import find_gate

_STILL_TO_DO = (
    "The broker still accepts its certificate: write the broker's list again (maguey-hub broker-list), add "
    "the certificate to crl.pem, and restart Mosquitto. If it is a home gate of a night, also retire it."
)


def revoke(  # noqa: PLR0913, PLR0917 – all of it is recorded
    conn: Connection, venue: str, gate_id: str, actor: str, reason: str, now: datetime
) -> str:
    """Revoke a gate for good, and record who did it and why.

    :param now: the hub's time; what was stored before counts.
    :returns: the result and what is left to do, in words.
    :raises UsageError: the venue has no such gate; nothing was changed.
    """
    find_gate(conn, venue, gate_id)
    wanted = {"venue": venue, "gate": gate_id, "actor": actor, "reason": reason, "now": now}
    outcome = retry_conflicts(lambda: _revoke(conn, wanted))
    if outcome == "already":
        return f"{gate_id} was revoked before; nothing was changed. {_STILL_TO_DO}"
    return (
        f"{gate_id} is revoked: what it sends from now on is kept but counts for nothing, and what it was "
        f"granted and has not used is free. {_STILL_TO_DO}"
    )


def _revoke(conn: Connection, wanted: dict[str, object]) -> str:
    with conn.transaction():
        outcome: str = call(conn, "revoke_gate", **wanted)
    return outcome
