"""What the hub has before the doors open: the night, its gates, its tickets, one table with its guests."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from tests.simulation.agenda import START
from tests.simulation.carrier import token_of
from tests.simulation.database import Session
from tests.simulation.hub import VENUE
from tests.simulation.plan import Plan, Ticket

_TICKET = "insert into tickets (id, ticket_id, event_id, qr_code_data, guest_name) "


def _columns(ticket: Ticket, plan: Plan) -> tuple[object, ...]:
    return ticket.id, ticket.code, plan.event_id, ticket.code, f"Guest {ticket.number}"


def sale(ticket: Ticket, plan: Plan) -> tuple[str, tuple[object, ...]]:
    """The statement that sells a ticket, and its values."""
    return _TICKET + "values (%s, %s, %s, %s, %s)", _columns(ticket, plan)


def set_up(session: Session, plan: Plan) -> None:
    """The hub's tables before the doors open."""
    doors, ends = (START + timedelta(microseconds=at) for at in (plan.doors_us, plan.ends_us))
    session.execute(
        "insert into events (id, name, code, event_date, doors_open_at, ends_at, venue_capacity,"
        " isolation_policy) values (%s, 'Perreo Fridays', 'PF', %s, %s, %s, 500, %s)",
        (plan.event_id, START.date(), doors, ends, plan.policy),
    )
    for gate_id in sorted(plan.rates):
        token = hashlib.sha256(token_of(gate_id).encode()).hexdigest()
        session.execute(
            "insert into gates (gate_id, venue, name, token_hash) values (%s, %s, %s, %s)",
            (gate_id, VENUE, gate_id.upper(), token),
        )
        session.execute("insert into gate_events values (%s, %s)", (gate_id, plan.event_id))
    of = {
        kind: [one for one in plan.tickets if one.kind == kind] for kind in ("ga", "host", "linked", "pass")
    }
    tickets = [*of["ga"], *of["host"], *of["linked"]]
    session.execute(
        (
            _TICKET + "select * from unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[])"
        ).encode(),
        [list(column) for column in zip(*(_columns(ticket, plan) for ticket in tickets), strict=True)],
    )
    _set_up_table(session, plan, of)


def _set_up_table(session: Session, plan: Plan, of: dict[str, list[Ticket]]) -> None:
    table = session.execute(
        "insert into event_vip_tables (event_id, table_number, table_name, tier, capacity)"
        " values (%s, 1, 'Mezcal', 'premium', 20) returning id",
        (plan.event_id,),
    ).fetchone()
    assert table is not None
    session.execute(
        "insert into vip_reservations (id, event_id, event_vip_table_id, table_number, purchaser_name,"
        " status) values (%s, %s, %s, 1, 'Luis', 'confirmed')",
        (plan.reservation_id, plan.event_id, table["id"]),
    )
    linked = (*of["host"], *of["linked"])
    session.execute(
        b"insert into vip_linked_tickets (vip_reservation_id, ticket_id, is_booker_purchase)"
        b" select %s, * from unnest(%s::uuid[], %s::boolean[])",
        (plan.reservation_id, [one.id for one in linked], [one.kind == "host" for one in linked]),
    )
    session.execute(
        b"insert into vip_guest_passes (reservation_id, guest_name, id, guest_number, qr_code_token)"
        b" select %s, 'Guest ' || number, * from"
        b" unnest(%s::uuid[], %s::integer[], %s::text[]) as pass (id, number, code)",
        (
            plan.reservation_id,
            [one.id for one in of["pass"]],
            list(range(1, len(of["pass"]) + 1)),
            [one.code for one in of["pass"]],
        ),
    )
