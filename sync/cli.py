"""`maguey-sync`: connects a gate with the hub."""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
import threading
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import structlog
import typer

from gate.clock import SystemClock
from gate.common.check_up import tell_findings
from gate.common.command_line import run_command
from gate.common.errors import ConfigError
from gate.common.log import configure
from gate.common.options import common_options, config_option
from gate.common.systemd import Notifier, watchdog_ms
from gate.common.text_file import NotTextError, read_text
from gate.common.watchdog import Heart
from gate.config import GateFile, HubSection, read_gate_config
from gate.rules.payload import visible
from gate.store.live_file import read_live
from gate.store.locks import only_one
from gate.store.update_note import RELEASE_STATE, read_update_note
from sync.broker.inbox import Inbox
from sync.broker.mqtt import BrokerAddress, MqttLink
from sync.claims.claim_inbox import FromDoor
from sync.claims.hotline import HotlineServer
from sync.upload.outbox import Outbox
from sync.wire.enrolment import EnrolToken, read_token
from sync.wire.topics import GATE_ID, Topics

if TYPE_CHECKING:
    from sync.identity.erasure import Erasure
    from sync.identity.files import IdentityFiles

app = typer.Typer(
    help="Sends a gate's scans to the hub and keeps the gate's tickets up to date.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(common_options)
_LONGEST_TOKEN = 1024
_ENROL = "Enrol the gate: maguey-hub enrol at the hub, then maguey-sync enrol here."

_Config = Annotated[Path, config_option("gate.toml")]


@app.command()
def run(config: _Config) -> None:
    """Run until stopped (SIGTERM or Ctrl-C). Exit code 2: wrong configuration."""
    settings = read_gate_config(config)
    configure(settings.log, service="maguey-sync", gate=settings.gate_id)
    files = _identity(settings.hub)
    erasure = _erasure(settings, files)
    token = _token(Path(settings.hub.token_file))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with only_one("sync", settings.cache.parent):
        _serve(settings, token, files, erasure, stop)


def _serve(
    settings: GateFile,
    token: str,
    files: IdentityFiles | None,
    erasure: Erasure | None,
    stop: threading.Event,
) -> None:
    from sync.cache.writer import Cache
    from sync.feed.fetcher import Fetcher, WantCertificate
    from sync.feed.snapshot import HubClient
    from sync.identity.renewal import CertificateRenewal
    from sync.service import Sync, SyncEvent
    from sync.status import GateIdentity

    hub, broker = settings.hub, _broker(settings)
    inbox = Inbox[SyncEvent]()
    client = HubClient(hub.url, settings.gate_id, token, hub.ca_file)
    cache = Cache(settings.cache)
    clock = SystemClock()
    fetcher = Fetcher(
        client,
        cache.spool,
        lambda answer: inbox.put((None, answer)),
        now_ms=lambda: clock.now().monotonic_ms,
    )
    own_scans = Topics(venue=settings.venue).scans(settings.gate_id)
    hotline = HotlineServer(
        settings.socket, lambda door, said: service.claims.inbox.put(FromDoor(door, said))
    )
    service = Sync(
        identity=GateIdentity(gate_id=settings.gate_id, venue=settings.venue, version=version("maguey-gate")),
        cache=cache,
        outbox=Outbox(settings.journal),
        inbox=inbox,
        make_link=lambda will, topics: MqttLink(
            broker, settings.gate_id, service.deliver, will, topics, choice=own_scans
        ),
        want=fetcher.want,
        clock=clock,
        door=lambda now: read_live(settings.live, now),
        jitter=random.random,
        fetched=fetcher.turns,
        doors=hotline,
        claim_timeout_s=settings.door.claim_timeout,
        rollback=_rollback,
        erasure=erasure,
        renewal=None
        if files is None
        else CertificateRenewal(files, settings.gate_id, lambda said: fetcher.want(WantCertificate(said))),
    )
    hotline.start()
    notifier = Notifier(os.environ.get("NOTIFY_SOCKET", ""))
    try:
        heart = Heart(notifier, watchdog_ms(os.environ, os.getpid()))
        with heart.watching_threads():
            service.run(stop, heart)
    finally:
        hotline.close()
        fetcher.close()
    _finish_erasure(erasure)


def _identity(hub: HubSection) -> IdentityFiles | None:
    """The files that sync renews, once what was cut off is finished. None: it has no certificate."""
    from sync.identity.files import IdentityError, IdentityFiles

    if not (hub.ca_file and hub.cert_file and hub.key_file):
        return None
    files = IdentityFiles(
        authority=Path(hub.ca_file),
        certificate=Path(hub.cert_file),
        key=Path(hub.key_file),
        token=Path(hub.token_file),
    )
    try:
        files.finish()
    except IdentityError as error:
        structlog.get_logger().warning("certificate renewal failed", reason=str(error))
    return files


def _erasure(settings: GateFile, files: IdentityFiles | None) -> Erasure | None:
    """What a stolen gate does. Finishes one that was cut off."""
    from gate.config import command_keys
    from sync.identity.erasure import Erasure

    if files is None:
        return None
    erasure = Erasure(files, settings.cache, command_keys(settings), settings.gate_id)
    _finish_erasure(erasure)
    return erasure


def _finish_erasure(erasure: Erasure | None) -> None:
    from sync.identity.erasure import WIPED

    if erasure is not None and erasure.has_begun:
        erasure.finish()
        raise ConfigError(WIPED)


def _rollback() -> str:
    note = read_update_note(RELEASE_STATE)
    return note.rollback if note is not None else ""


def _broker(settings: GateFile) -> BrokerAddress:
    hub = settings.hub
    return BrokerAddress(
        host=hub.broker,
        port=hub.broker_port,
        ca_file=hub.ca_file,
        cert_file=hub.cert_file,
        key_file=hub.key_file,
    )


@app.command()
def enrol(  # noqa: PLR0913, PLR0917 – a command line's options
    hub: Annotated[str, typer.Option(help="The hub's address, for example https://hub.club:8443.")],
    gate: Annotated[str, typer.Option(help="The gate's id at the hub.")],
    folder: Annotated[Path, typer.Option("--dir", help="For ca.pem, gate.pem, gate.key and token.")] = Path(
        "/var/lib/maguey-sync"
    ),
    owner: Annotated[str, typer.Option(help="Whom the files are given to.")] = "maguey-sync",
    host_key: Annotated[Path, typer.Option(help="This machine's SSH host key (Ed25519).")] = Path(
        "/etc/ssh/ssh_host_ed25519_key"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Make this machine a gate. Run as root, with the token of 'maguey-hub enrol' on standard input.

    The key is made here and never leaves. An earlier run that was cut off is finished. A machine that is that
    gate already says so, and nothing is changed; to make it anew, remove --dir first.
    """
    from sync.identity.enrolment import Applicant, enrolled_until, read_host_key
    from sync.identity.enrolment import enrol as become
    from sync.identity.files import IdentityFiles

    files = IdentityFiles(
        authority=folder / "ca.pem",
        certificate=folder / "gate.pem",
        key=folder / "gate.key",
        token=folder / "token",
        owner=owner if os.geteuid() == 0 else "",
    )
    url = _checked_call(hub, gate)
    if (until := enrolled_until(files, gate, datetime.now(UTC))) is not None:
        _say_enrolled(gate, until, {}, already=True, as_json=as_json)
        return
    applicant = Applicant(
        url=url,
        gate_id=gate,
        token=_enrol_token(),
        own_token=secrets.token_urlsafe(32),
        host_key=read_host_key(host_key),
    )
    answer = become(files, applicant)
    until = enrolled_until(files, gate, datetime.now(UTC))
    assert until is not None
    _say_enrolled(gate, until, answer.command_keys, already=False, as_json=as_json)


def _checked_call(hub: str, gate: str) -> str:
    from sync.identity.hub_line import hub_address

    try:
        if GATE_ID.fullmatch(gate):
            return hub_address(hub)
    except ValueError as error:
        raise ConfigError(f"--hub: {hub[:80]!r}: {error}.") from None
    raise ConfigError(f"--gate: {gate[:64]!r} is no gate's id: 1 to 64 letters, digits, '-', '_' or '.'.")


def _enrol_token() -> EnrolToken:
    if sys.stdin.isatty():
        typer.echo("Token of 'maguey-hub enrol': ", nl=False, err=True)
    try:
        return read_token(sys.stdin.readline(_LONGEST_TOKEN))
    except ValueError:
        raise ConfigError(
            "Standard input has no enrolment token. Make one at the hub: maguey-hub enrol GATE --host-key "
            "SHA256:…"
        ) from None


def _say_enrolled(gate: str, until: datetime, keys: dict[str, str], *, already: bool, as_json: bool) -> None:
    if as_json:
        said = {"gate": gate, "until": until, "command_keys": keys, "already": already}
        typer.echo(msgspec.json.encode(said).decode())
        return
    typer.echo(
        f"{gate} is enrolled{' already' if already else ''}, until {until:%Y-%m-%d}; sync renews it by itself"
    )
    if keys:
        typer.echo(
            "\n".join(["gate.toml:", "[command_keys]", *(f'{name} = "{key}"' for name, key in keys.items())])
        )


@app.command()
def doctor(
    config: _Config,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """Test hub and broker as this gate, up to an acknowledgement from the hub. Exit code 1: something to do.

    While maguey-sync runs, doctor only reads its state: the broker takes one connection per gate. Otherwise
    it sends the newest record again; the hub stores it once. With --json each line is an object.
    """
    from sync.doctor import diagnose_sync
    from sync.feed.snapshot import HubClient

    settings = read_gate_config(config)
    configure(settings.log, service="maguey-sync", gate=settings.gate_id)
    hub = settings.hub
    client = HubClient(hub.url, settings.gate_id, _token(Path(hub.token_file)), hub.ca_file)
    found = diagnose_sync(settings, _broker(settings), client, SystemClock())
    tell_findings(found, as_json=as_json)


def _token(path: Path) -> str:
    try:
        token = visible(read_text(path))
    except NotTextError as error:
        raise ConfigError(f"hub.token_file: {path}: {error}") from None
    except PermissionError:
        raise ConfigError(
            f"hub.token_file: {path} is there and may not be read by this account. It has to belong to "
            f"maguey-sync: chown maguey-sync: {path}; chmod 0400 {path}"
        ) from None
    except OSError as error:
        raise ConfigError(f"hub.token_file: {path} cannot be read: {error.strerror}. {_ENROL}") from None
    if not token:
        raise ConfigError(f"hub.token_file: {path} is empty. {_ENROL}")
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(f"hub.token_file: {path} holds no token. {_ENROL}")
    return token


def main() -> None:
    """Entry point. Errors end in words; what needs the extra is imported by the commands that do."""
    run_command("maguey-sync", "pi", app)


if __name__ == "__main__":
    main()
