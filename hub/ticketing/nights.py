"""Adds and changes nights in the database; the rules are in `hub.ticketing.night_plan`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, tzinfo
from typing import Any, TypeVar

import msgspec
from psycopg.errors import UniqueViolation
from psycopg.rows import DictRow

from hub.db.audit import Author, write_audit
from hub.db.connection import Connection, retry_conflicts
from hub.db.statements import query
from hub.errors import NOTHING_CHANGED, UsageError
from hub.gates.home_gates import find_night
from hub.ticketing.night_plan import (
    NightChange,
    NightNow,
    NightPlan,
    TicketType,
    change_mistakes,
)
from hub.ticketing.night_times import NightTimes, SaidTimes, TimeMistakes, night_times, said_time

T = TypeVar("T")
NOT_ADDED = "The night was not added"


class NightEdit(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks to be different about a night, as typed; None stays as it is."""

    name: str | None = None
    description: str | None = None
    day: str | None = None
    doors: str | None = None
    starts: str | None = None
    ends: str | None = None
    capacity: int | None = None
    types: tuple[TicketType, ...] | None = None
    gates: tuple[str, ...] | None = None

    @property
    def moves(self) -> bool:
        """Whether a time changes."""
        return any(one is not None for one in (self.day, self.doors, self.starts, self.ends))


def add_night(  # noqa: PLR0913, PLR0917 – what a night consists of
    conn: Connection, venue: str, plan: NightPlan, times: NightTimes, gates: Sequence[str] | None, by: Author
) -> tuple[str, Sequence[str]]:
    """Add a night, served by these gates; None: by all that are active.

    :returns: its id, and its gates.
    :raises UsageError: its code or its name is taken, or there is no such gate.
    """
    row = msgspec.structs.asdict(plan) | msgspec.structs.asdict(times) | {"types": _json(plan.types)}

    def write() -> tuple[str, Sequence[str]]:
        with conn.transaction():
            serving = _gates_of(conn, venue, gates, NOT_ADDED)
            _refuse_taken(conn, plan.code, plan.name)
            added = conn.execute(query("add_night"), row).fetchone()
            assert added is not None
            event_id = str(added["id"])
            conn.execute(query("serve_night"), {"event_id": event_id, "gates": serving})
            write_audit(conn, by, "add event", plan.code, {"event_id": event_id, "gates": serving})
            return event_id, serving

    try:
        return retry_conflicts(write)
    except UniqueViolation:  # added by somebody else in between
        _refuse_taken(conn, plan.code, plan.name)
        raise


def _refuse_taken(conn: Connection, code: str, name: str) -> None:
    taken = conn.execute(query("nights_called"), {"code": code, "name": name}).fetchall()
    wrong = [f"there is '{row['name']}' ({row['code']}) on {row['event_date']} already." for row in taken]
    if wrong:
        raise UsageError(NOT_ADDED, [f"CODE, --name: {one} Each night has its own." for one in wrong])


def _gates_of(conn: Connection, venue: str, wanted: Sequence[str] | None, not_done: str) -> list[str]:
    """The gates that were named; None: all that are active."""
    active = [row["gate_id"] for row in conn.execute(query("active_gates"), {"venue": venue}).fetchall()]
    if wanted is None:
        return active
    unknown = sorted(set(wanted) - set(active))
    if unknown:
        wrong = f"there is no active gate {', '.join(map(repr, unknown))[:200]}; "
        raise UsageError(not_done, [f"--gate: {wrong}maguey-hub gate list lists them."])
    return sorted(set(wanted))


def edit_night(  # noqa: PLR0913, PLR0917 – who asks for what, where and when
    conn: Connection, venue: str, name: str, edit: NightEdit, zone: tzinfo | None, by: Author
) -> tuple[dict[str, Any], DictRow]:
    """Change a night.

    :param name: its code or its id.
    :returns: what is different now, by column, and the night as it was.
    :raises UsageError: it may not be changed like this; nothing was.
    """

    def change(night: DictRow) -> tuple[dict[str, Any], DictRow]:
        serving = None if edit.gates is None else _gates_of(conn, venue, edit.gates, NOTHING_CHANGED)
        left = tuple(gate for gate in night["gates"] if serving is not None and gate not in serving)
        _check(night, edit, _times_after(night, edit, zone), left)
        after = _row_after(night, edit, _times_after(night, edit, zone))
        conn.execute(query("change_night"), after | {"event_id": night["event_id"]})
        different = {column: after[column] for column in after if after[column] != _row_of(night)[column]}
        different |= _serve(conn, night, serving, left)
        if different:
            write_audit(conn, by, "edit event", night["code"], {"event_id": night["event_id"]} | different)
        return different, night

    return _with_night(conn, name, change)


def _with_night(conn: Connection, name: str, change: Callable[[DictRow], T]) -> T:
    """Do something with a night that is locked meanwhile."""

    def transact() -> T:
        with conn.transaction():
            event_id = find_night(conn, name, "EVENT")["event_id"]
            night = conn.execute(query("lock_night"), {"event_id": event_id}).fetchone()
            assert night is not None  # nights are never deleted
            return change(night)

    return retry_conflicts(transact)


def _check(night: DictRow, edit: NightEdit, times: NightTimes | None, left: tuple[str, ...]) -> None:
    change = NightChange(
        name=edit.name, times=times, capacity=edit.capacity, types=edit.types, leave_gates=left
    )
    if wrong := list(change_mistakes(msgspec.convert(night, NightNow), change, night["now"])):
        raise UsageError(NOTHING_CHANGED, wrong)


def _times_after(night: DictRow, edit: NightEdit, zone: tzinfo | None) -> NightTimes | None:
    """Times that nobody mentions stay: at their instants, or if the date moves, at their times of day."""
    if not edit.moves:
        return None
    moved = edit.day is not None and edit.day != str(night["event_date"])

    def stays(column: str) -> str | None:
        at = night[column]
        return None if at is None else said_time(at, zone)[: 5 if moved else None]

    found = night_times(
        SaidTimes(
            day=edit.day or str(night["event_date"]),
            doors=edit.doors or stays("doors_open_at") or "",
            starts=edit.starts or stays("starts_at"),
            ends=edit.ends or stays("ends_at") or "",
        ),
        zone,
    )
    if isinstance(found, TimeMistakes):
        raise UsageError(NOTHING_CHANGED, found.lines)
    given = {"doors_open_at": edit.doors, "starts_at": edit.starts, "ends_at": edit.ends}
    kept = {} if moved else {column: night[column] for column, said in given.items() if said is None}
    return msgspec.structs.replace(found, **kept)


def _row_of(night: DictRow) -> dict[str, Any]:
    """The columns of `change_night`."""
    columns = ("name", "description", "doors_open_at", "starts_at", "ends_at")
    return {column: night[column] for column in columns} | {
        "day": night["event_date"],
        "capacity": night["venue_capacity"],
        "types": _json(night["ticket_types"]),
    }


def _row_after(night: DictRow, edit: NightEdit, times: NightTimes | None) -> dict[str, Any]:
    row = _row_of(night)
    given = {"name": edit.name, "description": edit.description, "capacity": edit.capacity}
    row |= {column: value for column, value in given.items() if value is not None}
    if times is not None:
        row |= msgspec.structs.asdict(times)
    if edit.types is not None:
        row["types"] = _json(edit.types)
    return row


def _serve(
    conn: Connection, night: DictRow, gates: list[str] | None, left: tuple[str, ...]
) -> dict[str, list[str]]:
    if gates is None or gates == night["gates"]:
        return {}
    conn.execute(query("leave_night"), {"event_id": night["event_id"], "gates": list(left)})
    conn.execute(query("serve_night"), {"event_id": night["event_id"], "gates": gates})
    return {"gates": gates}


def set_policy(conn: Connection, name: str, policy: str, by: Author) -> DictRow:
    """Set what gates do with a night's one-time tickets while they cannot ask; at any time of the night.

    :returns: the night as it was.
    """

    def change(night: DictRow) -> DictRow:
        if night["isolation_policy"] != policy:
            details = {"event_id": night["event_id"], "from": night["isolation_policy"], "to": policy}
            conn.execute(query("set_policy"), {"event_id": night["event_id"], "policy": policy})
            write_audit(conn, by, "set policy", night["code"], details)
        return night

    return _with_night(conn, name, change)


def night_now(conn: Connection, name: str) -> DictRow:
    """A night with its policy, gates and sales, by its code or its id. Raises `UsageError`: there is none."""
    return _with_night(conn, name, lambda night: night)


def list_nights(conn: Connection, now: datetime, *, past: bool, limit: int) -> list[DictRow]:
    """Nights with what is sold and who is in, the next one first."""
    return conn.execute(query("list_nights"), {"now": now, "past": past, "limit": limit}).fetchall()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
