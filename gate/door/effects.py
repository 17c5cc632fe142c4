"""From a verdict to what the door does about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gate.common.value import Value
from gate.ports.screen import LinkView, VerdictScreen
from gate.ports.signals import Signal, signal_of
from gate.rules.model import Reason, Table, Verdict
from gate.store.cache import Feed, LinkState, is_isolated


def screen_link(
    state: LinkState, waiting: int, feed: Feed, isolated_after_ms: float, *, stale: bool
) -> LinkView:
    """The link as the screen tells it."""
    return LinkView(
        online=state.online,
        waiting=waiting,
        cache_age_s=feed.age_s,
        isolated=is_isolated(state, isolated_after_ms),
        stale=stale,
    )


class Effects(Value, frozen=True):
    """One release of the turnstile or none, the screen to show, and what lights and buzzer say."""

    release: bool
    screen: VerdictScreen
    signal: Signal


def effects(verdict: Verdict, link: LinkView, gate_names: Mapping[str, str]) -> Effects:
    """What follows from a verdict. An admission releases once; nothing else does.

    :param gate_names: what people call the gates, by id; an unknown one is called by its id.
    """
    gate = verdict.other_gate or (verdict.entry.gate if verdict.entry else "")
    place = gate_names.get(gate, gate)
    screen = VerdictScreen(verdict=verdict, place=place, link=link)
    return Effects(release=verdict.admits, screen=screen, signal=signal_of(verdict))


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
