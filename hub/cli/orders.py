"""``maguey-hub command``, ``orders`` and ``command-key``: staff's orders to gates, and their key."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
import typer

from gate.rules.command import Action
from hub.cli.common import (
    EXIT_FAILED,
    ActorOption,
    ConfigOption,
    GateArgument,
    JsonOption,
    ReasonOption,
    open_database,
    plain_errors,
)
from hub.config import KEY_ID, HubConfig
from hub.db.connection import Connection
from hub.db.statements import query
from hub.errors import UsageError
from hub.gates.health import ago, order_line
from hub.gates.orders import NOT_GIVEN, GateOrder, OrderSender, order_mistakes, take_reply
from hub.gates.signing_key import make_key, public_line, read_key, signer
from sync.wire.topics import Topics

if TYPE_CHECKING:
    from hub.mqtt.link import BrokerLink

CONNECT_SECONDS = 5.0
LONGEST_WAIT_S = 60

app = typer.Typer()


@app.command()
def command(  # noqa: PLR0913, PLR0917 – a command line's options
    gate: GateArgument,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help=f"{', '.join(get_args(Action))}. release: let one guest in. refetch: load all tickets "
            "again. restart: the door's service.",
        ),
    ],
    config: ConfigOption,
    reason: ReasonOption,
    actor: ActorOption,
    text: Annotated[str, typer.Option(help="The text for show_text.")] = "",
    valid: Annotated[int, typer.Option(help="Seconds until the order expires, at most 600.")] = 30,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the gate's reply, at most 60.")] = 5.0,
) -> None:
    """Give a gate a signed order. It is recorded, and valid once and for a short time.

    Exit code 1 if the gate did not reply that it is done.
    """
    order = GateOrder(gate_id=gate, action=action, reason=reason, actor=actor, text=text, valid_s=valid)
    wrong = [*order_mistakes(order), *_wait_mistakes(wait)]
    with open_database(config, wrong, NOT_GIVEN) as (settings, conn), _sender(settings, gate) as sender:
        answer, is_done = _give(conn, sender, order, wait)
    typer.echo(answer, err=not is_done)
    if not is_done:
        raise typer.Exit(EXIT_FAILED)


def _wait_mistakes(wait: float) -> Iterator[str]:
    if not 0 <= wait <= LONGEST_WAIT_S:
        yield f"--wait: expected 0 to {LONGEST_WAIT_S} s, not {wait:g}."


@contextlib.contextmanager
def _sender(settings: HubConfig, gate: str) -> Iterator[OrderSender]:
    key = signer(settings.commands)
    with _broker(settings, Topics(venue=settings.venue).replies(gate)) as broker:
        yield OrderSender(broker, settings.venue, key)


@contextlib.contextmanager
def _broker(settings: HubConfig, topic: str) -> Iterator[BrokerLink]:
    """A short connection of its own, without a session, because nobody would resume it."""
    from hub.mqtt.link import BrokerLink, client_id

    name = client_id(secrets.token_hex(6), "command")
    with contextlib.closing(BrokerLink(settings.mqtt, name, topic, session_s=0)) as broker:
        broker.wait_until_up(CONNECT_SECONDS)
        yield broker


def _give(conn: Connection, sender: OrderSender, order: GateOrder, wait: float) -> tuple[str, bool]:
    """Returns what became of the order, in words, and whether it is done."""
    given = sender.give(conn, order, datetime.now(UTC))
    reply = sender.wait(given, wait)
    if reply is None:
        return _silence(sender.gate(conn, order.gate_id), order, wait), False
    take_reply(conn, reply, datetime.now(UTC))
    what = f"{order.gate_id} {order.action}"
    if reply.outcome == "done":
        return f"{what}: done", True
    return f"{what}: refused, {reply.why}", False


def _silence(gate: dict[str, Any] | None, order: GateOrder, wait: float) -> str:
    heard = "was never heard" if not gate or gate["link"] == "never" else f"is {gate['link']}"
    if gate and gate["heard_at"] is not None:
        heard += f", last heard {ago(gate['heard_at'], datetime.now(UTC))} ago"
    if gate and gate["door"] is False:
        heard += ", and its door was not running"
    return (
        f"{order.gate_id} {order.action}: no reply within {wait:g} s. The gate {heard}. It may still follow "
        f"the order until that expires, {order.valid_s} s after it was given. What became of it: "
        "maguey-hub orders."
    )


@app.command()
def orders(
    config: ConfigOption,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """What became of the newest orders to gates: done, refused and why, or never answered."""
    with open_database(config) as (settings, conn):
        wanted = {"venue": settings.venue, "limit": limit}
        rows = conn.execute(query("command_outcomes"), wanted).fetchall()
    if as_json:
        typer.echo(msgspec.json.encode(rows).decode())
        return
    typer.echo("\n".join(map(order_line, rows)) or f"no orders in venue '{settings.venue}'")


@app.command("command-key")
def command_key(
    out: Annotated[Path, typer.Option(help="Where the private key goes, mode 0600; never overwritten.")],
    key_id: Annotated[str, typer.Option("--id", help="The name of the key at the gates.")] = "C1",
    show: Annotated[
        bool, typer.Option("--show", help="Make no key: print the lines of the one in --out.")
    ] = False,
) -> None:
    """Make the key that signs orders, and print its lines for gate.toml and hub.toml."""
    print_key(out, key_id, show, "[command_keys]", "[commands]")


def print_key(out: Path, key_id: str, show: bool, at_gates: str, here: str) -> None:
    """Make a key, or read one, and print its lines.

    :param at_gates: its heading in every gate.toml; `here`: in hub.toml.
    """
    with plain_errors():
        if not KEY_ID.fullmatch(key_id):
            wrong = f"--id: expected 1 to 8 upper-case letters and digits, not {key_id[:40]!r}."
            raise UsageError("No key was made", [wrong])
        if not show:
            make_key(out)
        line = public_line(key_id, read_key(out))
    typer.echo(f"# every gate.toml\n{at_gates}\n{line}\n")
    typer.echo(f'# hub.toml\n{here}\nkey_file = "{out.absolute()}"\nkey_id = "{key_id}"')
