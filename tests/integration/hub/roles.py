"""A small club in which each person owns something, and the roles in which they come to its database."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from demo.servers import Postgres
from hub.db.connection import Connection, connect
from tests.integration.hub.world import World

ANA = "ana@example.org"
"""A customer with an order, its payment, two tickets, and a table with a pass and a linked ticket."""
BERTA = "berta@example.org"
"""A second customer with the same."""

_number = itertools.count(1)


@dataclass(frozen=True)
class Bought:
    """The ids of what one customer has."""

    order: str
    ticket: str
    reservation: str


@dataclass
class Club:
    """A current night and a past one, with Ana's and Berta's purchases for the current one."""

    dsn: str
    world: World
    people: dict[str, str]
    night: str
    past: str
    ana: Bought
    berta: Bought

    @contextlib.contextmanager
    def asking(self, who: str, claims: str | None = None) -> Iterator[Connection]:
        """Act as `who` (of `people`, ``anon`` or ``hub``), as a web server does for them; rolled back.

        :param claims: the token's claims, if not their own.
        """
        login = "maguey_hub" if who == "hub" else "web_front"
        with connect(make_conninfo(self.dsn, user=login)) as conn:
            if who != "hub":
                role = "anon" if who == "anon" else "authenticated"
                conn.execute("SELECT set_config('role', %s, true)", [role])
                told = claims if claims is not None else self.token(who)
                conn.execute("SELECT set_config('request.jwt.claims', %s, true)", [told])
            yield conn
            conn.rollback()

    def token(self, who: str, **more: Any) -> str:
        """The claims of somebody's token."""
        sub = {"sub": self.people[who]} if who in self.people else {}
        return msgspec.json.encode({"role": "authenticated", **sub, **more}).decode()


def attempt(conn: Connection, sql: str, values: Any = ()) -> int | str:
    """How many rows it gave or changed, or what refused it: rights, row or value. Rolled back."""
    try:
        with conn.transaction(force_rollback=True):
            return conn.execute(sql.encode(), values).rowcount
    except psycopg.errors.InsufficientPrivilege as error:
        return "row" if "row-level security" in str(error) else "denied"
    except psycopg.IntegrityError:
        return "value"


def answer(conn: Connection, sql: str, values: Any = ()) -> Any:
    """The first column of the first row, rolled back. A refusal gives its error code, or ``denied``."""
    try:
        with conn.transaction(force_rollback=True):
            row = conn.execute(sql.encode(), values).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        return "denied"
    value = next(iter(row.values())) if row else None
    if isinstance(value, dict) and value.get("success") is False:
        return value["error"]
    return value


def open_club(server: Postgres) -> Club:
    """A club in a database of its own."""
    name = f"club_{next(_number)}"
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template_hub".encode())
        conn.execute(
            "DO $$ BEGIN IF to_regrole('web_front') IS NULL THEN"
            " CREATE ROLE web_front LOGIN NOINHERIT IN ROLE anon, authenticated; END IF; END $$"
        )
    dsn = server.database(name)
    world = World(connect(dsn, autocommit=True))
    people = {
        who: _registered(world, f"{who}@example.org") for who in ("ana", "berta", "sam", "adam", "olga")
    }
    people["mallory"] = _registered(world, "mallory@example.org")
    world.run("INSERT INTO staff (user_id, role) VALUES (%s, 'staff')", people["sam"])
    world.run("INSERT INTO staff (user_id, role) VALUES (%s, 'admin')", people["adam"])
    world.run("INSERT INTO owner_assignments (user_id, role) VALUES (%s, 'owner')", people["olga"])
    night, past = world.event("PF"), world.event("OLD")
    world.ticket(past, "Nobody")
    world.reservation(past)
    world.run("UPDATE events SET status = 'completed' WHERE id = %s", past)
    club = Club(dsn, world, people, night, past, _bought(world, night, ANA), _bought(world, night, BERTA))
    _history(club)
    return club


def _registered(world: World, email: str, is_confirmed: bool = True) -> str:
    return str(
        world.one(
            "INSERT INTO auth.users (email, email_confirmed_at) VALUES (%s, CASE WHEN %s THEN now() END)"
            " RETURNING id",
            email,
            is_confirmed,
        )
    )


def register(club: Club, who: str, email: str, is_confirmed: bool = True) -> None:
    """Register a new person."""
    club.people[who] = _registered(club.world, email, is_confirmed)


def _bought(world: World, night: str, email: str) -> Bought:
    order = world.one(
        "INSERT INTO orders (customer_email, status, event_id, total_amount_cents, stripe_payment_intent_id)"
        " VALUES (%s, 'completed', %s, 5000, %s) RETURNING id",
        email.title(),
        night,
        f"pi_{email}",
    )
    world.run(
        "INSERT INTO payments (order_id, stripe_payment_intent_id, amount_cents, status)"
        " VALUES (%s, %s, 5000, 'succeeded')",
        order,
        f"pi_{email}",
    )
    ticket, friends = world.ticket(night, email), world.ticket(night, "A friend")
    world.run("UPDATE tickets SET guest_email = %s WHERE id = %s", email.upper(), ticket)
    world.run("UPDATE tickets SET order_id = %s WHERE id = %s", order, friends)
    table = world.reservation(night)
    world.run("UPDATE vip_reservations SET purchaser_email = %s WHERE id = %s", email, table)
    world.guest_pass(table)
    world.link(table, ticket, host=True)
    return Bought(str(order), ticket, table)


def _history(club: Club) -> None:
    world = club.world
    world.gate("gate-1", "0" * 64, club.night)
    world.run(
        "INSERT INTO scan_conflicts (code_hash, winner_scan, loser_scan, rule)"
        " VALUES ('x', gen_random_uuid(), gen_random_uuid(), 'earlier')"
    )
    world.run("INSERT INTO audit_log (actor, action, target, reason) VALUES ('a', 'b', 'c', 'd')")
    world.run("INSERT INTO payment_failures (payment_type) VALUES ('ga_ticket')")
    world.run("INSERT INTO gate_status (gate_id, online) VALUES ('gate-1', true)")
    world.run("INSERT INTO refunds (stripe_payment_intent_id, amount_cents, reason) VALUES ('pi_x', 1, 'x')")
    world.run(
        "INSERT INTO vip_scan_logs (reservation_id, scan_type) VALUES (%s, 'first_entry')",
        club.ana.reservation,
    )
    world.run(
        "INSERT INTO scan_quarantine (topic, raw, raw_hash, raw_length, error) VALUES ('t', '', '', 0, 'e')"
    )
    world.run(
        "INSERT INTO commands (id, venue, gate_id, action, reason, actor, key_id, issued_at, expires_at)"
        " VALUES (gen_random_uuid(), 'v', 'gate-1', 'release', 'r', 'a', 'K', now(),"
        " now() + interval '1 minute')"
    )
    world.run(
        "INSERT INTO scan_logs (scan_id, gate_id, epoch, seq, boot_id, occurred_at, monotonic_ms, verdict,"
        " reason, rule, kind, clock, scan_method, released, record, payload_hash) VALUES (gen_random_uuid(),"
        " 'gate-1', 'e', 1, 'b', now(), 1, 'deny', 'unknown', 5, 'ga', 'synced', 'camera', false, 'scan',"
        " 'x')"
    )
