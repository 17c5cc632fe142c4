"""Which changes of an event's feed to apply, given the version held. Pure (protocol 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from gate.common.value import Value
from sync.wire.messages import Change


class ChangePlan(Value, frozen=True):
    """`apply`: changes that follow the version held, in order. `gap`: some are missing before the rest."""

    apply: tuple[Change, ...] = ()
    gap: bool = False


def plan(held: int | None, changes: Sequence[Change]) -> ChangePlan:
    """Apply what is new and consecutive; the rest has to be fetched.

    :param held: version in the cache, None if the event was never fetched.
    :param changes: as received: in any order, repeated, some already known.
    """
    if held is None:
        return ChangePlan(gap=bool(changes))
    fresh = {change.version: change for change in changes if change.version > held}
    apply: list[Change] = []
    while held + len(apply) + 1 in fresh:
        apply.append(fresh[held + len(apply) + 1])
    return ChangePlan(apply=tuple(apply), gap=len(apply) < len(fresh))
