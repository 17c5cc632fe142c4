"""Which gates there are: added and renamed, by command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import psycopg

from hub.db.connection import Connection
from hub.db.statements import query
from hub.errors import NOTHING_CHANGED, HubError
from hub.gates.home_gates import find_gate, find_night
from sync.wire.topics import GATE_ID

LONGEST_NAME = 120
"""Characters; gates are sent no more (`hub.feed.config_bounds`)."""
_HUBS = re.compile("maguey-hub", re.IGNORECASE)


class GateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A gate as somebody wants it. `name`: what screens call it. `events`: codes of nights it serves."""

    gate_id: str
    name: str = ""
    events: tuple[str, ...] = ()

    @property
    def shown_name(self) -> str:
        """``gate-2`` is ``GATE 2`` unless it has a name, as at the gate itself."""
        return self.name or self.gate_id.replace("-", " ").upper()


def entry_mistakes(entry: GateEntry) -> Iterator[str]:
    """What is wrong with it, each with what was expected."""
    if not GATE_ID.fullmatch(entry.gate_id):
        yield (
            f"GATE: {entry.gate_id[:64]!r} is no gate's id: expected 1 to 64 letters, digits, '-', '_' or "
            "'.'."
        )
    elif _HUBS.match(entry.gate_id):
        yield "GATE: names that begin with 'maguey-hub' are the hub's own."
    yield from name_mistakes(entry.shown_name)


def name_mistakes(name: str) -> Iterator[str]:
    """What is wrong with a gate's name."""
    if not name.strip():
        yield "--name: is empty; expected for example 'GATE 1'."
    if len(name) > LONGEST_NAME:
        yield f"--name: expected at most {LONGEST_NAME} characters, not {len(name)}."
    if not name.isprintable():
        yield "--name: has characters that cannot be printed."


def add_gate(conn: Connection, venue: str, entry: GateEntry, actor: str) -> tuple[bool, int]:
    """Add a gate, or let one that is there serve further nights.

    :returns: whether the gate is new, and how many nights it serves that it did not before.
    :raises UsageError: there is no such night. HubError: the name belongs to a gate that was revoked, or to
        another venue, or there are too many. Nothing was changed.
    """
    try:
        with conn.transaction():
            return _add(conn, venue, entry, actor)
    except psycopg.errors.CheckViolation as error:
        raise HubError(f"{entry.gate_id} was not added: {error.diag.message_primary}.") from None


def rename_gate(conn: Connection, venue: str, gate_id: str, name: str, actor: str) -> bool:
    """Give a gate another name; its id stays. Returns whether it is new.

    :raises UsageError: there is no such gate.
    """
    find_gate(conn, venue, gate_id)
    with conn.transaction():
        wanted = {"venue": venue, "gate_id": gate_id, "name": name}
        is_new = conn.execute(query("rename_gate"), wanted).rowcount == 1
        if is_new:
            _note(conn, actor, "rename gate", gate_id, {"name": name})
    return is_new


def _add(conn: Connection, venue: str, entry: GateEntry, actor: str) -> tuple[bool, int]:
    wanted: dict[str, Any] = {"gate_id": entry.gate_id, "venue": venue, "name": entry.shown_name}
    is_new = conn.execute(query("add_gate"), wanted).rowcount == 1
    _check_usable(conn, venue, entry.gate_id)
    nights = [str(find_night(conn, code)["event_id"]) for code in entry.events]
    served = sum(_serve(conn, entry.gate_id, night) for night in nights)
    if is_new or served:
        _note(conn, actor, "add gate", entry.gate_id, {"venue": venue, "events": list(entry.events)})
    return is_new, served


def _check_usable(conn: Connection, venue: str, gate_id: str) -> None:
    row = conn.execute(query("gate"), {"gate_id": gate_id}).fetchone()
    if row is None or row["venue"] != venue:
        raise HubError(f"{gate_id} is a gate of another venue. {NOTHING_CHANGED}; choose another id.")
    if row["revoked"]:
        raise HubError(
            f"{gate_id} was revoked, and its id is never used again. {NOTHING_CHANGED}; choose another id."
        )


def _serve(conn: Connection, gate_id: str, event_id: str) -> int:
    return conn.execute(query("gate_serves_night"), {"gate_id": gate_id, "event_id": event_id}).rowcount


def _note(conn: Connection, actor: str, action: str, gate_id: str, details: dict[str, Any]) -> None:
    audit = {"actor": actor, "action": action, "target": gate_id, "reason": "by command"}
    conn.execute(query("write_audit"), audit | {"details": msgspec.json.encode(details).decode()})
