"""A Postgres and a Mosquitto for the session; an empty, migrated database for each test.

The hub connects as its own login; the tests prepare and inspect the database as its owner.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from demo.servers import UNSYNCED, Mosquitto, Postgres, free_port, mosquitto, postgres
from hub.config import HubConfig, Mqtt
from hub.config import Postgres as PostgresConfig
from hub.db.connection import Connection, connect
from hub.db.migrate import migrate
from tests.integration.hub.world import PATIENCE, World
from tests.proxy import Proxy, proxy

_number = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres"), *UNSYNCED) as running:
        with psycopg.connect(running.dsn, autocommit=True) as conn:
            conn.execute("CREATE DATABASE template_hub")
        migrate(running.database("template_hub"))
        running.make_hub_login()
        yield running
        running.kill()  # thrown away: a clean shutdown would first write all its databases to the disk


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture
def owner_dsn(server: Postgres) -> Iterator[str]:
    """An empty, migrated database, as its owner: to set a test up and to inspect the result.

    It is dropped after its test: a thousand of them would fill a small disk.
    """
    name = f"hub_{next(_number)}"
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template_hub STRATEGY FILE_COPY".encode())
        # a lock that a test holds on purpose may be held for long on a slow machine
        patient = f"-c lock_timeout={round(PATIENCE)}s"
        yield make_conninfo(server.database(name), connect_timeout=round(PATIENCE), options=patient)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def dsn(owner_dsn: str) -> str:
    """The same database as the hub's own login, with only the rights granted to that."""
    return make_conninfo(owner_dsn, user="maguey_hub")


@pytest.fixture
def conn(dsn: str) -> Iterator[Connection]:
    with connect(dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def world(owner_dsn: str) -> Iterator[World]:
    with connect(owner_dsn, autocommit=True) as owner:
        yield World(owner)


@pytest.fixture
def config(dsn: str, shared_broker: Mosquitto) -> HubConfig:
    """A venue of its own for each test, so that no test sees another's retained messages."""
    venue = f"venue-{next(_number)}"
    return HubConfig(venue=venue, postgres=PostgresConfig(dsn=dsn), mqtt=Mqtt(port=shared_broker.port))


@pytest.fixture
def config_file(config: HubConfig, tmp_path: Path) -> Path:
    file = tmp_path / "hub.toml"
    file.write_text(
        f'venue = "{config.venue}"\n[postgres]\ndsn = "{config.postgres.dsn}"\n'
        f"[mqtt]\nport = {config.mqtt.port}\n"
    )
    return file


@pytest.fixture
def line(config_file: Path) -> Iterator[Proxy]:
    """A proxy to a hub's web server."""
    port = free_port()
    config_file.write_text(f"{config_file.read_text()}[web]\nport = {port}\n")
    command = [sys.executable, "-m", "hub.cli.main", "web", "--config", str(config_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as web:
        try:
            assert web.stdout is not None
            assert web.stdout.readline() == f"listening on http://127.0.0.1:{port}\n"
            with proxy(port) as made:
                yield made
        finally:
            web.terminate()
