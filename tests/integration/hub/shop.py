"""Shared by the tests of orders and cancellation: a night on sale, payments, a crowd of connections."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec

from hub.db.connection import Connection, connect
from hub.ticketing.orders import Order, RecordedOrder, SoldTicket, record_ticket_order
from tests.integration.hub.world import World

T = TypeVar("T")
CROWD = 50
_number = itertools.count(1)

TYPES = [
    {"name": "General Admission", "price": 25, "capacity": 300},
    {"name": "Early Bird", "price": "15.00", "capacity": 5},
    {"name": "Balcony", "price": 40},
]


def night(world: World, *, starts_in: float = 60, code: str = "PF", capacity: int = 500, **types: Any) -> str:
    """A night that starts in so many minutes and ends eight hours later."""
    return str(
        world.one(
            "INSERT INTO events (name, code, event_date, doors_open_at, starts_at, ends_at, venue_capacity,"
            " ticket_types) SELECT %s, %s, current_date, at - interval '1 hour', at, at + interval '8 hours',"
            " %s, %s::jsonb FROM (SELECT now() + make_interval(secs => %s) AS at) n RETURNING id",
            f"Night {code}",
            code,
            capacity,
            msgspec.json.encode(types.get("types", TYPES)).decode(),
            starts_in * 60,
        )
    )


def order(event_id: str, **changes: Any) -> Order:
    """An order with a payment of its own."""
    number = next(_number)
    made: dict[str, Any] = {
        "event_id": event_id,
        "total_amount_cents": 12_345,
        "stripe_payment_intent_id": f"pi_{number}",
        "stripe_session_id": f"cs_{number}",
        "customer_email": "ana@example.com",
        "customer_name": "Ana",
    }
    return Order(**(made | changes))


def lines(
    count: int = 1, ticket_type: str = "General Admission", price_cents: int = 2500
) -> tuple[SoldTicket, ...]:
    """Ticket lines, each with its own number and code."""
    numbers = [next(_number) for _ in range(count)]
    return tuple(
        SoldTicket(
            ticket_id=f"MGY-T-{number:06d}",
            qr_code_data=f"MGY-PF-20260130-S{number:015d}",
            ticket_type=ticket_type,
            price_cents=price_cents,
        )
        for number in numbers
    )


def buy(conn: Connection, event_id: str, count: int = 1, **changes: Any) -> RecordedOrder:
    """Buy `count` tickets in one order; `changes` are fields of the order."""
    ticket_type = changes.pop("ticket_type", "General Admission")
    return record_ticket_order(conn, order(event_id, **changes), lines(count, ticket_type))


class Crowd:
    """Several connections that all do something at the same time."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections
        self._pool = ThreadPoolExecutor(len(connections))

    def do(self, what: Callable[[int, Connection], T]) -> list[T]:
        """What each of them got, in order. Raises what any of them raised."""
        start = threading.Barrier(len(self._connections))

        def one(number: int) -> T:
            start.wait()
            return what(number, self._connections[number])

        return list(self._pool.map(one, range(len(self._connections))))


@contextlib.contextmanager
def crowd(dsn: str, size: int = CROWD) -> Iterator[Crowd]:
    with contextlib.ExitStack() as stack:
        yield Crowd([stack.enter_context(connect(dsn, autocommit=True)) for _ in range(size)])
