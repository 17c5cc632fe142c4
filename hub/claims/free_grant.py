"""Frees a ticket that the hub granted to a gate which died before it could let anybody in (docs/adr/0015)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hub.db.connection import Connection, retry_conflicts
from hub.db.statements import query
from hub.errors import HubError, UsageError
from hub.gates.home_gates import find_night


class FreeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants freed. `ticket`: its ticket_id or id; `is_off`: they say that its gate is off."""

    event: str
    ticket: str
    is_off: bool
    actor: str
    reason: str


def free(conn: Connection, wish: FreeRequest, now: datetime) -> str:
    """Free a ticket that is held by a grant, and write down who did it and why.

    :returns: what came of it, in words.
    :raises HubError: nothing was changed; the message says why. UsageError: there is no such night or ticket.
    """
    told = retry_conflicts(lambda: _free(conn, wish, now))
    gate = told.get("gate", "")
    if told["outcome"] == "freed":
        return f"The ticket is free: the next gate that scans it admits it. {gate} is to stay off tonight."
    if told["outcome"] == "no ticket":
        raise UsageError(
            "Nothing was changed", ["TICKET: that night has no such ticket. Give its ticket_id."]
        )
    raise HubError(f"Nothing was changed: {_WHY[told['outcome']].format(gate=gate)}")


_WHY = {
    "no grant": "no gate holds it. Scan it again; the screen says what is wrong.",
    "used": "its guest came in at {gate}. Cancel nothing; ask who stands at the door.",
    "unread": (
        "{gate} holds it, and its scan may still come: something {gate} has sent since could not be read, "
        "and may be that very scan. The newest rows of scan_quarantine say what is wrong with it. The ticket "
        "stays taken; look whether its guest is in, and if not, order 'maguey-hub command GATE release'."
    ),
    "alive": (
        "{gate} holds it, and its scan may still come. A gate that runs gives it back within a minute. "
        "If it is dead: switch it off for the night, then 'maguey-hub retire' it (policy home_gate), or "
        "say --gate-is-off; either is believed once the gate was not heard for a minute."
    ),
}


def _free(conn: Connection, wish: FreeRequest, now: datetime) -> dict[str, str]:
    with conn.transaction():
        night = find_night(conn, wish.event)
        wanted = msgspec.structs.asdict(wish) | {"event_id": night["event_id"], "now": now}
        row = conn.execute(query("free_grant"), wanted).fetchone()
    assert row is not None  # a function's one row
    told: dict[str, str] = row["told"]
    return told
