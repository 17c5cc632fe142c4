"""What every command of ``maguey-hub`` shares: its configuration, its exit codes, errors in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import psycopg
import typer

from gate.common.errors import ConfigError, MagueyError
from hub.db.connection import database_error_in_words
from hub.errors import UsageError

EXIT_FAILED = 1
EXIT_USAGE = 2

ConfigOption = Annotated[
    Path, typer.Option("--config", help="The hub's configuration; config/hub.toml is a commented example.")
]


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """One or more lines for a person, and the exit code; no traceback for what they can mend."""
    try:
        yield
    except (ConfigError, UsageError) as error:
        fail(str(error), EXIT_USAGE)
    except MagueyError as error:
        fail(str(error), EXIT_FAILED)
    except psycopg.Error as error:
        fail(f"Postgres: {database_error_in_words(error)}.", EXIT_FAILED)


def fail(message: str, code: int) -> NoReturn:
    """Say it and end with that exit code."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
