"""A Postgres of its own, whose databases a test may fill and spoil."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest

from demo.servers import UNSYNCED, Postgres, postgres


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("migrations"), *UNSYNCED) as running:
        yield running
        running.kill()  # thrown away: a polite end first writes all its databases to the disk


@pytest.fixture
def new_database(server: Postgres) -> Callable[[], str]:
    """Makes an empty database; returns its connection string."""
    numbers = itertools.count(1)

    def make() -> str:
        with psycopg.connect(server.dsn, autocommit=True) as conn:
            name = f"m{next(numbers)}_{conn.info.backend_pid}"
            conn.execute(f"CREATE DATABASE {name}".encode())
        return server.database(name)

    return make
