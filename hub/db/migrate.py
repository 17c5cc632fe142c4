"""Applies the migrations and then the objects (`hub.db.objects`), and writes down the schema they result in.

``python -m hub.db.migrate --dump DSN`` prints the schema of a migrated database; the committed
`sql/schema.sql` is that text.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import structlog
import yoyo
from psycopg.conninfo import conninfo_to_dict

from hub.db.connection import Connection, connect, conninfo, database_error_in_words
from hub.db.objects import apply_objects
from hub.db.statements import query, sql_folder
from hub.errors import HubError

OBJECTS = "objects"
"""How `migrate` names what it made of `sql/objects/`."""

_LOOK_S = 0.5
_LOGGED_AFTER_S = 2.0
_log = structlog.get_logger()

_NOISE = re.compile(r"^(--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict|$)")
_OWNER = re.compile(r"^(ALTER DEFAULT PRIVILEGES) FOR ROLE (?:\w+|\"[^\"]+\")")


def migrate(dsn: str) -> list[str]:
    """Bring a database up to date.

    :returns: the migrations applied now, oldest first, and `OBJECTS` if these were made again; empty if there
        was nothing to do.
    :raises HubError: the database is away, or a migration failed and was rolled back.
    """
    with (
        _alone(dsn) as guard,
        resources.as_file(sql_folder() / "migrations") as folder,
        _backend(dsn) as backend,
    ):
        # left by a migration that was killed: `_alone` keeps everybody else out
        backend.break_lock()
        pending = backend.to_apply(yoyo.read_migrations(str(folder)))
        try:
            with backend.lock():
                backend.apply_migrations(pending)
        except psycopg.Error as error:
            raise HubError(
                f"A migration failed and was undone: {database_error_in_words(error)}. "
                "It changed nothing; compare the database with hub/sql/schema.sql."
            ) from error
        done = [migration.id for migration in pending]
        return [*done, OBJECTS] if apply_objects(guard, anyway=bool(done)) else done


@contextlib.contextmanager
def _alone(dsn: str) -> Iterator[Connection]:
    """Hubs that start together migrate one after the other."""
    with connect(dsn, autocommit=True) as guard:
        _await_turn(guard)
        _check_rights(guard)
        yield guard


def _await_turn(guard: Connection) -> None:
    """Wait until nobody else migrates; after two seconds, log who does."""
    pause, waited = threading.Event(), 0.0
    while not (guard.execute(query("migrate_alone")).fetchone() or {})["mine"]:
        pause.wait(_LOOK_S)
        waited += _LOOK_S
        if waited == _LOGGED_AFTER_S:
            holder = guard.execute(query("migrating")).fetchone() or {}
            _log.warning(
                "migration blocked",
                advice="If the session is no maguey-hub, an administrator ends it with "
                "SELECT pg_terminate_backend(pid).",
                **holder,
            )


_GRANTS = {
    "tables": (
        "create and change its tables",
        'GRANT CREATE ON SCHEMA public TO "{user}", and make it the owner of the tables if there are any',
    ),
    "roles": ("create the roles anon, authenticated and service_role", 'ALTER ROLE "{user}" CREATEROLE'),
    "schemas": ("create the schema auth", 'GRANT CREATE ON DATABASE "{database}" TO "{user}"'),
}
"""The rights a migration needs, and what grants each."""


def _check_rights(conn: Connection) -> None:
    """Raises `HubError` with every right that is missing."""
    rights = conn.execute(query("may_migrate")).fetchone() or {}
    names = {"user": conn.info.user, "database": conn.info.dbname}
    missing = [_GRANTS[right] for right in _GRANTS if not rights.get(right)]
    if missing:
        raise HubError(
            f"In database '{conn.info.dbname}', user '{conn.info.user}' may not "
            f"{', nor '.join(what for what, _ in missing)}. Migrate as the owner of the hub's tables: "
            "name that login as [postgres] migrate_dsn. Or have an administrator run: "
            f"{'; '.join(grant.format(**names) for _, grant in missing)}."
        )


@contextlib.contextmanager
def _backend(dsn: str) -> Iterator[Any]:
    settings = conninfo_to_dict(conninfo(dsn))
    name = quote(str(settings.pop("dbname", "")), safe="")
    uri = f"postgresql+psycopg:///{name}?{urlencode(settings)}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with yoyo.get_backend(uri) as backend:
            yield backend


def dump_schema(dsn: str, program: str = "pg_dump") -> str:
    """The schema as SQL with its privileges: pg_dump's output without comments, settings and yoyo's tables.

    Rows of tables that hold rules are included: without them the schema would allow nothing.
    """
    schema = ["--schema-only", "--no-owner", "--exclude-table=*yoyo*"]
    schema.append("--exclude-table=scan_logs_[0-9]*")  # one for each month so far
    rules = ["--data-only", "--inserts", "--table=state_transitions"]
    return normalise(_pg_dump(program, *schema, dsn) + _pg_dump(program, *rules, dsn))


def _pg_dump(program: str, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HubError(f"pg_dump failed: {done.stderr.strip()}. Use the pg_dump of the server's version.")
    return done.stdout


def normalise(dump: str) -> str:
    """Only the statements, without what differs between versions of pg_dump and without owners."""
    lines = [_OWNER.sub(r"\1", line) for line in dump.splitlines() if not _NOISE.match(line)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the schema of the database named on the command line, after migrating it."""
    if len(sys.argv) != 3 or sys.argv[1] != "--dump":
        sys.exit("usage: python -m hub.db.migrate --dump DSN > hub/sql/schema.sql")
    migrate(sys.argv[2])
    sys.stdout.write(dump_schema(sys.argv[2]))


if __name__ == "__main__":
    main()
