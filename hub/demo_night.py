"""One night for demos and tests: tickets, VIP tables, two gates. The same seed makes the same night.

Numbers by which a ticket can be presented at the demo's gates: 1–6 hosts of tables 1–6 (table 6 is not paid),
7–18 linked guests, 19–21 cancelled, 22–24 refunded, 25–500 general admission, 501–524 guest passes (524
cancelled), 525–534 tickets for the next night.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import uuid
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from psycopg.errors import UniqueViolation

from hub.db.connection import Connection
from hub.db.statements import query
from hub.errors import SeedError, UsageError
from hub.ticketing.codes import pass_code, printed_json, sign, ticket_code

GA_TICKETS = 500
PASSES_PER_TABLE = 4
LINKED_PER_TABLE = 2
NEXT_NIGHT_TICKETS = 10
_OUT_OF_USE = ("cancelled",) * 3 + ("refunded",) * 3
_CAPACITY = 500
_FIRST_YEAR, _LAST_YEAR = 1971, 2198
_TABLES = (
    ("Mezcal", "premium", 8),
    ("Tobala", "premium", 8),
    ("Espadin", "front_row", 8),
    ("Cuishe", "front_row", 8),
    ("Tepextate", "standard", 8),
    ("Jabali", "standard", 8),
)
_CENTS = {"premium": 150_000, "front_row": 100_000, "standard": 60_000}
_FIRST = (
    "Ana",
    "Luis",
    "Sofia",
    "Diego",
    "Camila",
    "Mateo",
    "Valeria",
    "Jorge",
    "Lucia",
    "Andres",
    "Elena",
    "Raul",
)
_LAST = (
    "Garcia",
    "Lopez",
    "Reyes",
    "Cruz",
    "Flores",
    "Ramos",
    "Ortiz",
    "Vega",
    "Soto",
    "Luna",
    "Mora",
    "Rios",
)

SeedRow = dict[str, Any]


class SeedTicket(msgspec.Struct, frozen=True, kw_only=True):
    """One code to present. `printed`: the text to print as QR (the code, or the Maguey JSON)."""

    number: int
    code: str
    printed: str
    form: Literal["plain", "json"]
    kind: str
    event: str
    subject_id: str
    holder: str
    status: str
    table: int | None = None


class SeedGate(msgspec.Struct, frozen=True, kw_only=True):
    """A gate with its bearer token, which is nowhere but in this file."""

    gate_id: str
    name: str
    token: str


class SeedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two nights."""

    event_id: str
    code: str
    name: str
    doors_open_at: datetime
    ends_at: datetime


class SeedFile(msgspec.Struct, frozen=True, kw_only=True):
    """What `maguey-hub seed-demo --out` writes, as JSON."""

    venue: str
    event_id: str
    events: tuple[SeedEvent, ...]
    gates: tuple[SeedGate, ...]
    tickets: tuple[SeedTicket, ...]
    v: int = 1


class DemoNight(msgspec.Struct, frozen=True):
    """When the doors open and when it ends; aware. `day` is the date in its codes."""

    day: date
    doors_open_at: datetime
    ends_at: datetime

    def next(self) -> DemoNight:
        """The night after."""
        one = timedelta(days=1)
        return DemoNight(self.day + one, self.doors_open_at + one, self.ends_at + one)


def demo_night_of(day: date | None, now: datetime) -> DemoNight:
    """Tonight, from an hour ago for nine hours; or a given date, from 22:00 to 06:00.

    :param now: aware; its time zone is the venue's.
    :raises UsageError: the date is too early or late: every time at the hub is within 1970 to 2199.
    """
    if day is not None and not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise UsageError(
            "Nothing was written", [f"--date {day}: choose a date from {_FIRST_YEAR} to {_LAST_YEAR}."]
        )
    if day is None:
        doors = now.replace(microsecond=0) - timedelta(hours=1)
        return DemoNight(doors.date(), doors, doors + timedelta(hours=9))
    doors = datetime.combine(day, time(22), tzinfo=now.tzinfo)
    return DemoNight(day, doors, doors + timedelta(hours=8))


class _Maker:
    """Collects rows for the database and tickets for the file, in a fixed order."""

    def __init__(self, venue: str, night: DemoNight, source: random.Random, gates: int) -> None:
        self.venue = venue
        self.source = source
        self.gates = gates
        self.key = source.randbytes(32)
        self.rows: dict[str, list[SeedRow]] = {name: [] for name in _ORDER}
        self.tickets: list[SeedTicket] = []
        self.tonight = self._event("PF", "Perreo Fridays", night)
        self.tomorrow = self._event("PS", "Perreo Saturdays", night.next())
        self._days = {"PF": night.day, "PS": night.next().day}

    def make(self) -> SeedFile:
        reservations = [self._table(place) for place in range(len(_TABLES))]
        for reservation in reservations:
            self._link(reservation, self._ticket(self.tonight, "vip_host", reservation))
        for reservation in reservations:
            for _ in range(LINKED_PER_TABLE):
                self._link(reservation, self._ticket(self.tonight, "vip_linked", reservation))
        for status in _OUT_OF_USE:
            self._ticket(self.tonight, "ga", status=status)
        while len(self.tickets) < GA_TICKETS:
            self._ticket(self.tonight, "ga")
        for reservation in reservations:
            for guest in range(1, PASSES_PER_TABLE + 1):
                last = reservation is reservations[-1] and guest == PASSES_PER_TABLE
                self._pass(reservation, guest, "cancelled" if last else "issued")
        for _ in range(NEXT_NIGHT_TICKETS):
            self._ticket(self.tomorrow, "ga")
        gates = tuple(self._gate(number + 1) for number in range(self.gates))
        return SeedFile(
            venue=self.venue,
            event_id=self.tonight.event_id,
            events=(self.tonight, self.tomorrow),
            gates=gates,
            tickets=tuple(self.tickets),
        )

    def _id(self) -> str:
        return str(uuid.UUID(int=self.source.getrandbits(128), version=4))

    def _name(self) -> str:
        return f"{self.source.choice(_FIRST)} {self.source.choice(_LAST)}"

    def _event(self, code: str, name: str, night: DemoNight) -> SeedEvent:
        event = SeedEvent(
            event_id=self._id(),
            code=code,
            name=name,
            doors_open_at=night.doors_open_at,
            ends_at=night.ends_at,
        )
        types = [{"name": "General Admission", "price": 25, "capacity": _CAPACITY}]
        row = {"id": event.event_id, "code": code, "name": name, "event_date": night.day}
        row |= {"doors_open_at": night.doors_open_at, "ends_at": night.ends_at}
        row |= {"venue_capacity": _CAPACITY, "ticket_types": types, "description": "A night of the demo."}
        self.rows["seed_events"].append(row)
        return event

    def _table(self, place: int) -> SeedRow:
        name, tier, seats = _TABLES[place]
        number, cents = place + 1, _CENTS[tier]
        table = {
            "id": self._id(),
            "event_id": self.tonight.event_id,
            "table_number": number,
            "table_name": name,
        }
        table |= {"tier": tier, "price": cents / 100, "price_cents": cents, "capacity": seats}
        table |= {"bottles_included": 2, "floor_section": "main", "is_available": False}
        table |= {"position_x": 100 + 150 * place, "position_y": 120}
        self.rows["seed_tables"].append(table)
        host = self._name()
        row = {"id": self._id(), "event_id": self.tonight.event_id, "event_vip_table_id": table["id"]}
        row |= {"table_number": number, "purchaser_name": host, "purchaser_email": _mail(host)}
        row |= {"status": "pending" if number == len(_TABLES) else "confirmed", "amount_paid_cents": cents}
        row |= {"qr_code_token": None, "invite_code": f"{name.upper()}-{self.source.getrandbits(40):010X}"}
        row |= {"package_snapshot": {"guestCount": seats, "tier": tier}}
        self.rows["seed_reservations"].append(row)
        return row

    def _ticket(
        self, event: SeedEvent, kind: str, reservation: SeedRow | None = None, status: str = "issued"
    ) -> SeedTicket:
        code = ticket_code(event.code, self._days[event.code], self.source)
        holder = reservation["purchaser_name"] if reservation and kind == "vip_host" else self._name()
        # every third ticket is in the form the purchase site prints
        signature = sign(code, self.key) if len(self.tickets) % 3 == 2 else None
        ticket = self._add(code, signature, kind, event.code, holder, status, reservation)
        row: SeedRow = {
            "id": ticket.subject_id,
            "ticket_id": code,
            "qr_code_data": code,
            "qr_signature": signature,
        }
        row |= {"event_id": event.event_id, "event_name": event.name, "ticket_type": "General Admission"}
        row |= {"status": status, "guest_name": holder, "guest_email": _mail(holder)}
        row |= {"price_paid": 25, "price_paid_cents": 2500}
        self.rows["seed_tickets"].append(row)
        return ticket

    def _pass(self, reservation: SeedRow, guest: int, status: str) -> None:
        code, holder = pass_code(self.source), self._name()
        signature = sign(code, self.key) if guest % 2 == 0 else None
        made = self._add(code, signature, "vip_pass", self.tonight.code, holder, status, reservation)
        row: SeedRow = {"id": made.subject_id, "reservation_id": reservation["id"], "guest_number": guest}
        row |= {"guest_name": holder, "qr_code_token": code, "qr_signature": signature, "status": status}
        self.rows["seed_passes"].append(row)

    def _add(  # noqa: PLR0913, PLR0917 – the columns of the file
        self,
        code: str,
        signature: str | None,
        kind: str,
        event: str,
        holder: str,
        status: str,
        reservation: SeedRow | None,
    ) -> SeedTicket:
        reservation_id = reservation["id"] if reservation else None
        made = SeedTicket(
            number=len(self.tickets) + 1,
            code=code,
            printed=printed_json(code, signature, reservation_id) if signature else code,
            form="json" if signature else "plain",
            kind=kind,
            event=event,
            subject_id=self._id(),
            holder=holder,
            status=status,
            table=reservation["table_number"] if reservation else None,
        )
        self.tickets.append(made)
        return made

    def _link(self, reservation: SeedRow, ticket: SeedTicket) -> None:
        row = {"id": self._id(), "vip_reservation_id": reservation["id"], "ticket_id": ticket.subject_id}
        row |= {"purchased_by_name": ticket.holder, "purchased_by_email": _mail(ticket.holder)}
        row |= {"is_booker_purchase": ticket.kind == "vip_host", "linked_by": "seed-demo"}
        self.rows["seed_links"].append(row)

    def _gate(self, number: int) -> SeedGate:
        token = base64.urlsafe_b64encode(self.source.randbytes(32)).decode().rstrip("=")
        gate = SeedGate(gate_id=f"gate-{number}", name=f"GATE {number}", token=token)
        hashed = hashlib.sha256(token.encode()).hexdigest()
        row = {"gate_id": gate.gate_id, "venue": self.venue, "name": gate.name, "token_hash": hashed}
        self.rows["seed_gates"].append(row)
        # tomorrow's list as well, so that its guests see which night their ticket is for
        for night in (self.tonight, self.tomorrow):
            self.rows["seed_gate_events"].append({"gate_id": gate.gate_id, "event_id": night.event_id})
        return gate


_ORDER: Sequence[str] = (
    "seed_events",
    "seed_tickets",
    "seed_tables",
    "seed_reservations",
    "seed_passes",
    "seed_links",
    "seed_gates",
    "seed_gate_events",
)


def seed_demo(  # noqa: PLR0913, PLR0917 – what a night consists of
    conn: Connection, venue: str, night: DemoNight, source: random.Random, out: Path, gates: int = 2
) -> SeedFile:
    """Write the demo's night into an empty, migrated database, and its secrets into `out`.

    :raises SeedError: the database has one already, or the file cannot be written; nothing was changed.
    """
    maker = _Maker(venue, night, source, gates)
    made = maker.make()
    try:
        with conn.transaction():
            _refuse_if_seeded(conn)
            for name in _ORDER:
                conn.execute(query(name), {"rows": msgspec.json.encode(maker.rows[name]).decode()})
            # before the commit, because a night whose tokens nobody has would be useless
            _write(out, msgspec.json.format(msgspec.json.encode(made)))
    except UniqueViolation as error:
        what = error.diag.constraint_name
        raise SeedError(f"The database already has parts of the demo ({what}). Use an empty one.") from None
    return made


def _refuse_if_seeded(conn: Connection) -> None:
    row = conn.execute(query("already_seeded"), {"codes": ["PF", "PS"]}).fetchone()
    if row is not None:
        raise SeedError(
            f"This database already has '{row['name']}'; nothing was changed. "
            "To seed another night, create an empty database and migrate it."
        )


def _write(out: Path, data: bytes) -> None:
    """Readable by its owner only, because it has every code and the gates' tokens."""
    try:
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "wb") as opened:
            os.fchmod(file, 0o600)
            opened.write(data)
    except OSError as error:
        raise SeedError(f"{out} cannot be written: {error.strerror}. Nothing was changed.") from None


def _mail(name: str) -> str:
    return name.lower().replace(" ", ".") + "@example.org"
