"""Commands of ``maguey-hub`` for whoever runs a night: orders to the gates, and what changes a night."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from gate.rules.command import Action
from hub.cli.common import EXIT_FAILED, ConfigOption, plain_errors
from hub.config import KEY_ID, HubConfig, read_hub_config
from hub.errors import UsageError
from hub.gates.health import ago

if TYPE_CHECKING:
    from hub.db.connection import Connection
    from hub.gates.orders import GateOrder, OrderSender
    from hub.mqtt.link import BrokerLink

CONNECT_SECONDS = 5.0
LONGEST_WAIT_S = 60

app = typer.Typer()

ReasonOption = Annotated[str, typer.Option(help="Why; it is recorded.")]
Actor = Annotated[str, typer.Option(help="Who gives it; it is recorded.")]


@app.command()
def command(  # noqa: PLR0913, PLR0917 – a command line's options
    gate: Annotated[str, typer.Argument(metavar="GATE", help="The gate's id.")],
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help=f"{', '.join(get_args(Action))}. release: let one in. refetch: load all tickets anew. "
            "restart: the door.",
        ),
    ],
    config: ConfigOption,
    reason: ReasonOption,
    actor: Actor,
    text: Annotated[str, typer.Option(help="What show_text shows.")] = "",
    valid: Annotated[int, typer.Option(help="Seconds until it expires, at most 600.")] = 30,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the gate's reply, at most 60.")] = 5.0,
) -> None:
    """Order a gate: signed, for now, once, and recorded. Exit code 1 if it did not reply that it is done."""
    from hub.db.connection import connect
    from hub.gates.orders import NOT_GIVEN, GateOrder, order_mistakes

    order = GateOrder(gate_id=gate, action=action, reason=reason, actor=actor, text=text, valid_s=valid)
    with plain_errors():
        _stop_at(NOT_GIVEN, [*order_mistakes(order), *_wait_mistakes(wait)])
        settings = read_hub_config(config)
        with _orders(settings, gate) as orders, connect(settings.postgres.dsn, autocommit=True) as conn:
            answer, is_done = _give(conn, orders, order, wait)
    typer.echo(answer, err=not is_done)
    if not is_done:
        raise typer.Exit(EXIT_FAILED)


def _stop_at(what: str, order_mistakes: Sequence[str]) -> None:
    if order_mistakes:
        raise UsageError(what, order_mistakes)


def _wait_mistakes(wait: float) -> Iterator[str]:
    if not 0 <= wait <= LONGEST_WAIT_S:
        yield f"--wait: expected 0 to {LONGEST_WAIT_S} s, not {wait:g}."


@contextlib.contextmanager
def _orders(settings: HubConfig, gate: str) -> Iterator[OrderSender]:
    from hub.gates.orders import OrderSender
    from hub.gates.signing_key import signer
    from sync.wire.topics import Topics

    key = signer(settings.commands)
    with _broker(settings, Topics(venue=settings.venue).replies(gate)) as broker:
        yield OrderSender(broker, settings.venue, key)


@contextlib.contextmanager
def _broker(settings: HubConfig, topic: str) -> Iterator[BrokerLink]:
    """A connection of its own for a moment; without a session, which nobody would come back for."""
    from hub.mqtt.link import BrokerLink, client_id

    name = client_id(secrets.token_hex(6), "command")
    broker = BrokerLink(settings.mqtt, name, topic, session_s=0)
    try:
        broker.wait_until_up(CONNECT_SECONDS)
        yield broker
    finally:
        broker.close()


def _give(conn: Connection, orders: OrderSender, order: GateOrder, wait: float) -> tuple[str, bool]:
    """What became of it, in words, and whether it is done."""
    from hub.gates.orders import take_reply

    given = orders.give(conn, order, datetime.now(UTC))
    reply = orders.wait(given, wait)
    if reply is not None:
        take_reply(conn, reply, datetime.now(UTC))
        what = f"{order.gate_id} {order.action}"
        return (
            (f"{what}: done", True) if reply.outcome == "done" else (f"{what}: refused, {reply.why}", False)
        )
    return _silence(orders.gate(conn, order.gate_id), order, wait), False


def _silence(gate: dict[str, Any] | None, order: GateOrder, wait: float) -> str:
    heard = "never was heard" if not gate or gate["link"] == "never" else f"is {gate['link']}"
    if gate and gate["heard_at"] is not None:
        heard += f", last heard {ago(gate['heard_at'], datetime.now(UTC))} ago"
    if gate and gate["door"] is False:
        heard += ", and its door was not running"
    return (
        f"{order.gate_id} {order.action}: no reply within {wait:g} s. The gate {heard}. It may still follow "
        f"the order until that expires, {order.valid_s} s after it was given. What became of it: "
        "maguey-hub orders."
    )


@app.command("command-key")
def command_key(
    out: Annotated[Path, typer.Option(help="Where the private key goes, mode 0600; never overwritten.")],
    key_id: Annotated[str, typer.Option("--id", help="What the gates are to know it by.")] = "C1",
    show: Annotated[bool, typer.Option("--show", help="Make none: print the line of the key there.")] = False,
) -> None:
    """Make the key that orders are signed with; print what to write into gate.toml and hub.toml."""
    from hub.gates.signing_key import make_key, public_line, read_key

    with plain_errors():
        if not KEY_ID.fullmatch(key_id):
            raise UsageError(
                "No key was made",
                [f"--id: expected 1 to 8 upper-case letters and digits, not {key_id[:40]!r}."],
            )
        if not show:
            make_key(out)
        line = public_line(key_id, read_key(out))
    typer.echo(f"# every gate.toml\n[command_keys]\n{line}\n")
    typer.echo(f'# hub.toml\n[commands]\nkey_file = "{out.absolute()}"\nkey_id = "{key_id}"')


@app.command()
def restored(config: ConfigOption, reason: ReasonOption, actor: Actor) -> None:
    """After the database was put back to an earlier state: have every gate load its nights anew.

    Without it the gates refuse a feed that went back, and go on with the newer one they hold.
    """
    from hub.db.connection import connect, retry_conflicts
    from hub.db.statements import query
    from hub.gates.orders import reason_mistakes

    with plain_errors():
        _stop_at("Nothing was changed", list(reason_mistakes(reason, actor)))
        settings = read_hub_config(config)
        said = {"reason": reason, "actor": actor}
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            row = retry_conflicts(lambda: conn.execute(query("feed_restored"), said).fetchone())
    nights = row["nights"] if row else 0
    typer.echo(f"{nights} nights: every gate loads them anew as soon as it is connected")


@app.command()
def retire(
    gate: Annotated[str, typer.Argument(metavar="GATE", help="The gate's id.")],
    config: ConfigOption,
    event: Annotated[str, typer.Option(help="The night: its code, for example PF, or its id.")],
    reason: ReasonOption,
    actor: Actor,
) -> None:
    """Take a gate out for the night, policy home_gate: its tickets go to the other gates.

    For a gate that is dead. One that only lost its connection would go on admitting its own tickets: switch
    it off first. There is no way back for this night.
    """
    from hub.db.connection import connect
    from hub.gates.home_gates import find_gate
    from hub.gates.home_gates import retire as take_out
    from hub.gates.orders import reason_mistakes

    with plain_errors():
        _stop_at("Nothing was changed", list(reason_mistakes(reason, actor)))
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn) as conn:
            find_gate(conn, settings.venue, gate)
            answer = take_out(conn, event, gate, actor, reason, datetime.now(UTC))
    typer.echo(answer)


@app.command()
def revoke(
    gate: Annotated[str, typer.Argument(metavar="GATE", help="The gate's id.")],
    config: ConfigOption,
    reason: ReasonOption,
    actor: Actor,
) -> None:
    """Revoke a gate, for one that was stolen: from now on nothing counts that it sends.

    Its scans are kept as evidence; its claims, statuses and answers are not heeded, its token opens nothing,
    and the other gates are told at once. What it was granted and has not used is free. Then close the
    broker to it: broker-list, and crl.pem (docs/operations.md). There is no way back; one that is found is a
    new gate.
    """
    from hub.db.connection import connect
    from hub.gates.orders import reason_mistakes
    from hub.gates.revocation import NOT_REVOKED
    from hub.gates.revocation import revoke as take_away

    with plain_errors():
        _stop_at(NOT_REVOKED, list(reason_mistakes(reason, actor)))
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            answer = take_away(conn, settings.venue, gate, actor, reason, datetime.now(UTC))
    typer.echo(answer)
