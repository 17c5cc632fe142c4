"""Which night it is at this gate. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gate.model import Event


def tonight(events: Sequence[Event], now: datetime) -> Event | None:
    """The served event that is on, else the next one, else the one that ended last.

    An event that is over stays "tonight" until another begins to exist, so that late guests
    read "event over" rather than "wrong event".
    """
    served = sorted((event for event in events if event.served), key=lambda event: event.doors_open_at)
    on = [event for event in served if event.doors_open_at <= now < event.ends_at]
    coming = [event for event in served if now < event.doors_open_at]
    if on:
        return on[-1]
    return coming[0] if coming else (served[-1] if served else None)
