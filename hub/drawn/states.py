"""The diagrams of docs/data-model.md, drawn from the transitions in the database.

``python -m hub.drawn.states DSN [FILE]`` rewrites the text between two markers in FILE, by default
docs/data-model.md. A test compares them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from hub.db.connection import Connection, connect
from hub.db.statements import query
from hub.errors import HubError

BEGIN = "<!-- states: written by python -m hub.drawn.states -->"
END = "<!-- states: end -->"

MACHINES = {
    "event": ("A night", "events"),
    "reservation": ("A reservation", "vip_reservations"),
    "ticket": ("A ticket", "tickets"),
    "guest_pass": ("A guest pass", "vip_guest_passes"),
    "order": ("An order", "orders"),
}
"""The title of each machine, and the table whose `status` it is."""

_CONDITIONS = {
    "before_start": "before the night has started",
    "annulled": "its entry was annulled",
}


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a machine. `condition`: empty, or a key of `_CONDITIONS`."""

    machine: str
    from_state: str
    to_state: str
    condition: str = ""


def transitions(conn: Connection) -> list[Transition]:
    """Every step the database allows."""
    return [Transition(**row) for row in conn.execute(query("state_transitions")).fetchall()]


def first_states(conn: Connection) -> dict[str, str]:
    """The first state of each machine: its column's default."""
    tables = {table: machine for machine, (_, table) in MACHINES.items()}
    found = conn.execute(query("first_states"), {"tables": list(tables)}).fetchall()
    return {tables[row["table_name"]]: row["first_state"] for row in found}


def diagram(first: str, steps: Iterable[Transition]) -> str:
    """One machine as Mermaid's state diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    for step in steps:
        said = f": {_CONDITIONS[step.condition]}" if step.condition else ""
        lines.append(f"    {step.from_state} --> {step.to_state}{said}")
    return "\n".join([*lines, "```"])


def diagrams(conn: Connection) -> str:
    """All machines, each under its name."""
    known, first = transitions(conn), first_states(conn)
    return "\n\n".join(
        f"**{title}**\n\n" + diagram(first[machine], [step for step in known if step.machine == machine])
        for machine, (title, _) in MACHINES.items()
    )


def put_into(text: str, drawn: str, begin_mark: str = BEGIN, end_mark: str = END) -> str:
    """`text` with `drawn` between its markers.

    :raises HubError: it has no markers.
    """
    before, begin, rest = text.partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not (begin and end):
        raise HubError(f"The file has no markers: put '{begin_mark}' and '{end_mark}' on lines of their own.")
    return f"{before}{begin_mark}\n\n{drawn}\n\n{end_mark}{after}"


def main() -> None:
    """Rewrite the diagrams of a document from the database named on the command line."""
    if len(sys.argv) not in {2, 3}:
        sys.exit("usage: python -m hub.drawn.states DSN [FILE]")
    file = Path(sys.argv[2] if len(sys.argv) > 2 else "docs/data-model.md")
    with connect(sys.argv[1]) as conn:
        file.write_text(put_into(file.read_text(encoding="utf-8"), diagrams(conn)), encoding="utf-8")


if __name__ == "__main__":
    main()
