"""Which night it is at this gate. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gate.model import Event


def tonight(events: Sequence[Event], now: datetime) -> Event | None:
    """The served event that is on, else the next one, else the one that ended last.

    A cancelled event gives way to one that takes place at the same hours, and is tonight
    otherwise, so that its guests read "event cancelled" rather than "wrong event". For the same
    reason an event that is over stays until another is coming.
    """
    served = sorted((event for event in events if event.served), key=_order)
    on = [event for event in served if event.doors_open_at <= now < event.ends_at]
    taking_place = [event for event in on if event.status != "cancelled"]
    if on:
        return (taking_place or on)[-1]
    coming = [event for event in served if now < event.doors_open_at]
    return coming[0] if coming else (served[-1] if served else None)


def _order(event: Event) -> tuple[datetime, bool, str]:
    """By doors; of two at once the one that takes place comes first, then by id."""
    return event.doors_open_at, event.status == "cancelled", event.event_id
