"""Keeps a gate's configuration below what a gate accepts, whatever the database holds (protocol 4.5).
Pure."""

from __future__ import annotations

import msgspec

from gate.rules.model import Event
from sync.wire.messages import GateConfig

MOST_LENT = 50_000
"""Lent tickets in one configuration, about 3.4 MB."""
MOST_DIVIDED = 8
"""Nights in one configuration whose tickets are divided among gates, each of which is named. Home gates are
fixed an hour before the doors open, and are of no use once a night is over."""


def bounded(config: GateConfig) -> GateConfig:
    """The part of it that the gate gets.

    A night with more lent tickets than there is room for comes without them, and without home gates. A gate
    that does not know all it lent asks for each of that night's one-time tickets (`lent_as_of`).
    """
    lent, room = {}, MOST_LENT
    for event_id, codes in sorted(config.lent.items(), key=lambda night: len(night[1])):
        if len(codes) <= room:
            lent[event_id] = codes
            room -= len(codes)
    divided = [event.event_id for event in config.events if event.homes]
    complete = {night for night in divided if night in lent or night not in config.lent}
    kept = set([night for night in divided if night in complete][-MOST_DIVIDED:])
    events = tuple(event if event.event_id in kept else _undivided(event) for event in config.events)
    return msgspec.structs.replace(config, events=events, lent=lent)


def _undivided(event: Event) -> Event:
    return msgspec.structs.replace(event, homes=(), retired=()) if event.homes or event.retired else event
