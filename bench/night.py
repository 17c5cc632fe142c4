"""The night on which the door is measured: tickets, tables, and the order of guests. Pure."""

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
"""Tickets with real codes, which can be presented; the rest have only hashes."""
SEATS = 8
_VIP_EVERY = 10
"""One guest in this many belongs to a table, as on the demo's night."""


def event(now: datetime) -> Event:
    """A night whose doors are open."""
    return Event(
        event_id=EVENT_ID,
        code="PF",
        name="Perreo Fridays",
        doors_open_at=now - timedelta(hours=2),
        ends_at=now + timedelta(hours=6),
        capacity=1000,
    )


def code(number: int) -> str:
    """The code printed on a ticket."""
    body = f"{number:016d}"
    return f"MGY-PF-20261120-{body}{mod_37_36.calc_check_digit(f'MGYPF20261120{body}')}"


def presented(number: int) -> Presented:
    """A ticket as the door's loop passes it to the desk."""
    raw = code(number).encode()
    return Presented.of(raw)


def rows(tickets: int) -> Iterator[FeedRow]:
    """The feed of a night with so many tickets; every tenth is linked to a paid table."""
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
    """A hash for a code that is never presented; computing check characters would take most of the time."""
    return hashlib.sha256(b"%d" % number).hexdigest()


def _reservation(number: int) -> str:
    return f"019300aa-0000-7000-8000-2{number:011d}"


def guests(seed: int, among: int = PRINTED) -> Iterator[int]:
    """An endless series of ticket numbers to present.

    Tickets come in random order; one presentation in ten repeats an earlier ticket (a GA ticket is then
    refused, a guest of a table re-enters). After the last ticket it starts again.
    """
    rng = random.Random(seed)
    while True:
        order = list(range(among))
        rng.shuffle(order)
        for place, number in enumerate(order):
            yield number
            if place % 9 == 8:
                yield order[rng.randrange(place + 1)]
