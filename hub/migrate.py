"""Apply the migrations, and write down what they result in.

``python -m hub.migrate --dump DSN`` prints the schema of a migrated database; the committed
`sql/schema.sql` is that text.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib import resources
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from hub.database import connect, conninfo, one_line
from hub.errors import HubError
from hub.queries import query, sql_folder

_NOISE = re.compile(r"^(--|SET |SELECT pg_catalog\.set_config|\\(un)?restrict|$)")


def migrate(dsn: str) -> list[str]:
    """Bring a database up to date.

    :returns: the migrations applied now, oldest first; empty if there was nothing to do.
    :raises HubError: the database is away, or a migration failed (and left nothing behind).
    """
    with _alone(dsn), resources.as_file(sql_folder() / "migrations") as folder, _backend(dsn) as backend:
        # whoever died in the middle left this lock; nobody else is in here now
        backend.break_lock()
        pending = backend.to_apply(yoyo.read_migrations(str(folder)))
        try:
            with backend.lock():
                backend.apply_migrations(pending)
        except psycopg.Error as error:
            raise HubError(
                f"A migration failed and was undone: {one_line(error)}. Nothing was changed by it; "
                "compare the database with hub/sql/schema.sql."
            ) from error
        return [migration.id for migration in pending]


@contextlib.contextmanager
def _alone(dsn: str) -> Iterator[None]:
    """Two hubs that start together migrate one after the other."""
    with connect(dsn, autocommit=True) as guard:
        guard.execute(query("migrate_alone"))
        right = guard.execute(query("may_create")).fetchone()
        if right is None or not right["allowed"]:
            raise HubError(
                f"User '{guard.info.user}' may not create tables in database '{guard.info.dbname}'. "
                f'Have its owner run: GRANT CREATE ON SCHEMA public TO "{guard.info.user}".'
            )
        yield


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
    """The schema as SQL: pg_dump's words without comments, settings and the runner's own tables.

    With the rows of the tables that are rules: without them the schema would allow nothing.
    """
    schema = ["--schema-only", "--no-owner", "--no-privileges", "--exclude-table=*yoyo*"]
    rules = ["--data-only", "--inserts", "--table=state_transitions"]
    return normalise(_pg_dump(program, *schema, dsn) + _pg_dump(program, *rules, dsn))


def _pg_dump(program: str, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HubError(f"pg_dump failed: {done.stderr.strip()}. Use the pg_dump of the server's version.")
    return done.stdout


def normalise(dump: str) -> str:
    """Only the statements: what differs between versions of pg_dump is left out."""
    lines = [line for line in dump.splitlines() if not _NOISE.match(line)]
    return "\n".join(lines) + "\n"


def load_schema(dsn: str) -> None:
    """Make an empty database what `schema.sql` says."""
    text = (sql_folder() / "schema.sql").read_bytes()
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        conn.execute(query("trust_the_dump"))
        conn.execute(text)


def main() -> None:
    """Print the schema of the database named on the command line, migrated first."""
    if len(sys.argv) != 3 or sys.argv[1] != "--dump":
        sys.exit("usage: python -m hub.migrate --dump DSN > hub/sql/schema.sql")
    migrate(sys.argv[2])
    sys.stdout.write(dump_schema(sys.argv[2]))


if __name__ == "__main__":
    main()
