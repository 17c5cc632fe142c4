"""``maguey-hub scans`` and ``audit``: what happened, the newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from psycopg.rows import DictRow

from gate.rules.model import Reason, Ruling
from hub.cli.common import ConfigOption, JsonOption, open_database
from hub.cli.output import local, print_rows, say_json
from hub.cli.since import EXPECTED, since_when
from hub.config import HubConfig
from hub.db.statements import query
from hub.errors import UsageError
from hub.gates.home_gates import find_gate, find_night

NOT_LISTED = "Nothing was listed"
_AUDIT_COLUMNS = ("actor", "action", "target", "reason")
SinceOption = Annotated[
    str | None, typer.Option(help="How far back: 30m, 2h, 7d; 22:00; 2026-12-04 or 2026-12-04T22:00.")
]
LimitOption = Annotated[int, typer.Option(min=1, max=10_000, help="How many, the newest first.")]

app = typer.Typer()


@app.command()
def scans(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    gate: Annotated[str | None, typer.Option(help="Only of this gate.")] = None,
    event: Annotated[str | None, typer.Option(help="Only of this night: its code or its id.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only with this reason: already_used.")] = None,
    verdict: Annotated[str | None, typer.Option(help="Only admit, deny or none.")] = None,
    since: SinceOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List scans, admitted and refused, the newest first: those that are here. What a gate has yet to send
    shows maguey-hub gate list.

    Times are the hub's, corrected where a gate's clock was off. A code is known by the first digits of its
    hash, as in the gates' logs.
    """
    wrong = [*_unknown("--reason", reason, list(Reason)), *_unknown("--verdict", verdict, list(Ruling))]
    with open_database(config, wrong, NOT_LISTED) as (settings, conn):
        wanted: dict[str, Any] = {"venue": settings.venue, "gate": gate, "reason": reason, "limit": limit}
        wanted |= {"verdict": verdict, "since": _since(since, settings), "event_id": None}
        if gate is not None:
            find_gate(conn, settings.venue, gate, NOT_LISTED)
        if event is not None:
            wanted["event_id"] = find_night(conn, event)["event_id"]
        rows = conn.execute(query("scan_history"), wanted).fetchall()
    if as_json:
        say_json(rows)
        return
    headings = ("time", "gate", "verdict", "reason", "kind", "night", "holder", "table", "code", "")
    print_rows(headings, [_scan_row(row, settings) for row in rows], "no such scans")


def _unknown(option: str, said: str | None, words: Sequence[str]) -> Iterator[str]:
    if said is not None and said not in words:
        yield f"{option} {said[:40]!r}: expected one of {', '.join(words)}."


def _since(said: str | None, settings: HubConfig) -> datetime | None:
    if said is None:
        return None
    at = since_when(said.strip(), datetime.now(UTC), settings.zone)
    if at is None:
        raise UsageError(NOT_LISTED, [f"--since {said[:40]!r}: {EXPECTED}."])
    return at


def _scan_row(row: DictRow, settings: HubConfig) -> tuple[object, ...]:
    flags = [*row["flags"], *(["annulled"] if row["annulled_at"] else [])]
    return (
        local(row["at"], settings.zone, "%d %b %H:%M:%S"),
        row["gate_id"],
        row["verdict"],
        row["reason"],
        row["kind"],
        row["event"],
        row["holder"],
        row["table_number"],
        (row["code_hash"] or "")[:12],
        ", ".join(flags),
    )


@app.command()
def audit(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    since: SinceOption = None,
    actor: Annotated[str | None, typer.Option(help="Only what this person did.")] = None,
    target: Annotated[
        str | None, typer.Option(help="Only what was done to this: a gate, a night's code, a ticket.")
    ] = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List who changed what and why, the newest first. --json has the details."""
    with open_database(config) as (settings, conn):
        wanted = {"since": _since(since, settings), "actor": actor, "target": target, "limit": limit}
        rows = conn.execute(query("audit_history"), wanted).fetchall()
    if as_json:
        say_json(rows)
        return
    listed = [
        (local(row["at"], settings.zone, "%d %b %Y %H:%M:%S"), *map(row.get, _AUDIT_COLUMNS)) for row in rows
    ]
    print_rows(("time", *_AUDIT_COLUMNS), listed, "nothing is recorded like this")
