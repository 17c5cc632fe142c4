"""``maguey-hub authority`` and ``enrol``: who signs for the gates, and for whom."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hub.authority.certificates import certificate_digest_of_pem
from hub.authority.enrolment import HOST_KEY, TOKEN_LIFE, NewToken, make_enrolment, read_authority
from hub.authority.folders import PRODUCTION, Folders, Owners, make_missing
from hub.cli.common import (
    ConfigOption,
    DecidedByOption,
    GateArgument,
    JsonOption,
    decided_by,
    open_database,
    plain_errors,
    stop_signals,
)
from hub.config import Authority, read_hub_config
from hub.errors import NOTHING_CHANGED, UsageError
from sync.wire.enrolment import EnrolToken

_DEFAULTS = Authority()
_HUB_DIR = Path("/etc/maguey/tls")
_ALWAYS = ("localhost", "127.0.0.1")
"""The hub itself reaches its broker so."""
_MOST_HOSTS = 32
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
"""RFC 1123, 2.1."""

app = typer.Typer()
_group = typer.Typer(
    help="The venue's own authority: certificates of gates, hub, broker and web.", no_args_is_help=True
)
app.add_typer(_group, name="authority")


@_group.command()
def init(
    host: Annotated[
        list[str] | None,
        typer.Option(help="A name or address by which gates reach this hub; may be repeated."),
    ] = None,
    folder: Annotated[Path, typer.Option("--dir", help="For the keys that sign.")] = Path(_DEFAULTS.dir),
    broker_dir: Annotated[Path, typer.Option(help="For what Mosquitto reads.")] = Path(_DEFAULTS.broker_dir),
    hub_dir: Annotated[Path, typer.Option(help="For the hub's own certificates.")] = _HUB_DIR,
    own: Annotated[bool, typer.Option("--own", help="Do not give the files to the services' users.")] = False,
) -> None:
    """Make the authorities and the certificates of broker, web and hub, once.

    Run again, it changes nothing but adds what is missing: a file, a --host, a certificate that ends within
    90 days. Run it as root: the files are given to the users that read them.
    """
    folders = Folders(authority=folder.absolute(), broker=broker_dir.absolute(), hub=hub_dir.absolute())
    with plain_errors():
        if found := list(_host_mistakes(host or [])):
            raise UsageError(NOTHING_CHANGED, found)
        owners = Owners() if own else PRODUCTION
        made = make_missing(folders, [*_ALWAYS, *(host or [])], owners, datetime.now(UTC))
    typer.echo("\n".join(made) or f"nothing to do: all is in {folder}, {broker_dir} and {hub_dir}")


@_group.command()
def serve(config: ConfigOption) -> None:
    """Sign for the gates, keep the broker's files true, and throw out who was revoked, until SIGTERM.

    The one process that reads the authority's key. It runs as a user of its own, on Mosquitto's machine.
    """
    from hub.authority.service import authority_worker

    with plain_errors():
        settings, ended = read_hub_config(config), stop_signals()
        with authority_worker(settings):
            ended.get()


@app.command()
def enrol(
    gate: GateArgument,
    config: ConfigOption,
    host_key: Annotated[
        str,
        typer.Option(help="The machine's SSH host key (Ed25519) as ssh-keygen -l prints it: SHA256:…"),
    ],
    actor: DecidedByOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let one machine become this gate: print a token for maguey-sync enrol, good once and for 15 minutes.

    An earlier token of the gate is no longer good. When it is used, what the gate had is revoked.
    """
    wrong = (
        []
        if HOST_KEY.fullmatch(host_key)
        else [f"--host-key: {host_key[:80]!r}; expected SHA256:…, 43 letters."]
    )
    with open_database(config, wrong) as (settings, conn):
        now = datetime.now(UTC)
        authority = certificate_digest_of_pem(read_authority(settings.mqtt.ca_file))
        made = NewToken(
            gate_id=gate,
            host_key=host_key,
            expires_at=now + TOKEN_LIFE,
            token=EnrolToken(secret=secrets.token_hex(32), authority=authority),
        )
        make_enrolment(conn, settings.venue, made, decided_by(actor), now)
    if as_json:
        said = {"gate": gate, "token": made.token.text, "expires_at": made.expires_at}
        typer.echo(msgspec.json.encode(said).decode())
        return
    typer.echo(made.token.text)
    until = f"{made.expires_at.astimezone():%H:%M}"
    typer.echo(f"Until {until}, on that machine: maguey-sync enrol --hub https://… --gate {gate}", err=True)


def _host_mistakes(hosts: Sequence[str]) -> Iterator[str]:
    if len(hosts) > _MOST_HOSTS:
        yield f"--host: at most {_MOST_HOSTS}, not {len(hosts)}."
    for host in hosts:
        if not _is_host(host):
            yield f"--host: {host[:80]!r} is no name or address, such as hub.club or 10.0.0.2."


def _is_host(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _DNS_NAME.fullmatch(text) is not None
    return True
