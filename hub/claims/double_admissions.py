"""Double admissions: those nobody has looked at yet, and acknowledging them (domain 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from hub.db.connection import Connection, retry_conflicts
from hub.db.statements import query
from hub.errors import NOTHING_CHANGED, UsageError
from hub.gates.health import printable

SHORTEST = 4
"""Shortest beginning of an id that may stand for it, in characters."""


class DoubleAdmission(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket admitted twice. `winner`: the admission that counts.

    `rule`: ``earlier``, or ``gate`` if nobody can say which was earlier. None where nobody knows: night and
    ticket of a code nobody sold, gate and time of a scan that is archived.
    """

    id: str
    rule: str
    night: str | None
    ticket: str | None
    winner_gate: str | None
    winner_at: datetime | None
    winner_uncertainty_ms: int | None
    loser_gate: str | None
    loser_at: datetime | None
    loser_uncertainty_ms: int | None


def open_double_admissions(conn: Connection) -> list[DoubleAdmission]:
    """Double admissions nobody has acknowledged, the oldest first.

    :raises psycopg.Error: the database is away.
    """
    return [msgspec.convert(row, DoubleAdmission) for row in conn.execute(query("open_conflicts")).fetchall()]


def acknowledge(
    conn: Connection, wanted: Sequence[str], night: str, actor: str, now: datetime
) -> list[DoubleAdmission]:
    """Record that `actor` has looked at them. They are no longer listed, and no longer keep a month.

    :param wanted: ids, or beginnings of at least `SHORTEST` characters.
    :param night: also all of the night with this code; empty for none.
    :returns: those that were open until now.
    :raises UsageError: one of them is not open, or ambiguous; nothing was changed.
    """

    def transact() -> list[DoubleAdmission]:
        with conn.transaction():
            found = _meant(open_double_admissions(conn), wanted, night)
            values = {"ids": [one.id for one in found], "actor": actor, "now": now}
            done = {row["id"] for row in conn.execute(query("acknowledge_conflicts"), values).fetchall()}
        return [one for one in found if one.id in done]

    return retry_conflicts(transact)


def _meant(known: Sequence[DoubleAdmission], wanted: Sequence[str], night: str) -> list[DoubleAdmission]:
    found = {one.id: one for one in known if night and (one.night or "").upper() == night.upper()}
    wrong = [] if found or not night else [f"--night: '{night[:40]}' has no open double admission."]
    for name in wanted:
        meant = [one for one in known if len(name) >= SHORTEST and one.id.startswith(name.lower())]
        if len(meant) == 1:
            found[meant[0].id] = meant[0]
        else:
            wrong.append(f"'{name[:40]}': {_WHY[min(len(meant), 2)]}")
    if wrong:
        raise UsageError(NOTHING_CHANGED, wrong)
    return list(found.values())


_WHY = {
    0: f"not listed, or not any more; give at least {SHORTEST} characters of an id that 'conflicts' lists.",
    2: "several ids begin like this; give more of it.",
}


def double_admission_in_words(one: DoubleAdmission) -> str:
    """Two lines: which ticket, and both admissions with their gates and times."""
    which = printable(" ".join(part for part in (one.night, one.ticket and f"ticket {one.ticket}") if part))
    why = "was earlier" if one.rule == "earlier" else "counts by its name, nobody knows which was earlier"
    first = _admission(one.winner_gate, one.winner_at, one.winner_uncertainty_ms)
    second = _admission(one.loser_gate, one.loser_at, one.loser_uncertainty_ms)
    return f"{one.id[:8]}  {which or 'a code nobody sold'}\n    {first}, which {why}; and {second}"


def _admission(gate: str | None, at: datetime | None, uncertainty_ms: int | None) -> str:
    if gate is None or at is None:
        return "a scan that is archived"
    when = at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    doubt = "by a clock nobody knows" if uncertainty_ms is None else f"± {uncertainty_ms / 1000:.1f} s"
    return f"{printable(gate)} at {when} ({doubt})"
