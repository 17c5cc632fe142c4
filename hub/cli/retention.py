"""Commands of ``maguey-hub`` about what is kept and for how long: housekeeping, archive, erase."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from hub.cli.common import (
    EXIT_FAILED,
    EXIT_USAGE,
    ConfigOption,
    DecidedByOption,
    YesOption,
    confirm,
    decided_by,
    fail,
    fail_unless_done,
    open_database,
)
from hub.gates.home_gates import find_night
from hub.keeping.hourly import Keeping, housekeep
from hub.keeping.retention import ArchiveResult, ErasureResult, erase_event, erase_person, months_before
from hub.keeping.retention import archive as archive_scans

app = typer.Typer()


@app.command()
def housekeeping(config: ConfigOption) -> None:
    """Complete nights that are over, release unpaid tables, make the coming months of scans, drop old ones.

    Reports a newest backup that is too old.

    For an hourly timer. It may be repeated, also twice at once. Exit code 1 if a step failed.
    """
    failed = False
    with open_database(config) as (settings, conn):
        for step in housekeep(conn, Keeping(settings.archive, settings.backup), datetime.now(UTC)):
            typer.echo(step.line, err=step.failed)
            failed = failed or step.failed
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def archive(
    config: ConfigOption,
    months: Annotated[
        int | None, typer.Option(min=2, help="How many whole months stay. Default: keep_months in hub.toml.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Change nothing, print what would be done.")] = False,
) -> None:
    """Count the scans of old months, keep the counts, drop the scans. No way back.

    Housekeeping does this by itself. A month stays as long as it has a double admission that nobody has
    acknowledged, or scans of a night that is not over.
    """
    now = datetime.now(UTC)
    with open_database(config) as (settings, conn):
        before = months_before(now, months or settings.archive.keep_months)
        done = archive_scans(conn, before, now, dry=dry)
    fail_unless_done(done)
    typer.echo(archived_in_words(done, f"{before:%Y-%m}", dry=dry))


@app.command()
def erase(
    config: ConfigOption,
    event: Annotated[
        str,
        typer.Argument(metavar="[EVENT]", help="A night that is over: its code, for example PF, or its id."),
    ] = "",
    email: Annotated[str, typer.Option(help="Instead of a night: one person, in all nights.")] = "",
    actor: DecidedByOption = "",
    yes: YesOption = False,
) -> None:
    """Erase personal data: of a night that is over, or of one person. No way back.

    Counts, money, ids and hashes stay. Exit code 1 if nothing was erased.
    """
    if bool(event) == bool(email):
        fail("Give either a night or --email.", EXIT_USAGE)
    with open_database(config) as (_, conn):
        event_id = str(find_night(conn, event, "EVENT")["event_id"]) if event else ""
        question = f"Erase everybody's names of {event}?" if event else f"Erase {email} from all nights?"
        confirm(question, yes, "Nothing was erased.")
        who = decided_by(actor)
        done = erase_event(conn, event_id, who) if event else erase_person(conn, email, who)
    fail_unless_done(done)
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
    erased = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    if done.already and done.event_id is None:
        return "Nothing is stored under that address, or nothing any more."
    if done.already:
        return f"It was erased before; since then: {erased or 'nothing'}."
    return f"Erased: {erased or 'there was nothing personal'}."
