"""Commands of ``maguey-hub`` about what was sold: a night is cancelled."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.common import EXIT_FAILED, EXIT_USAGE, ConfigOption, fail, plain_errors
from hub.config import read_hub_config

if TYPE_CHECKING:
    from hub.db.connection import Connection
    from hub.ticketing.cancellation import CancellationPreview, CancellationResult

app = typer.Typer()


@app.command("cancel-event")
def cancel_event(
    code: Annotated[
        str, typer.Argument(metavar="EVENT", help="The night: its code, for example PF, or its id.")
    ],
    config: ConfigOption,
    reason: Annotated[str, typer.Option(help="Why; it is recorded.")],
    actor: Annotated[
        str, typer.Option(help="Who decided it; it is recorded. Without it: the user of this machine.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Cancel a night before it starts: refunds for everybody, and no gate lets anybody in. No way back.

    Shows first what it would come to, and asks. Exit code 1 if nothing was cancelled.
    """
    from hub.db.connection import connect
    from hub.gates.home_gates import find_night

    if not reason.strip():
        fail("--reason: say why; it is recorded.", EXIT_USAGE)
    with plain_errors():
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            event_id = str(find_night(conn, code, "EVENT")["event_id"])
            told = _preview(conn, event_id)
            typer.echo(in_words(told))
            if not yes and not typer.confirm("Cancel this night? There is no way back."):
                fail("Nothing was cancelled.", EXIT_FAILED)
            who = actor.strip() or getpass.getuser()
            typer.echo(_cancel(conn, event_id, who, reason.strip(), told.refund_total_cents))


def _preview(conn: Connection, event_id: str) -> CancellationPreview:
    from hub.ticketing.cancellation import preview_event_cancellation

    told = preview_event_cancellation(conn, event_id)
    if not told.success or not told.can_cancel:
        fail(f"{told.message} Nothing was changed. [{told.error}]", EXIT_FAILED)
    return told


def _cancel(conn: Connection, event_id: str, actor: str, reason: str, expected: int) -> str:
    from hub.ticketing.cancellation import cancel_event as cancel

    done = cancel(conn, event_id, actor, reason, expected)
    if not done.success:
        fail(f"{done.message} Nothing was changed. [{done.error}]", EXIT_FAILED)
    if done.already:
        return f"It was cancelled before, by {done.cancelled_by}: {done.reason}"
    return f"Cancelled. {_money(done.refund_total_cents, done)} in {done.refunds} refunds are queued."


def in_words(told: CancellationPreview) -> str:
    """What a cancellation would come to, one thing a line."""
    assert told.event is not None
    event, kinds = told.event, told.by_kind
    kinds_of = {"orders": kinds.orders, "tables": kinds.tables, "tickets without an order": kinds.tickets}
    lines = [
        f"{event.name} ({event.code}), starts {event.starts_at.astimezone():%a %d %b %Y %H:%M}",
        f"  {told.tickets} tickets become refunded, {told.guest_passes} guest passes cancelled",
        f"  {told.reservations} reservations are cancelled, their tables free again",
        f"  {told.refunds} refunds, together {_money(told.refund_total_cents, told)}",
        *(
            f"    {share.count} for {kind}: {_money(share.cents, told)}"
            for kind, share in kinds_of.items()
            if share.count
        ),
    ]
    if told.by_hand_cents:
        lines.append(
            f"  {_money(told.by_hand_cents, told)} were not paid by card here: give them back by hand"
        )
    return "\n".join(lines)


def _money(cents: int, told: CancellationPreview | CancellationResult) -> str:
    return f"{cents // 100:,}.{cents % 100:02} {(told.currency or '').upper()}".rstrip()
