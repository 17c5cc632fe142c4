"""Reads how far back somebody wants to look: ``2h``, ``22:00``, ``2026-12-04``. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

_SPAN = re.compile(r"(\d{1,4})([mhd])", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)

EXPECTED = (
    "expected a span like 30m, 2h or 7d, a time like 22:00, or a date like 2026-12-04 or 2026-12-04T22:00"
)


def since_when(said: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    """The instant that was meant; None if nobody can tell.

    A time of day is its last time before `now`.

    :param zone: the venue's; None is this machine's.
    """
    if span := _SPAN.fullmatch(said):
        return max(now - timedelta(**{_UNITS[span[2]]: int(span[1])}), _EARLIEST)
    try:
        if clock := _CLOCK.fullmatch(said):
            return _last(time(int(clock[1]), int(clock[2])), now, zone)
        return _aware(datetime.fromisoformat(said), zone)
    except (ValueError, OverflowError):
        return None


def _last(clock: time, now: datetime, zone: tzinfo | None) -> datetime:
    today = now.astimezone(zone).date()
    at = _aware(datetime.combine(today, clock), zone)
    return at if at <= now else _aware(datetime.combine(today - timedelta(days=1), clock), zone)


def _aware(at: datetime, zone: tzinfo | None) -> datetime:
    """In UTC, and not before computers had a clock."""
    if at.tzinfo is None:
        at = at.astimezone() if zone is None else at.replace(tzinfo=zone)
    return max(at.astimezone(UTC), _EARLIEST)
