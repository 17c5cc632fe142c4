"""``maguey-hub``: migrate, ingest, web and seed-demo; the files beside this one add the other commands.

Exit codes: see `gate.common.command_line`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import socket
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gate.common.command_line import run_command
from gate.common.log import configure
from gate.common.options import common_options
from hub.cli import authority, backups, gates, history, nights, orders, retention, tickets
from hub.cli.common import ConfigOption, open_database, plain_errors, stop_signals
from hub.cli.event import event_app
from hub.cli.tables import reservation_app, table_app
from hub.cli.ticket_lists import ticket_app
from hub.config import HubConfig, read_hub_config
from hub.errors import HubError

if TYPE_CHECKING:
    import uvicorn

_STOP_SECONDS = 1.5

app = typer.Typer(
    name="maguey-hub",
    help="The hub: every scan of the gates into Postgres, every change of tickets out to the gates.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point of the console command."""
    _log_to_stderr()
    run_command("maguey-hub", "hub", app)


app.callback()(common_options)


@app.command()
def migrate(config: ConfigOption) -> None:
    """Bring the database up to date, as the owner of its tables (hub.toml, migrate_dsn). May be repeated."""
    from hub.db.migrate import migrate as apply

    with plain_errors():
        place = read_hub_config(config).postgres
        applied = apply(place.migrate_dsn or place.dsn)
    typer.echo("\n".join(f"applied {name}" for name in applied) or "nothing to do")


@app.command()
def ingest(config: ConfigOption) -> None:
    """Ingest the gates' scans and publish the admission feed, until SIGTERM.

    If several run for one venue, one works and the others stand by.
    """
    with plain_errors():
        settings = read_hub_config(config)
        settings.mqtt.password()
        _run_until_stopped(settings)


@app.command()
def web(config: ConfigOption) -> None:
    """Serve snapshots and configuration to the gates over HTTP; OpenAPI at /schema."""
    from gate.common.seldom import Seldom
    from hub.web.api import make_app, token_hashes
    from hub.web.request_limits import RequestLimits
    from hub.web.server import server_config

    with plain_errors():
        settings = read_hub_config(config)
        place, seldom = settings.web, Seldom()
        inner = make_app(settings, seldom)
        guarded = RequestLimits(inner, lambda: token_hashes(inner))
        server = server_config(guarded, place, seldom)
        try:
            _serve(server)
        except SystemExit as stopped:
            if stopped.code:
                raise HubError(
                    f"Cannot listen on {place.host}:{place.port_used}. Choose another [web] port."
                ) from None


@app.command("seed-demo")
def seed_demo(
    config: ConfigOption,
    out: Annotated[Path, typer.Option(help="Where the codes and the gates' tokens go (JSON, mode 0600).")],
    seed: Annotated[
        int | None, typer.Option(help="The same number makes the same night. Default: real randomness.")
    ] = None,
    date: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="22:00 to 06:00 on this date. Default: doors opened 1 h ago."
        ),
    ] = None,
    gates: Annotated[int, typer.Option(min=1, max=50, help="How many gates serve it.")] = 2,
) -> None:
    """Write a night to try things out into an empty, migrated database."""
    from hub.demo_night import demo_night_of
    from hub.demo_night import seed_demo as write

    source = secrets.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311 - asked for
    with plain_errors():
        night = demo_night_of(date.date() if date else None, datetime.now(UTC).astimezone())
    with open_database(config) as (settings, conn):
        made = write(conn, settings.venue, night, source, out, gates)
    typer.echo(f"seeded {len(made.tickets)} codes and {len(made.gates)} gates; written to {out}")


for commands in (gates, authority, orders, nights, tickets, history, retention, backups):
    app.add_typer(commands.app)
app.add_typer(event_app)
app.add_typer(ticket_app)
app.add_typer(table_app)
app.add_typer(reservation_app)


def _serve(config: uvicorn.Config) -> None:
    import uvicorn

    from hub.web.server import HANDSHAKE_S

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            if config.is_ssl:
                # uvicorn does not hand it on, and asyncio would give a stranger a minute
                asyncio.constants.SSL_HANDSHAKE_TIMEOUT = HANDSHAKE_S  # type: ignore[attr-defined]
            await super().startup(sockets)
            if self.started:
                scheme = "https" if config.is_ssl else "http"
                typer.echo(f"listening on {scheme}://{config.host}:{config.port}")

    server = Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise HubError("The web server did not start; its log says why.")


def _run_until_stopped(config: HubConfig) -> None:
    """Work in a thread and wait for a signal here, so that even a blocked library cannot delay a stop."""
    from hub.service import run

    stop = threading.Event()
    failures: list[BaseException] = []
    ended = stop_signals()

    def work() -> None:
        try:
            run(config, stop)
        except BaseException as error:
            failures.append(error)
        finally:
            ended.put(None)

    worker = threading.Thread(target=work, name="consumer", daemon=True)
    worker.start()
    ended.get()
    stop.set()
    worker.join(_STOP_SECONDS)
    if failures:
        raise failures[0]


def _log_to_stderr() -> None:
    # the pool logs every attempt; the hub logs an outage once
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    configure("text", service="maguey-hub")


if __name__ == "__main__":
    main()
