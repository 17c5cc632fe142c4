"""A gate is revoked: nothing counts that it sends from then on (protocol 4.5, "Revocation")."""

from __future__ import annotations

from datetime import datetime

from hub.db.connection import Connection, retry_conflicts
from hub.db.statements import query
from hub.gates.home_gates import find_gate

NOT_REVOKED = "Nothing was changed"
_STILL_TO_DO = (
    "Its certificate still opens the broker: write the broker's list anew (maguey-hub broker-list), its "
    "certificate into crl.pem, and restart Mosquitto. If a night's tickets are divided among gates (policy "
    "home_gate), also retire it."
)


def revoke(  # noqa: PLR0913, PLR0917 - what is recorded of it
    conn: Connection, venue: str, gate_id: str, actor: str, reason: str, now: datetime
) -> str:
    """Revoke a gate for good, and write down who did it and why.

    :param now: the hub's time; what it took in before that counts.
    :returns: what came of it, in words, and what is left to do.
    :raises UsageError: the venue has no such gate; nothing was changed.
    """
    find_gate(conn, venue, gate_id, NOT_REVOKED)
    wanted = {"venue": venue, "gate_id": gate_id, "actor": actor, "reason": reason, "now": now}
    outcome = retry_conflicts(lambda: _revoke(conn, wanted))
    if outcome == "already":
        return f"{gate_id} was revoked before; nothing was changed. {_STILL_TO_DO}"
    return (
        f"{gate_id} is revoked: what it sends from now on is kept and counts for nothing, and what it was "
        f"granted and has not used is free. {_STILL_TO_DO}"
    )


def _revoke(conn: Connection, wanted: dict[str, object]) -> str:
    with conn.transaction():
        row = conn.execute(query("revoke_gate"), wanted).fetchone()
    assert row is not None  # a function's one row
    outcome: str = row["outcome"]
    return outcome
