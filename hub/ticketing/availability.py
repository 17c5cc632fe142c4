"""How many tickets of a night are left."""

from __future__ import annotations

import msgspec

from hub.db.call import FunctionAnswer, ask
from hub.db.connection import Connection


class TypeLeft(msgspec.Struct, frozen=True, kw_only=True):
    """Of one ticket type; `capacity` and `remaining` are None where nothing limits it."""

    name: str
    sold: int
    capacity: int | None = None
    remaining: int | None = None
    price: float | str | None = None


class Availability(FunctionAnswer, frozen=True, kw_only=True):
    """Of a night. Cancelled and refunded tickets are not sold. `error`: ``EVENT_NOT_FOUND``."""

    event_id: str | None = None
    status: str = ""
    sold: int = 0
    capacity: int | None = None
    remaining: int | None = None
    types: tuple[TypeLeft, ...] = ()


def event_availability(conn: Connection, event_id: str) -> Availability:
    """What is sold and left of a night, and of each of its types.

    :param event_id: uuid of the night.
    """
    return ask(conn, "event_availability", Availability, event_id=event_id)
