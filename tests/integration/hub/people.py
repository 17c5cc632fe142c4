"""A person who is logged in, customer or staff, as the web server in front connects for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import msgspec
from psycopg.conninfo import make_conninfo

from hub.db.connection import Connection, connect


def owners_dsn(dsn: str) -> str:
    """The database as its owner, whatever login the hub itself uses."""
    return make_conninfo(dsn, user="maguey")


@contextlib.contextmanager
def person(dsn: str, email: str, works_as: str | None = None) -> Iterator[Connection]:
    """A connection with the rights of the person with this address; `works_as` is their role at the club."""
    with connect(owners_dsn(dsn), autocommit=True) as conn:
        row = conn.execute(
            "INSERT INTO auth.users (email, email_confirmed_at) VALUES (%s, now()) RETURNING id", [email]
        ).fetchone()
        assert row is not None
        if works_as is not None:
            conn.execute("INSERT INTO staff (user_id, role) VALUES (%s, %s)", [row["id"], works_as])
        claims = msgspec.json.encode({"sub": str(row["id"]), "role": "authenticated"}).decode()
        conn.execute("SET ROLE authenticated")
        conn.execute("SELECT set_config('request.jwt.claims', %s, false)", [claims])
        yield conn
