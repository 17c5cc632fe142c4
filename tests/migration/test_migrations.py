"""Migrations apply once, again without effect, and give what schema.sql says (data model 3.1)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import psycopg
import pytest

from demo.servers import Postgres
from hub.db.connection import connect
from hub.db.migrate import OBJECTS, dump_schema, migrate
from hub.db.objects import apply_objects
from hub.db.statements import sql_folder
from hub.errors import HubError
from tests.migration.versions import ALL, FILES, PG_DUMP


def test_the_server_is_of_the_version_asked_for(server: Postgres) -> None:
    """tools/postgres-versions asks for one; else whichever is installed, 15 or newer."""
    wanted = os.environ.get("MAGUEY_POSTGRES")
    with psycopg.connect(server.dsn) as conn:
        major = conn.info.server_version // 10_000
    assert major == int(wanted) if wanted else major >= 15


def test_an_empty_database_gets_all_and_again_nothing(new_database: Callable[[], str]) -> None:
    dsn = new_database()
    assert migrate(dsn) == ALL
    before = dump_schema(dsn, PG_DUMP)
    assert migrate(dsn) == []
    assert dump_schema(dsn, PG_DUMP) == before


def test_each_file_may_run_twice(new_database: Callable[[], str]) -> None:
    once, twice = new_database(), new_database()
    migrate(once)
    with psycopg.connect(twice) as conn:
        for file in FILES:
            conn.execute(file.read_bytes())
            conn.execute(file.read_bytes())
    with connect(twice, autocommit=True) as hub:
        apply_objects(hub, anyway=False)
    assert dump_schema(twice, PG_DUMP) == dump_schema(once, PG_DUMP)


MAKE_ROLES = """
DO $$ DECLARE v_role text; BEGIN
    FOREACH v_role IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        IF to_regrole(v_role) IS NULL THEN EXECUTE format('CREATE ROLE %I NOLOGIN', v_role); END IF;
    END LOOP;
END $$
"""


def load_schema(dsn: str) -> None:
    """Make of an empty database what `schema.sql` says; roles belong to the server, and may exist."""
    with psycopg.connect(dsn) as conn:
        conn.execute("SET check_function_bodies = off")  # a dump creates functions before their tables
        conn.execute(MAKE_ROLES)
        conn.execute((sql_folder() / "schema.sql").read_bytes())


def test_schema_sql_is_what_the_migrations_make(new_database: Callable[[], str]) -> None:
    migrated, loaded = new_database(), new_database()
    migrate(migrated)
    load_schema(loaded)
    wanted = dump_schema(migrated, PG_DUMP)
    assert dump_schema(loaded, PG_DUMP) == wanted, (
        "run: python -m hub.db.migrate --dump DSN > hub/sql/schema.sql"
    )


def test_a_migration_that_died_in_the_middle_is_done_again(new_database: Callable[[], str]) -> None:
    dsn = new_database()
    migrate(dsn)
    with psycopg.connect(dsn) as conn:
        conn.execute("INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, now(), 4711)")
        conn.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", [FILES[-1].stem])
    assert migrate(dsn) == [FILES[-1].stem, OBJECTS]


def test_two_hubs_migrate_one_after_the_other(new_database: Callable[[], str]) -> None:
    dsn = new_database()
    done: list[list[str]] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(dsn))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(len, done)) == [0, 0, len(ALL)]


def test_no_postgres_is_told_in_words() -> None:
    with pytest.raises(HubError, match="Start Postgres or correct"):
        migrate("host=127.0.0.1 port=1 dbname=maguey user=x")


def test_a_user_without_the_right_is_told_which_one(new_database: Callable[[], str]) -> None:
    dsn = new_database()
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE ROLE nobuilder LOGIN")
        conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(HubError, match='GRANT CREATE ON SCHEMA public TO "nobuilder"'):
        migrate(dsn.replace("user=maguey", "user=nobuilder"))
