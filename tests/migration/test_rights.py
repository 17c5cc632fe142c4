"""Who may migrate: no superuser is needed, and whoever lacks a right is told which and what gives it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from demo.servers import UNSYNCED, Postgres, postgres
from hub.db.migrate import migrate
from hub.errors import HubError
from tests.migration.versions import ALL

CURES = (
    'GRANT CREATE ON SCHEMA public TO "plain"',
    'ALTER ROLE "plain" CREATEROLE',
    'GRANT CREATE ON DATABASE "club" TO "plain"',
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server that no hub was ever on: roles belong to all of it."""
    with postgres(tmp_path_factory.mktemp("bare"), *UNSYNCED) as running:
        with psycopg.connect(running.dsn, autocommit=True) as conn:
            conn.execute("create database club")
            conn.execute("create role plain login")
        yield running
        running.kill()


def test_each_right_that_is_missing_is_named_until_none_is(bare: Postgres) -> None:
    dsn = make_conninfo(bare.database("club"), user="plain")
    with psycopg.connect(bare.database("club"), autocommit=True) as administrator:
        for number, cure in enumerate(CURES):
            with pytest.raises(HubError) as told:
                migrate(dsn)
            assert [known in str(told.value) for known in CURES] == [at >= number for at in range(len(CURES))]
            administrator.execute(cure.encode())
    assert migrate(dsn) == ALL
    assert migrate(dsn) == []


def test_whoever_does_not_own_the_tables_is_told(bare: Postgres) -> None:
    with psycopg.connect(bare.dsn, autocommit=True) as conn:
        conn.execute("create database lent")
        conn.execute("create role tenant login createrole")
        conn.execute("grant create on database lent to tenant")
    migrate(bare.database("lent"))
    with psycopg.connect(bare.database("lent"), autocommit=True) as conn:
        conn.execute("grant create on schema public to tenant")
    with pytest.raises(HubError, match="make it the owner of the tables"):
        migrate(make_conninfo(bare.database("lent"), user="tenant"))
