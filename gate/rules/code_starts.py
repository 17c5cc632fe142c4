"""What the codes of a night begin with, before their random part. Pure.

A code contains the date that its night had when the ticket was sold (protocol 4.1). Mostly that is the
evening when the doors open; but nights are moved, doors open after midnight, and shops write the date in
UTC. Somebody who types only the random part leaves the date open, so it is looked up under every date a
ticket may have. The cache knows codes only by their hash, so each date is one more code to try.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta, tzinfo

from gate.common.value import Value
from gate.rules.model import Event
from gate.rules.night import evening, tonight

FARTHEST_DAYS = 366
"""Nobody moves a night by more than a year."""
AROUND = timedelta(hours=36)
"""Guests of a night that begins or ends within this time from now may be at the door."""
_DAY = timedelta(days=1)
_CENTURY = timedelta(days=36_525)


class NightCode(Value, frozen=True):
    """One night: its event's code, and the evening it is planned for now."""

    code: str
    day: date

    def start(self, days: int = 0) -> str:
        """What its codes begin with, if dated `days` after its evening."""
        return f"MGY-{self.code}-{self.day + days * _DAY:%Y%m%d}-"


class Starts(Value, frozen=True):
    """The nights whose guests may be at the door, tonight first."""

    nights: tuple[NightCode, ...] = ()

    @property
    def tonight(self) -> str:
        """Such as ``MGY-PF-20250115-``; empty if there is no night."""
        return self.nights[0].start() if self.nights else ""

    def near(self) -> tuple[str, ...]:
        """Starts with the date of each night, then with the dates beside it."""
        return tuple(dict.fromkeys(night.start(days) for days in (0, 1, -1) for night in self.nights))

    def far(self) -> Iterator[str]:
        """Starts with all other dates within a year, the nearest first."""
        for days in range(2, FARTHEST_DAYS + 1):
            for night in self.nights:
                yield night.start(days)
                yield night.start(-days)

    def on(self, day: str) -> tuple[str, ...]:
        """Starts with a date that was typed without its event, ``YYYYMMDD``."""
        return tuple(dict.fromkeys(f"MGY-{night.code}-{day}-" for night in self.nights))


def starts_of(events: Sequence[Event], now: datetime, zone: tzinfo) -> Starts:
    """What codes typed at this gate now may begin with.

    :param events: every night the gate knows.
    :param zone: where the club is; see `gate.rules.night.evening`.
    """
    first = tonight(events, now)
    served = sorted((event for event in events if event.served), key=lambda event: event.doors_open_at)
    chosen = ([first] if first else []) + [one for one in served if one != first and _is_around(one, now)]
    # at the two ends of time a date has no neighbours
    dated = [one for one in chosen if abs(one.doors_open_at - now) < _CENTURY]
    return Starts(
        nights=tuple(NightCode(code=one.code, day=evening(one.doors_open_at, zone)) for one in dated)
    )


def _is_around(event: Event, now: datetime) -> bool:
    return event.doors_open_at - now <= AROUND and now - event.ends_at <= AROUND
