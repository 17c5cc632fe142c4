"""Commands of ``maguey-hub`` that change a night for good: restored, retire, event cancel."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

import typer

from hub.cli.common import (
    EXIT_USAGE,
    ActorOption,
    ConfigOption,
    DecidedByOption,
    EventOption,
    GateArgument,
    ReasonOption,
    YesOption,
    confirm,
    decided_by,
    fail,
    fail_unless_done,
    open_database,
    refuse,
)
from hub.cli.event import NightArgument, event_app
from hub.cli.output import local
from hub.db.connection import Connection, retry_conflicts
from hub.db.statements import query
from hub.gates.home_gates import find_gate, find_night
from hub.gates.home_gates import retire as take_out
from hub.gates.orders import reason_mistakes
from hub.ticketing.cancellation import (
    CancellationPreview,
    CancellationResult,
    preview_event_cancellation,
)
from hub.ticketing.cancellation import cancel_event as cancel

app = typer.Typer()


@app.command()
def restored(config: ConfigOption, reason: ReasonOption, actor: ActorOption) -> None:
    """Have every gate load its nights again, after the database was restored to an earlier state.

    Without it the gates refuse a feed that went back, and go on with the newer one they hold.
    """
    said = {"reason": reason, "actor": actor}
    with open_database(config, reason_mistakes(reason, actor)) as (_, conn):
        row = retry_conflicts(lambda: conn.execute(query("feed_restored"), said).fetchone())
    nights = row["nights"] if row else 0
    typer.echo(f"{nights} nights: every gate loads them again as soon as it is connected")


@app.command()
def retire(
    gate: GateArgument, config: ConfigOption, event: EventOption, reason: ReasonOption, actor: ActorOption
) -> None:
    """Take a dead gate out for the night, policy home_gate: its tickets go to the other gates.

    Switch it off first: a gate that only lost its connection would go on admitting its own tickets. There is
    no way back for this night.
    """
    with open_database(config, reason_mistakes(reason, actor)) as (settings, conn):
        find_gate(conn, settings.venue, gate)
        answer = take_out(conn, event, gate, actor, reason, datetime.now(UTC))
    typer.echo(answer)


@event_app.command("cancel")
def cancel_event(
    config: ConfigOption,
    event: NightArgument,
    reason: ReasonOption,
    actor: DecidedByOption = "",
    yes: YesOption = False,
) -> None:
    """Cancel a night before it starts: everybody gets a refund, and no gate admits anybody. No way back.

    Shows what it would cost first, and asks. Exit code 1 if nothing was cancelled.
    """
    if not reason.strip():
        fail("--reason: say why; it is recorded.", EXIT_USAGE)
    with open_database(config) as (settings, conn):
        event_id = str(find_night(conn, event, "EVENT")["event_id"])
        preview = preview_event_cancellation(conn, event_id)
        if not preview.success or not preview.can_cancel:
            refuse(preview)
        typer.echo(preview_in_words(preview, settings.zone))
        confirm("Cancel this night?", yes, "Nothing was cancelled.")
        typer.echo(_cancel(conn, event_id, decided_by(actor), reason.strip(), preview.refund_total_cents))


def _cancel(conn: Connection, event_id: str, actor: str, reason: str, expected: int) -> str:
    done = cancel(conn, event_id, actor, reason, expected)
    fail_unless_done(done)
    if done.already:
        return f"It was cancelled before, by {done.cancelled_by}: {done.reason}"
    return f"Cancelled. {_money(done.refund_total_cents, done)} in {done.refunds} refunds are queued."


def preview_in_words(preview: CancellationPreview, zone: tzinfo | None) -> str:
    """What a cancellation would do and cost, an item a line. `zone`: the venue's; None is this machine's."""
    assert preview.event is not None
    event, kinds = preview.event, preview.by_kind
    kinds_of = {"orders": kinds.orders, "tables": kinds.tables, "tickets without an order": kinds.tickets}
    lines = [
        f"{event.name} ({event.code}), starts {local(event.starts_at, zone)}",
        f"  {preview.tickets} tickets become refunded, {preview.guest_passes} guest passes cancelled",
        f"  {preview.reservations} reservations are cancelled, their tables free again",
        f"  {preview.refunds} refunds, together {_money(preview.refund_total_cents, preview)}",
        *(
            f"    {share.count} for {kind}: {_money(share.cents, preview)}"
            for kind, share in kinds_of.items()
            if share.count
        ),
    ]
    if preview.by_hand_cents:
        by_hand = _money(preview.by_hand_cents, preview)
        lines.append(f"  {by_hand} were not paid by card here: give them back by hand")
    return "\n".join(lines)


def _money(cents: int, of: CancellationPreview | CancellationResult) -> str:
    return f"{cents // 100:,}.{cents % 100:02} {(of.currency or '').upper()}".rstrip()
