"""``maguey-hub event``: nights, added, changed and listed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from psycopg.rows import DictRow

from hub.cli.common import (
    ConfigOption,
    DecidedByOption,
    JsonOption,
    ReasonOption,
    decided_by,
    open_database,
)
from hub.cli.output import local, print_rows, say_json
from hub.db.audit import Author
from hub.errors import UsageError
from hub.gates.orders import reason_mistakes
from hub.ticketing.night_plan import (
    DEFAULT_TYPE,
    POLICIES,
    NightPlan,
    plan_mistakes,
    read_types,
    value_mistakes,
)
from hub.ticketing.night_times import NightTimes, SaidTimes, TimeMistakes, night_times
from hub.ticketing.nights import (
    NOT_ADDED,
    NightEdit,
    add_night,
    edit_night,
    list_nights,
    night_now,
    set_policy,
)

NightArgument = Annotated[
    str, typer.Argument(metavar="EVENT", help="The night: its code, for example PF, or its id.")
]
TypeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        metavar="NAME:HOW_MANY:PRICE",
        help="A type of ticket, 'GA:500:25.00'; 'GA::25.00' with no limit of its own. Repeat it.",
    ),
]
GatesOption = Annotated[list[str] | None, typer.Option("--gate", metavar="GATE", help="A gate. Repeat it.")]
_POLICIES = ", ".join(POLICIES)
_WORDS = {"day": "date", "doors_open_at": "doors", "starts_at": "start", "ends_at": "end"}
_NOT_DIVIDED = "its tickets are divided among its gates from an hour before the doors"

event_app = typer.Typer(name="event", help="Nights: add, edit, list, policy, cancel.", no_args_is_help=True)


@event_app.command("add")
def event_add(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    code: Annotated[str, typer.Argument(metavar="CODE", help="2 to 6 letters, in every ticket: PF.")],
    name: Annotated[str, typer.Option(help="As guests and screens call it; each night has its own.")],
    date: Annotated[str, typer.Option(help="The date the doors open on: 2026-12-05.")],
    doors: Annotated[str, typer.Option(help="When they open, by the venue's clocks: 22:00.")],
    end: Annotated[str, typer.Option(help="When it is over: the first such time after the doors open.")],
    capacity: Annotated[int, typer.Option(help="Guests in all.")],
    start: Annotated[
        str | None, typer.Option(help="When it starts: no cancelling from then on. Default: --doors.")
    ] = None,
    types: TypeOption = None,
    gates: GatesOption = None,
    policy: Annotated[
        str, typer.Option(help=f"What a gate that can ask nobody does: {_POLICIES}.")
    ] = "admit",
    description: Annotated[str | None, typer.Option(help="For the shop.")] = None,
    actor: DecidedByOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add a night. Its gates are all that are active, or those of --gate.

    Times are those of the venue's clocks (hub.toml, timezone). A time before --doors is on the next day.
    Where the clocks are set back in that night, 01:30 comes twice: write 01:30-05:00.
    """
    by = Author(actor=decided_by(actor))
    kinds, wrong = read_types(types or [f"{DEFAULT_TYPE}::0"])
    plan = NightPlan(
        code=code.upper(),
        name=name.strip(),
        capacity=capacity,
        types=tuple(kinds),
        policy=policy,
        description=description,
    )
    wrong = [*plan_mistakes(plan), *wrong, *reason_mistakes("new", by.actor)]
    said = SaidTimes(day=date, doors=doors, starts=start, ends=end)
    with open_database(config, (), NOT_ADDED) as (settings, conn):
        times = _meant(night_times(said, settings.zone), wrong)
        event_id, serving = add_night(conn, settings.venue, plan, times, gates, by)
    if as_json:
        say_json({"event_id": event_id, "code": plan.code, "gates": serving})
        return
    zone = settings.zone
    typer.echo(
        f"{plan.name} ({plan.code}): doors {local(times.doors_open_at, zone)}, over "
        f"{local(times.ends_at, zone)}, {capacity} guests; {_gates_in_words(serving)}"
    )


def _meant(found: NightTimes | TimeMistakes, wrong: list[str]) -> NightTimes:
    """The times, unless something is wrong with them or with anything else: then all of it at once."""
    if isinstance(found, TimeMistakes):
        raise UsageError(NOT_ADDED, [*wrong, *found.lines])
    if found.ends_at <= datetime.now(UTC):
        wrong = [*wrong, "--date, --end: this night would be over already."]
    if wrong:
        raise UsageError(NOT_ADDED, wrong)
    return found


def _gates_in_words(gates: Any) -> str:
    if not gates:
        return "no gate serves it yet: name some with `maguey-hub event edit … --gate`"
    return f"at {', '.join(gates)}"


@event_app.command("edit")
def event_edit(  # noqa: PLR0913, PLR0917 – a command line's options
    config: ConfigOption,
    event: NightArgument,
    reason: ReasonOption,
    name: Annotated[str | None, typer.Option(help="Its name.")] = None,
    date: Annotated[str | None, typer.Option(help="Another date; the times of day stay.")] = None,
    doors: Annotated[str | None, typer.Option(help="When the doors open.")] = None,
    start: Annotated[str | None, typer.Option(help="When it starts.")] = None,
    end: Annotated[str | None, typer.Option(help="When it is over.")] = None,
    capacity: Annotated[int | None, typer.Option(help="Guests in all.")] = None,
    types: TypeOption = None,
    gates: GatesOption = None,
    description: Annotated[str | None, typer.Option(help="For the shop.")] = None,
    actor: DecidedByOption = "",
) -> None:
    """Change a night: what is not given stays. --type and --gate are the whole new list.

    Once the doors are open: only --end, --capacity, --type and further gates. Nothing goes below what is
    sold. The code never changes, because the tickets carry it. To cancel a night: maguey-hub event cancel.
    """
    by = Author(actor=decided_by(actor), reason=reason.strip())
    edit = NightEdit(
        name=None if name is None else name.strip(),
        description=description,
        day=date,
        doors=doors,
        starts=start,
        ends=end,
        capacity=capacity,
        types=None if types is None else tuple(read_types(types)[0]),
        gates=None if gates is None else tuple(gates),
    )
    wrong = [*value_mistakes(edit.name, capacity), *read_types(types or [])[1]]
    with open_database(config, [*wrong, *reason_mistakes(reason, by.actor)]) as (settings, conn):
        different, night = edit_night(conn, settings.venue, event, edit, settings.zone, by)
    typer.echo(_edited(different, night))


def _edited(different: dict[str, Any], night: DictRow) -> str:
    if not different:
        return f"{night['name']} is like this already; nothing was changed."
    columns = ", ".join(_WORDS.get(column, column) for column in different)
    said = f"{night['name']} ({night['code']}): changed {columns}."
    sold = sum(night["sold"].values())
    if sold and different.keys() & {"name", "day", "doors_open_at", "starts_at", "ends_at"}:
        said += f" {sold} tickets are sold: tell their holders."
    return said


@event_app.command("policy")
def event_policy(
    config: ConfigOption,
    event: NightArgument,
    policy: Annotated[
        str | None, typer.Argument(metavar="[POLICY]", help=f"{_POLICIES}. Without it: show what is set.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; needed with POLICY, and recorded.")] = "",
    actor: DecidedByOption = "",
) -> None:
    """Show or set what a gate that can ask nobody does with a one-time ticket.

    admit: let in what it knows to be good. home_gate: only its own share of the tickets. deny: leave it to
    staff. Connected gates have it within a second.
    """
    if policy is None:
        with open_database(config) as (_, conn):
            night = night_now(conn, event)
        typer.echo("\n".join(_policy_in_words(night)))
        return
    by = Author(actor=decided_by(actor), reason=reason.strip())
    wrong = [*_policy_mistakes(policy), *reason_mistakes(reason, by.actor)]
    with open_database(config, wrong) as (_, conn):
        before = set_policy(conn, event, policy, by)
    was = before["isolation_policy"]
    typer.echo(f"{before['name']}: {policy}" + (" already" if was == policy else f", was {was}"))


def _policy_mistakes(policy: str) -> Iterator[str]:
    if policy not in POLICIES:
        yield f"POLICY {policy[:40]!r}: expected one of {_POLICIES}."


def _policy_in_words(night: DictRow) -> Iterator[str]:
    yield f"{night['name']} ({night['code']}): {night['isolation_policy']}"
    if night["isolation_policy"] == "home_gate":
        homes = ", ".join(night["home_gates"])
        yield f"  tickets are at home at {homes}" if homes else f"  {_NOT_DIVIDED}"
    if night["retired_gates"]:
        yield f"  out for the night: {', '.join(night['retired_gates'])}"


@event_app.command("list")
def event_list(
    config: ConfigOption,
    past: Annotated[bool, typer.Option("--past", help="Nights that are over as well.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List nights, the next one first: what is sold, who is in, and which gates serve it."""
    now = datetime.now(UTC)
    with open_database(config) as (settings, conn):
        nights = list_nights(conn, now, past=past, limit=limit)
    if as_json:
        say_json(nights)
        return
    headings = ("code", "name", "doors", "over", "state", "sold", "passes", "in", "alone", "gates")
    rows = [
        (
            night["code"],
            night["name"],
            local(night["doors_open_at"], settings.zone),
            local(night["ends_at"], settings.zone, "%H:%M"),
            _state(night, now),
            f"{night['sold']}/{night['capacity'] or '∞'}",
            night["passes"],
            night["arrived"],
            night["policy"],
            ", ".join(night["gates"]),
        )
        for night in nights
    ]
    print_rows(headings, rows, "no nights" if past else "no nights to come; --past lists those that are over")


def _state(night: DictRow, now: datetime) -> str:
    is_on = night["status"] == "scheduled" and night["doors_open_at"] <= now < night["ends_at"]
    return "open" if is_on else str(night["status"])
