"""Frees a ticket granted to a gate that died before it could let its guest in (docs/adr/0015)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from hub.db.call import call
from hub.db.connection import Connection, retry_conflicts
from hub.errors import NOTHING_CHANGED, HubError, UsageError
from hub.gates.home_gates import find_night


class FreeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to free. `ticket`: its ticket_id or id. `is_off`: somebody says that its gate is off."""

    event: str
    ticket: str
    is_off: bool
    actor: str
    reason: str


def free(conn: Connection, request: FreeRequest, now: datetime) -> str:
    """Free a ticket held by a grant, and record who did it and why.

    :returns: the result, in words.
    :raises HubError: nothing was changed; the message says why. UsageError: there is no such night or ticket.
    """
    answer = retry_conflicts(lambda: _free(conn, request, now))
    gate = answer.get("gate", "")
    if answer["outcome"] == "freed":
        return f"The ticket is free: the next gate that scans it admits it. Keep {gate} off tonight."
    if answer["outcome"] == "no ticket":
        raise UsageError(NOTHING_CHANGED, ["TICKET: that night has no such ticket. Give its ticket_id."])
    raise HubError(f"{NOTHING_CHANGED}: {_WHY[answer['outcome']].format(gate=gate)}")


_WHY = {
    "no grant": "no gate holds it. Scan it again; the screen says what is wrong.",
    "used": "its guest came in at {gate}. Do not cancel it; ask the person at the door.",
    "unread": (
        "{gate} holds it, and its scan may still come: something {gate} has sent since could not be read, "
        "and may be that scan. The newest rows of scan_quarantine say what is wrong with it. The ticket "
        "stays taken. Look whether its guest is in; if not, order 'maguey-hub command GATE release'."
    ),
    "alive": (
        "{gate} holds it, and its scan may still come. A running gate gives it back within a minute. If the "
        "gate is dead, switch it off for the night. Then 'maguey-hub retire' it (policy home_gate), or add "
        "--gate-is-off. Both are believed once the gate was silent for a minute."
    ),
}


def _free(conn: Connection, request: FreeRequest, now: datetime) -> dict[str, str]:
    with conn.transaction():
        night = find_night(conn, request.event)
        wanted = msgspec.structs.asdict(request) | {"event": night["event_id"], "now": now}
        answer: dict[str, str] = call(conn, "free_grant", **wanted)
    return answer
