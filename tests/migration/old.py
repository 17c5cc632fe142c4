"""A database as a released version left it, and what of it is to be found again."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psycopg
import yoyo

from hub.db.connection import Connection
from hub.db.migrate import _backend
from tests.migration.versions import FOLDER, released

Rows = dict[str, list[str]]


def make_old(dsn: str, version: str) -> None:
    """Make an empty database what that version's migrations and its hub made of it."""
    apply(dsn, released(version))
    filled = (Path(__file__).parent / f"filled_{version}.sql").read_bytes()
    with psycopg.connect(dsn) as conn:
        conn.execute("set session_replication_role = replica")
        conn.execute("set search_path = public")
        conn.execute(filled)


def apply(dsn: str, names: Iterable[str]) -> None:
    """Only these migrations, noted as a released hub notes them."""
    with tempfile.TemporaryDirectory() as folder, _backend(dsn) as backend:
        for name in names:
            shutil.copy(FOLDER / name, folder)
        with backend.lock():
            backend.apply_migrations(backend.to_apply(yoyo.read_migrations(folder)))


def columns_of(conn: Connection) -> dict[str, list[str]]:
    """Every table with its columns."""
    rows = conn.execute(
        "select relname, array_agg(attname::text order by attnum) as columns"
        " from pg_class c join pg_attribute a on a.attrelid = c.oid and attnum > 0 and not attisdropped"
        " where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition"
        " and relname !~ 'yoyo' group by relname"
    ).fetchall()
    return {row["relname"]: row["columns"] for row in rows}


def rows_of(conn: Connection, columns: dict[str, list[str]]) -> Rows:
    """All rows of these tables as JSON by these columns, sorted."""
    found: Rows = {}
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"' for name in names)
        sql = f"select to_jsonb(o)::text as row from (select {listed} from {table}) o order by 1"
        found[table] = [row["row"] for row in conn.execute(sql.encode()).fetchall()]
    return found
