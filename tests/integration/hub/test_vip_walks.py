"""Whatever happens to tables in whatever order, only steps of the diagrams are taken (domain 2.1)."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gate.rules.model import Kind, ScanRecord
from hub.db.call import RPC_ERROR, FunctionAnswer
from hub.db.connection import Connection, connect
from hub.drawn.states import transitions
from hub.ticketing.cancellation import cancel_event
from hub.vip.guests import link_ticket_to_vip, unlink_ticket_from_vip
from hub.vip.scan import process_vip_scan_with_reentry
from hub.vip.tables import confirm_vip_reservation
from tests.integration.hub.people import owners_dsn
from tests.integration.hub.test_annulment import outcome
from tests.integration.hub.test_ingest import take
from tests.integration.hub.test_vip_checkout import check_out, host_ticket, reserve
from tests.integration.hub.world import World, call, record
from tests.long import cases

RECORDER = """
CREATE TABLE seen (machine text, from_state text, to_state text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.seen VALUES (tg_argv[0], old.status, new.status);
    RETURN NULL;
END $$;
CREATE TRIGGER zz_see AFTER UPDATE ON events FOR EACH ROW
    WHEN (old.status <> new.status) EXECUTE FUNCTION see('event');
CREATE TRIGGER zz_see AFTER UPDATE ON vip_reservations FOR EACH ROW
    WHEN (old.status <> new.status) EXECUTE FUNCTION see('reservation');
CREATE TRIGGER zz_see AFTER UPDATE ON tickets FOR EACH ROW
    WHEN (old.status <> new.status) EXECUTE FUNCTION see('ticket');
CREATE TRIGGER zz_see AFTER UPDATE ON vip_guest_passes FOR EACH ROW
    WHEN (old.status <> new.status) EXECUTE FUNCTION see('guest_pass');
GRANT SELECT ON seen TO PUBLIC;
"""

BROKEN = """
SELECT r.id, r.status FROM vip_reservations r
JOIN event_vip_tables v ON v.id = r.event_vip_table_id
JOIN events e ON e.id = r.event_id
CROSS JOIN LATERAL seats_of(r.id) s
WHERE r.event_id = %s AND (s.passes + s.linked > s.capacity
    OR r.status IN ('pending', 'confirmed', 'checked_in') AND v.is_available AND e.status <> 'cancelled'
    OR r.status IN ('confirmed', 'checked_in', 'completed') AND r.checked_in_guests <> (
        SELECT count(*) FROM vip_guest_passes p WHERE p.reservation_id = r.id AND p.status = 'checked_in'
    ) + (
        SELECT count(*) FROM vip_linked_tickets l JOIN tickets t ON t.id = l.ticket_id
        WHERE l.vip_reservation_id = r.id AND t.status = 'checked_in'
    ))
"""
"""Finds tables that are overfull, sold and free at once, or miscounted: there must be none."""

STATES = ("pending", "confirmed", "checked_in", "completed", "cancelled")
ENDS = ["start", "end", "complete", "cancel"]
"""Little can happen after these, so they are rarer than the rest."""
_numbers = itertools.count(1)


def letters(number: int) -> str:
    """A code of its own for each night."""
    return "".join(chr(ord("A") + number // 26**place % 26) for place in range(4))


class Walk:
    """One night, its two tables, and somebody who does random things with them."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.conn, self.chance = world, world.conn, chance
        self.gate = f"gate-{next(_numbers)}"
        self.event = world.event(letters(next(_numbers)))
        self.tables = [world.table(self.event, seats=3) for _ in range(2)]
        self.guests = [world.ticket(self.event) for _ in range(3)]
        self.scans: list[ScanRecord] = []
        self.seq = 0

    def steps(self) -> dict[str, Callable[[], FunctionAnswer | None]]:
        return {
            "reserve": lambda: reserve(self.conn, self.event, self._table(), self._payment(), guest_passes=1),
            "wait": lambda: reserve(self.conn, self.event, self._table(), guest_passes=1),
            "check out": self._check_out,
            "confirm": self._confirm,
            "link": self._link,
            "unlink": lambda: unlink_ticket_from_vip(self.conn, self._one(self.guests)),
            "scan": self._scan,
            "show pass": self._show_pass,
            "annul": self._annul,
            "give up": lambda: self._keep_house("release_expired_reservations(interval '0')"),
            "start": lambda: self.world.moved(self.event, starts_in=-1),
            "end": lambda: self.world.moved(self.event, starts_in=-8 * 60),
            "complete": lambda: self._keep_house("complete_finished_events()"),
            "cancel": lambda: cancel_event(self.conn, self.event, "Ana", "rain"),
            "write": self._write,
        }

    def _keep_house(self, function: str) -> None:
        assert call(self.conn, function)["success"]

    def _one(self, things: list[str]) -> str:
        return self.chance.choice(things)

    def _table(self) -> str:
        return self._one(self.tables)

    def _payment(self) -> str:
        return f"pi_{next(_numbers)}"

    def _ids(self, sql: str) -> list[str]:
        return [row[0] for row in self.world.all(f"SELECT id::text {sql}", self.event)]

    def _reservations(self) -> list[str]:
        return self._ids("FROM vip_reservations WHERE event_id = %s ORDER BY created_at, id")

    def _passes(self) -> list[str]:
        return self._ids(
            "FROM vip_guest_passes WHERE reservation_id IN"
            " (SELECT id FROM vip_reservations WHERE event_id = %s) ORDER BY created_at, id"
        )

    def _check_out(self) -> FunctionAnswer:
        ticket = host_ticket(next(_numbers))
        return check_out(self.conn, self.event, self._table(), self._payment(), ticket=ticket)

    def _confirm(self) -> FunctionAnswer | None:
        found = self._reservations()
        return confirm_vip_reservation(self.conn, self._one(found), self._payment(), 1) if found else None

    def _link(self) -> FunctionAnswer | None:
        found = self._reservations()
        by_staff = self.chance.random() < 0.5
        return (
            link_ticket_to_vip(self.conn, self._one(found), self._one(self.guests), by_staff=by_staff)
            if found
            else None
        )

    def _show_pass(self) -> FunctionAnswer | None:
        found = self._passes()
        return process_vip_scan_with_reentry(self.conn, self._one(found)) if found else None

    def _scan(self) -> None:
        """What a gate admitted, whatever the hub thinks of it by now."""
        tickets = self._ids("FROM tickets WHERE event_id = %s ORDER BY created_at, id")
        subject = self._one(tickets + self._passes())
        kind = Kind.VIP_LINKED if subject in tickets else Kind.VIP_PASS
        self._send(record(self._next(), subject_id=subject, kind=kind, gate_id=self.gate))

    def _annul(self) -> None:
        if self.scans:
            self._send(outcome(self.chance.choice(self.scans), self._next()))

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    def _send(self, record_: ScanRecord) -> None:
        take(self.conn, record_, gate=self.gate)
        if record_.record == "scan":
            self.scans.append(record_)

    def _write(self) -> None:
        """Somebody writes a state by hand, which the database may refuse."""
        sql = "UPDATE vip_reservations SET status = %s WHERE event_id = %s"
        with contextlib.suppress(psycopg.errors.CheckViolation):
            self.world.run(sql, self.chance.choice(STATES), self.event)


def test_no_walk_leaves_the_diagram(world: World, conn: Connection, dsn: str) -> None:
    with connect(owners_dsn(dsn), autocommit=True) as owner:
        owner.execute(RECORDER.encode())
    allowed = {(step.machine, step.from_state, step.to_state) for step in transitions(conn)}
    names = sorted(Walk(world, random.Random(0)).steps())
    often = 5 * [name for name in names if name not in ENDS] + ENDS

    @given(st.lists(st.sampled_from(often), min_size=15, max_size=40), st.randoms(use_true_random=False))
    @settings(max_examples=cases(20, long=100), suppress_health_check=list(HealthCheck))
    def walks(steps: list[str], chance: random.Random) -> None:
        walk = Walk(world, chance)
        for name in steps:
            answer = walk.steps()[name]()
            assert answer is None or answer.error != RPC_ERROR, (name, answer)
            assert world.all(BROKEN, walk.event) == [], name
        assert set(world.all("SELECT machine, from_state, to_state FROM seen")) <= allowed

    walks()
    seen = {machine for (machine,) in world.all("SELECT DISTINCT machine FROM seen")}
    assert seen == {"event", "reservation", "ticket", "guest_pass"}
