"""Which nights a gate serves now, and which one a ticket is judged by (domain 2.3). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal

from gate.rules.model import Event

LINGER = timedelta(hours=2)
"""How long after its end a night is still tonight: latecomers read "event over", not "wrong event"."""
MORNING = timedelta(hours=6)
UNSURE = timedelta(minutes=10)
"""How wrong an unconfirmed clock may be without widening a ticket's hours: twice the five minutes that
quality 7.1, invariant 15, asks for."""


def evening(doors: datetime, zone: tzinfo) -> date:
    """The date people call a night by: doors that open before six belong to the evening before.

    :param zone: where the club is.
    """
    return (doors.astimezone(zone) - MORNING).date()


def night_ends(at: datetime, events: Sequence[Event], zone: tzinfo) -> datetime:
    """When the night of a moment ends: with the last event that is on or of that evening, else at six.

    An order given just after a night's end still belongs to that night. It holds as long as the night
    lingers, but never until the next doors open.

    :param zone: where the club is.
    """
    nights = [event for event in events if event.served and event.status != "cancelled"]
    lingering = _lingering_until(at, nights)
    if lingering is not None:
        return lingering
    ends = [event.ends_at for event in nights if event.ends_at > at and _is_of_night(event, at, zone)]
    six = datetime.combine(evening(at, zone) + timedelta(days=1), time(), zone) + MORNING
    return max(ends, default=six)


def _lingering_until(at: datetime, nights: Sequence[Event]) -> datetime | None:
    """Until when a night that is over is still the night of a moment, as in `tonight`; None if none is."""
    over = [night.ends_at for night in nights if night.ends_at <= at]
    if not over or any(night.doors_open_at <= at < night.ends_at for night in nights):
        return None
    doors = min((night.doors_open_at for night in nights if night.doors_open_at > at), default=at + LINGER)
    if at - max(over) >= min(LINGER, doors - at):
        return None
    return min(max(over) + LINGER, doors)


def _is_of_night(event: Event, at: datetime, zone: tzinfo) -> bool:
    return event.doors_open_at <= at or evening(event.doors_open_at, zone) == evening(at, zone)


def clock_margin(clock: Literal["synced", "untrusted"], uncertainty_ms: int | None) -> timedelta:
    """How much later doors open, and how much sooner a night ends, at a gate whose clock is uncertain.

    So a gate that knew the time would not have refused, because of the hour, anybody that this one admits.
    """
    if clock != "synced" or uncertainty_ms is None:
        return UNSURE
    return timedelta(milliseconds=uncertainty_ms)


def tonight(events: Sequence[Event], now: datetime) -> Event | None:
    """The served event that is on, else the one that just ended, else the next one, else the last one.

    A cancelled event gives way to one that takes place at the same hours. Otherwise it is tonight, so that
    its guests read "event cancelled" and not "wrong event". For the same reason an event that is over stays
    for `LINGER`, unless the next doors are nearer than its end.
    """
    served = sorted((event for event in events if event.served), key=_order)
    on = [event for event in served if event.doors_open_at <= now < event.ends_at]
    taking_place = [event for event in on if event.status != "cancelled"]
    if on:
        return (taking_place or on)[-1]
    coming = [event for event in served if now < event.doors_open_at]
    over = [event for event in served if event.ends_at <= now]
    if coming and over and _lingers(over[-1], coming[0], now):
        return over[-1]
    return coming[0] if coming else (served[-1] if served else None)


def nights_served(events: Sequence[Event], now: datetime) -> tuple[Event, ...]:
    """The nights this gate serves now, in the order their doors open (domain 2.3, line 7).

    These are `tonight`, the events that overlap it, and those that ended less than `LINGER` ago: their guests
    still read "event over", even if another has begun.
    """
    main = tonight(events, now)
    if main is None:
        return ()
    served = sorted((event for event in events if event.served), key=_order)
    return tuple(event for event in served if _overlap(event, main) or _just_ended(event, now))


def _overlap(one: Event, other: Event) -> bool:
    """Whether they have a moment in common; an event without any hours overlaps itself."""
    return one == other or (one.doors_open_at < other.ends_at and other.doors_open_at < one.ends_at)


def _just_ended(event: Event, now: datetime) -> bool:
    return timedelta() <= now - event.ends_at < LINGER


def taking_place(events: Sequence[Event], now: datetime) -> tuple[Event, ...]:
    """The nights that are on: their doors are open and they are not cancelled."""
    return tuple(
        event
        for event in nights_served(events, now)
        if event.doors_open_at <= now < event.ends_at and event.status == "scheduled"
    )


def nights_now(events: Sequence[Event], now: datetime) -> tuple[Event, ...]:
    """The nights whose lists are needed now: `tonight` first, then the others that are on."""
    main = tonight(events, now)
    others = tuple(event for event in taking_place(events, now) if event != main)
    return (main, *others) if main is not None else ()


def night_of(wanted: Event | None, events: Sequence[Event], now: datetime) -> Event | None:
    """The night a ticket is judged by: its own if this gate serves it now, else tonight's.

    :param wanted: the night the ticket is for, None if nobody knows.
    """
    if wanted is not None and any(wanted.event_id == event.event_id for event in nights_served(events, now)):
        return wanted
    return tonight(events, now)


def _lingers(over: Event, coming: Event, now: datetime) -> bool:
    return now - over.ends_at < min(LINGER, coming.doors_open_at - now)


def names_night(code_event: str, code_date: str | None, event: Event) -> bool:
    """Whether event and date in a ticket's code are those of a night.

    The code has the date of the evening in the club's time zone, which is never more than a day from the date
    of the doors in UTC. That is enough to tell last week's ticket from tonight's, should an event's code ever
    be used for a second night.
    """
    try:
        apart = date.fromisoformat(code_date or "") - event.doors_open_at.astimezone(UTC).date()
    except ValueError:  # eight digits, but not a date
        return False
    return code_event == event.code and abs(apart.days) <= 1


def _order(event: Event) -> tuple[datetime, bool, str]:
    """By doors; if two open at once, the one that takes place comes first, then by id."""
    return event.doors_open_at, event.status == "cancelled", event.event_id
