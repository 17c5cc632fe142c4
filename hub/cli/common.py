"""What the commands of ``maguey-hub`` share: options, exit codes, errors in words, the database."""

from __future__ import annotations

import contextlib
import getpass
import queue
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, NoReturn

import psycopg
import typer

from gate.common.errors import ConfigError, MagueyError
from gate.common.options import config_option
from hub.config import HubConfig, read_hub_config
from hub.db.call import FunctionAnswer
from hub.db.connection import Connection, connect, database_error_in_words
from hub.errors import NOTHING_CHANGED, UsageError

EXIT_FAILED = 1
EXIT_USAGE = 2

ConfigOption = Annotated[Path, config_option("hub.toml")]
GateArgument = Annotated[str, typer.Argument(metavar="GATE", help="The gate's id.")]
EventOption = Annotated[str, typer.Option("--event", help="The night: its code, for example PF, or its id.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is recorded.")]
ActorOption = Annotated[str, typer.Option("--actor", help="Who you are; it is recorded.")]
DecidedByOption = Annotated[
    str,
    typer.Option("--actor", help="Who decided it; it is recorded. Default: the user logged in here."),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Print an error the user can fix as a few lines without a traceback, and exit with its code."""
    try:
        yield
    except (ConfigError, UsageError) as error:
        fail(str(error), EXIT_USAGE)
    except MagueyError as error:
        fail(str(error), EXIT_FAILED)
    except psycopg.Error as error:
        fail(f"Postgres: {database_error_in_words(error)}.", EXIT_FAILED)


@contextlib.contextmanager
def open_database(
    config: Path, mistakes: Iterable[str] = (), not_done: str = NOTHING_CHANGED
) -> Iterator[tuple[HubConfig, Connection]]:
    """The configuration and a connection in autocommit, with `plain_errors`.

    :param mistakes: of the command line; if there are any, nothing is opened.
    :param not_done: what the user is told was not done because of them.
    """
    with plain_errors():
        if found := list(mistakes):
            raise UsageError(not_done, found)
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            yield settings, conn


def stop_signals() -> queue.SimpleQueue[None]:
    """Gets an item at SIGTERM and at Ctrl-C, which from now on do nothing else."""
    # a queue, because a signal handler cannot safely take an Event's lock
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.put(None))
    return ended


def fail(message: str, code: int = EXIT_FAILED) -> NoReturn:
    """Print a message to stderr, after the command's name, and exit."""
    typer.echo(f"maguey-hub: {message}", err=True)
    raise typer.Exit(code)


def fail_unless_done(answer: FunctionAnswer) -> None:
    """Exit if the database refused."""
    if not answer.success:
        refuse(answer)


def refuse(answer: FunctionAnswer) -> NoReturn:
    """Say why the database refused, and exit."""
    fail(f"{answer.message} {NOTHING_CHANGED}. [{answer.error}]")


def confirm(question: str, yes: bool, refused: str) -> None:
    """Ask before something that cannot be undone; exit if the answer is no."""
    if not yes and not typer.confirm(f"{question} There is no way back."):
        fail(refused)


def decided_by(actor: str) -> str:
    """Who is recorded for a `DecidedByOption`."""
    return actor.strip() or getpass.getuser()
