"""How many tickets of a night are left."""

from __future__ import annotations

import msgspec

from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection


class TypeLeft(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket type; `capacity` and `remaining` are None if nothing limits it."""

    name: str
    sold: int
    capacity: int | None = None
    remaining: int | None = None
    price: float | str | None = None


class Availability(FunctionAnswer, frozen=True, kw_only=True):
    """A night. Cancelled and refunded tickets do not count as sold. `error`: ``EVENT_NOT_FOUND``."""

    event_id: str | None = None
    status: str = ""
    sold: int = 0
    capacity: int | None = None
    remaining: int | None = None
    types: tuple[TypeLeft, ...] = ()


def event_availability(conn: Connection, event_id: str) -> Availability:
    """How many tickets of a night are sold and left, in all and by type.

    :param event_id: uuid of the night.
    """
    return ask(conn, "event_availability", Availability, event_id=event_id)
