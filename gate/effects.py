"""From a verdict to what the door does about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gate.model import Reason, Table, Value, Verdict
from gate.screen import Answer, Link


class Effects(Value, frozen=True):
    """One release of the turnstile or none, and the screen to show."""

    release: bool
    screen: Answer


def effects(verdict: Verdict, link: Link, gate_names: Mapping[str, str]) -> Effects:
    """What follows from a verdict. An admission releases once; nothing else does.

    :param gate_names: what people call the gates, by id; an unknown one is called by its id.
    """
    place = gate_names.get(verdict.entry.gate, verdict.entry.gate) if verdict.entry else ""
    return Effects(release=verdict.admits, screen=Answer(verdict=verdict, place=place, link=link))


def with_arrivals(verdict: Verdict, entered_unseen: int) -> Verdict:
    """Count at the table those whom the hub has not counted yet, the guest in front included.

    :param entered_unseen: guests of this table this gate knows are in though the cache does not.
    """
    table: Table | None = verdict.table
    if table is None:
        return verdict
    newcomer = verdict.admits and verdict.reason is Reason.FIRST_ENTRY
    arrived = table.arrived + entered_unseen + int(newcomer)
    return msgspec.structs.replace(verdict, table=msgspec.structs.replace(table, arrived=arrived))
