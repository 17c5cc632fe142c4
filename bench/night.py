"""The night the door is measured on: tickets, tables, and who comes in which order. Pure."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from datetime import datetime, timedelta

from stdnum.iso7064 import mod_37_36

from gate.rules.model import Admission, Event, FeedRow, Kind, ReservationStatus, Status, Table
from gate.rules.payload import code_hash
from gate.rules.presence import Presented

EVENT_ID = "019300aa-0000-7000-8000-000000000001"
PRINTED = 20_000
"""Tickets whose codes are worked out, so that they can be presented; of the rest only hashes exist."""
SEATS = 8
_VIP_EVERY = 10
"""One guest in so many belongs to a table, as on the seeded night of the demo."""


def event(now: datetime) -> Event:
    """A night that is on."""
    return Event(
        event_id=EVENT_ID,
        code="PF",
        name="Perreo Fridays",
        doors_open_at=now - timedelta(hours=2),
        ends_at=now + timedelta(hours=6),
        capacity=1000,
    )


def code(number: int) -> str:
    """What is printed on a ticket."""
    body = f"{number:016d}"
    return f"MGY-PF-20261120-{body}{mod_37_36.calc_check_digit(f'MGYPF20261120{body}')}"


def presented(number: int) -> Presented:
    """A ticket held up to the camera, as the door's loop hands it to the desk."""
    raw = code(number).encode()
    return Presented.of(raw)


def rows(tickets: int) -> Iterator[FeedRow]:
    """The feed of a night of so many tickets: every tenth is linked to a table that is paid for."""
    per_table = SEATS * _VIP_EVERY
    for number in range(0, tickets, per_table):
        yield _table(number // per_table)
    for number in range(tickets):
        yield _admission(number)


def _table(number: int) -> Table:
    return Table(
        reservation_id=_reservation(number),
        event_id=EVENT_ID,
        number=str(number),
        name=f"Terraza {number}",
        tier="premium",
        status=ReservationStatus.CONFIRMED,
        host="Ana Pérez",
        seats=SEATS,
        guests=tuple(f"Invitado {guest}" for guest in range(SEATS)),
    )


def _admission(number: int) -> Admission:
    is_vip = number % _VIP_EVERY == 0
    return Admission(
        code_hash=code_hash(code(number)) if number < PRINTED else _hash(number),
        subject_id=f"019300aa-0000-7000-8000-1{number:011d}",
        event_id=EVENT_ID,
        kind=Kind.VIP_LINKED if is_vip else Kind.GA,
        status=Status.ISSUED,
        ticket_type="General",
        holder=f"Guest {number}",
        reservation_id=_reservation(number // (SEATS * _VIP_EVERY)) if is_vip else None,
    )


def _hash(number: int) -> str:
    """The hash of a code nobody presents; working out its check character would take most of the time."""
    return hashlib.sha256(b"%d" % number).hexdigest()


def _reservation(number: int) -> str:
    return f"019300aa-0000-7000-8000-2{number:011d}"


def guests(seed: int, among: int = PRINTED) -> Iterator[int]:
    """Numbers of the tickets presented, one after the other, for ever.

    Tickets in random order; one presentation in ten is of a ticket that was presented before
    (a GA ticket is then refused, a guest of a table comes back). Once all have come they come again.
    """
    rng = random.Random(seed)
    while True:
        order = list(range(among))
        rng.shuffle(order)
        for place, number in enumerate(order):
            yield number
            if place % 9 == 8:
                yield order[rng.randrange(place + 1)]
