"""When a night begins and ends, as people say it: a date, and times of day in the venue's time zone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

import msgspec

_SAID = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?P<offset>[+-]\d{2}:\d{2})?", re.ASCII)
FIRST_DAY, LAST_DAY = date(1971, 1, 1), date(2198, 12, 31)
"""Every time at the hub is within 1970 to 2199 (docs/data-model.md)."""


class SaidTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody typed. A time is ``22:00``, or ``01:30-05:00`` where the clocks are set back."""

    day: str
    doors: str
    starts: str | None
    ends: str


class NightTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The date the doors open on, and three instants in UTC."""

    day: date
    doors_open_at: datetime
    starts_at: datetime | None
    ends_at: datetime


class TimeMistakes(msgspec.Struct, frozen=True):
    """What is wrong with the times, each as a sentence."""

    lines: tuple[str, ...]


class _Said(msgspec.Struct, frozen=True):
    option: str
    clock: time
    offset: timezone | None


def night_times(said: SaidTimes, zone: tzinfo | None) -> NightTimes | TimeMistakes:
    """The instants that were meant.

    Start and end are the first such times after the doors open, so a night may go over midnight.

    :param zone: None is this machine's own.
    """
    day = _day(said.day)
    options = {"--doors": said.doors, "--start": said.starts, "--end": said.ends}
    times = {option: _time(option, text) for option, text in options.items() if text is not None}
    wrong = [one for one in (day, *times.values()) if isinstance(one, str)]
    clocks = {option: one for option, one in times.items() if isinstance(one, _Said)}
    if wrong or not isinstance(day, date):
        return TimeMistakes(tuple(wrong))
    return _instants(day, clocks, zone)


def _instants(day: date, said: dict[str, _Said], zone: tzinfo | None) -> NightTimes | TimeMistakes:
    doors = said["--doors"].clock
    found = {}
    for option, one in said.items():
        is_after_midnight = one.clock < doors or (option == "--end" and one.clock == doors)
        found[option] = _instant(day + timedelta(days=is_after_midnight), one, zone)
    at = {option: one for option, one in found.items() if isinstance(one, datetime)}
    wrong = [one for one in found.values() if isinstance(one, str)]
    if "--start" in at and "--end" in at and at["--start"] >= at["--end"]:
        wrong.append("--start: the night would be over before it starts; expected a time before --end.")
    if wrong:
        return TimeMistakes(tuple(wrong))
    return NightTimes(day=day, doors_open_at=at["--doors"], starts_at=at.get("--start"), ends_at=at["--end"])


def _day(text: str) -> date | str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return f"--date {text[:40]!r}: expected a date like 2026-12-05."
    if not FIRST_DAY <= day <= LAST_DAY:
        return f"--date {day}: expected a date from {FIRST_DAY} to {LAST_DAY}."
    return day


def _time(option: str, text: str) -> _Said | str:
    said = _SAID.fullmatch(text)
    try:
        if said is None:
            raise ValueError
        offset = said["offset"]
        zone = datetime.strptime(offset, "%z").tzinfo if offset else None
        clock = time(int(said["hour"]), int(said["minute"]))
    except ValueError:
        return f"{option} {text[:40]!r}: expected a time of day like 22:00."
    return _Said(option, clock, timezone(zone.utcoffset(None) or timedelta()) if zone else None)


def _instant(day: date, said: _Said, zone: tzinfo | None) -> datetime | str:
    """The instant at which the venue's clocks show this; otherwise what is wrong."""
    wall = datetime.combine(day, said.clock)
    possible = sorted(set(_instants_of(wall, zone)))
    where = f"{said.option} {said.clock:%H:%M} on {day}"
    if said.offset is not None:
        meant = wall.replace(tzinfo=said.offset).astimezone(UTC)
        if meant in possible:
            return meant
        return f"{where}: the venue's clocks do not stand at {said.offset} then{_choices(possible, zone)}."
    if not possible:
        return f"{where}: there is no such time; the clocks are set forward over it."
    if len(possible) > 1:
        return f"{where}: comes twice, because the clocks are set back{_choices(possible, zone)}."
    return possible[0]


def _instants_of(wall: datetime, zone: tzinfo | None) -> Iterator[datetime]:
    for fold in (0, 1):
        folded = wall.replace(fold=fold)
        at = (folded.astimezone() if zone is None else folded.replace(tzinfo=zone)).astimezone(UTC)
        # in the gap of spring no instant reads like this
        if at.astimezone(zone).replace(tzinfo=None, fold=0) == wall:
            yield at


def _choices(possible: list[datetime], zone: tzinfo | None) -> str:
    if not possible:
        return ""
    return "; write " + " or ".join(f"{said_time(at, zone)}" for at in possible)


def said_time(at: datetime, zone: tzinfo | None) -> str:
    """An instant as somebody would type it, without doubt: ``22:00-06:00``."""
    local = at.astimezone(zone)
    offset = f"{local:%z}"
    return f"{local:%H:%M}{offset[:3]}:{offset[3:5]}"
