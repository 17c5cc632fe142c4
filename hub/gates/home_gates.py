"""What an operator may change about home gates: retiring a dead one (domain 2.3, situation 3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from hub.db.call import call
from hub.db.connection import Connection, retry_conflicts
from hub.db.statements import query
from hub.errors import NOTHING_CHANGED, HubError, UsageError
from hub.gates.health import printable


def retire(  # noqa: PLR0913, PLR0917 – all of it is recorded
    conn: Connection, event: str, gate_id: str, actor: str, reason: str, now: datetime
) -> str:
    """Take a gate out for the night.

    :param event: its code or its id.
    :returns: the result, in words.
    :raises HubError: nothing was changed; the message says why. UsageError: there is no such night.
    """
    wanted = {"gate": gate_id, "actor": actor, "reason": reason, "now": now}
    night, outcome = retry_conflicts(lambda: _retire(conn, event, wanted))
    if outcome == "no home":
        raise HubError(_no_home(gate_id, night["name"], night["home_gates"]))
    if outcome == "last":
        raise HubError(
            f"{gate_id} is the last gate of '{night['name']}' with tickets of its own; nothing was changed. "
            "There is no other gate for its guests: repair or replace it."
        )
    if outcome == "already":
        return f"{gate_id} is out for '{night['name']}' already; nothing was changed."
    return f"{gate_id} is out for '{night['name']}': its tickets are at the other gates now. Leave it off."


def find_night(conn: Connection, name: str, option: str = "--event") -> DictRow:
    """A night by its code or its id.

    :param option: how the command line names it.
    :raises UsageError: there is none.
    """
    night = conn.execute(query("find_event"), {"name": name}).fetchone()
    if night is None:
        unknown = (
            f"{option}: there is no night '{printable(name[:40])}'; give its code, for example PF, or its id."
        )
        raise UsageError(NOTHING_CHANGED, [unknown])
    return night


def find_gate(conn: Connection, venue: str, gate_id: str, what: str = NOTHING_CHANGED) -> DictRow:
    """A gate of the venue, as the query `gate_to_order` returns it.

    :param what: what was not done if there is none.
    :raises UsageError: there is none.
    """
    gate = conn.execute(query("gate_to_order"), {"venue": venue, "gate_id": gate_id}).fetchone()
    if gate is None:
        named = printable(gate_id[:64])
        raise UsageError(
            what, [f"GATE: venue '{venue}' has no gate '{named}'; maguey-hub gate list lists them."]
        )
    return gate


def _retire(conn: Connection, event: str, wanted: dict[str, Any]) -> tuple[DictRow, str]:
    with conn.transaction():
        night = find_night(conn, event)
        return night, call(conn, "retire_gate", event=night["event_id"], **wanted)


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
