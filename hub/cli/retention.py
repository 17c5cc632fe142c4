"""Commands of ``maguey-hub`` about what is kept: housekeeping, archive, erase."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hub.cli.common import EXIT_FAILED, EXIT_USAGE, ConfigOption, fail, plain_errors
from hub.config import read_hub_config

if TYPE_CHECKING:
    from hub.keeping.retention import ArchiveResult, ErasureResult

app = typer.Typer()


@app.command()
def housekeeping(config: ConfigOption) -> None:
    """Complete nights that are over, release unpaid tables, make the months of scans to come, drop old ones.

    For a timer, every hour; may be repeated, also twice at once. Exit code 1 if a step failed.
    """
    from hub.db.connection import connect
    from hub.keeping.hourly import housekeep

    failed = False
    with plain_errors():
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            for step in housekeep(conn, settings.archive, datetime.now(UTC)):
                typer.echo(step.line, err=step.failed)
                failed = failed or step.failed
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def archive(
    config: ConfigOption,
    months: Annotated[
        int | None, typer.Option(min=2, help="How many whole months stay. Without it: [archive] keep_months.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Change nothing, tell what would be done.")] = False,
) -> None:
    """Count the scans of old months, keep the counts, drop the scans. No way back.

    Housekeeping does the same by itself. A month stays as long as it has a double admission nobody has
    acknowledged, or scans of a night that is not over.
    """
    from hub.db.connection import connect
    from hub.keeping.retention import archive as drop_old
    from hub.keeping.retention import months_before

    with plain_errors():
        settings = read_hub_config(config)
        now = datetime.now(UTC)
        before = months_before(now, months or settings.archive.keep_months)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            done = drop_old(conn, before, now, dry=dry)
    if not done.success:
        fail(f"{done.message} Nothing was changed. [{done.error}]", EXIT_FAILED)
    typer.echo(archived_in_words(done, f"{before:%Y-%m}", dry=dry))


@app.command()
def erase(
    config: ConfigOption,
    event: Annotated[
        str,
        typer.Argument(metavar="[EVENT]", help="A night that is over: its code, for example PF, or its id."),
    ] = "",
    email: Annotated[str, typer.Option(help="Instead of a night: one person, in all nights.")] = "",
    actor: Annotated[
        str, typer.Option(help="Who decided it; it is recorded. Without it: the user of this machine.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase personal data: of a night that is over, or of one person. No way back.

    Counts, money, ids and hashes stay. Exit code 1 if nothing was erased.
    """
    from hub.db.connection import connect
    from hub.gates.home_gates import find_night
    from hub.keeping.retention import erase_event, erase_person

    if bool(event) == bool(email):
        fail("Give either a night or --email.", EXIT_USAGE)
    with plain_errors():
        settings = read_hub_config(config)
        with connect(settings.postgres.dsn, autocommit=True) as conn:
            event_id = str(find_night(conn, event, "EVENT")["event_id"]) if event else ""
            asked = f"Erase everybody's names of {event}?" if event else f"Erase {email} from all nights?"
            if not yes and not typer.confirm(f"{asked} There is no way back."):
                fail("Nothing was erased.", EXIT_FAILED)
            who = actor.strip() or getpass.getuser()
            done = erase_event(conn, event_id, who) if event else erase_person(conn, email, who)
    if not done.success:
        fail(f"{done.message} Nothing was changed. [{done.error}]", EXIT_FAILED)
    typer.echo(erased_in_words(done))


def archived_in_words(done: ArchiveResult, before: str, *, dry: bool) -> str:
    """What became of each month, a line each."""
    verb = "would be counted and dropped" if dry else "counted and dropped"
    lines = [f"{one.month}: {one.scans:,} scans {verb}" for one in done.months]
    lines += [f"{one.month}: stays, because of {one.why}" for one in done.kept]
    return "\n".join(lines) or f"no scans from before {before}"


def erased_in_words(done: ErasureResult) -> str:
    """What was erased, in one line."""
    counts = {
        "orders": done.orders,
        "tickets": done.tickets,
        "tables": done.reservations,
        "guest passes": done.guest_passes,
        "mails": done.mails,
        "rows of the feed": done.feed_rows,
    }
    told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    if done.already and done.event_id is None:
        return "There is nothing of that address, or nothing any more."
    if done.already:
        return f"It was erased before; since then: {told or 'nothing'}."
    return f"Erased: {told or 'there was nothing personal'}."
