"""A night before it is sold, and what may still be changed about it later (domain 2.1, 2.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import get_args

import msgspec

from gate.rules.model import IsolationPolicy
from hub.ticketing.night_times import NightTimes

POLICIES: tuple[str, ...] = get_args(IsolationPolicy)
"""What a gate does with a one-time ticket while it cannot ask anybody (domain 2.3)."""

MOST_CAPACITY = 1_000_000
MOST_CENTS = 99_999_999
"""A million less a cent: more than a ticket or a table costs, and what `decimal(10, 2)` holds."""
MOST_TYPES = 50
LONGEST_NAME = 120
DEFAULT_TYPE = "General Admission"
"""The same as the column's default, and as of the ticket that comes with a table."""

_CODE = re.compile(r"[A-Z]{2,6}", re.ASCII)
_PRICE = re.compile(r"(\d{1,6})(?:[.,](\d{1,2}))?", re.ASCII)
_COUNT = re.compile(r"\d{1,7}", re.ASCII)


class TicketType(msgspec.Struct, frozen=True, kw_only=True):
    """One element of ``events.ticket_types``. `capacity`: None if only the night's own limits it.

    `price`: with two decimals, as text, because a binary fraction has no cents.
    """

    name: str
    price: str = "0.00"
    capacity: int | None = None


class NightPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A night that nobody has a ticket for yet."""

    code: str
    name: str
    capacity: int
    types: tuple[TicketType, ...]
    policy: str = "admit"
    description: str | None = None


class NightChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be different; None stays as it is."""

    name: str | None = None
    times: NightTimes | None = None
    capacity: int | None = None
    types: tuple[TicketType, ...] | None = None
    leave_gates: tuple[str, ...] = ()
    """Gates that would no longer serve it."""


class NightNow(msgspec.Struct, frozen=True, kw_only=True):
    """A night as it stands in the database, locked. `sold`: by ticket type."""

    name: str
    status: str
    doors_open_at: datetime
    starts_at: datetime | None
    ends_at: datetime
    home_gates: Sequence[str]
    sold: Mapping[str, int]


def cents_of(price: str) -> int | None:
    """The cents of ``25``, ``25.00`` or ``25,00``; None if it is no price up to `MOST_CENTS`."""
    said = _PRICE.fullmatch(price.strip())
    return int(said[1]) * 100 + int((said[2] or "0").ljust(2, "0")) if said else None


def money(cents: int) -> str:
    """Cents as a price: ``25.00``."""
    return f"{cents // 100}.{cents % 100:02}"


def read_types(said: Iterable[str]) -> tuple[list[TicketType], list[str]]:
    """Ticket types as typed, ``GA:500:25.00``: name, how many, price. And what is wrong with them."""
    types, wrong = [], []
    for text in said:
        name, capacity, price = ([*text.rsplit(":", 2), "", ""])[:3]
        cents = cents_of(price or "0")
        if not is_name(name) or (capacity and not _COUNT.fullmatch(capacity)) or cents is None:
            wrong.append(f"--type {text[:60]!r}: expected NAME:HOW_MANY:PRICE, for example 'GA:500:25.00'.")
            continue
        limit = int(capacity) if capacity else None
        types.append(TicketType(name=name.strip(), price=money(cents), capacity=limit))
    return types, [*wrong, *_types_together(types)]


def _types_together(types: Sequence[TicketType]) -> Iterator[str]:
    names = [one.name.lower() for one in types]
    for one in sorted({name for name in names if names.count(name) > 1}):
        yield f"--type: there are several called '{one}'."
    if len(types) > MOST_TYPES:
        yield f"--type: expected at most {MOST_TYPES}, not {len(types)}."


def is_name(text: str, longest: int = LONGEST_NAME) -> bool:
    """Whether it can be shown, and is neither empty nor too long."""
    return 0 < len(text.strip()) <= longest and text.isprintable()


def plan_mistakes(plan: NightPlan) -> Iterator[str]:
    """What is wrong with a new night by itself."""
    if not _CODE.fullmatch(plan.code):
        yield f"CODE {plan.code[:40]!r}: expected 2 to 6 capital letters, for example PF."
    if plan.policy not in POLICIES:
        yield f"--policy {plan.policy[:40]!r}: expected one of {', '.join(POLICIES)}."
    if plan.description is not None and len(plan.description) > 5000:
        yield f"--description: expected at most 5000 characters, not {len(plan.description)}."
    yield from value_mistakes(plan.name, plan.capacity)


def value_mistakes(name: str | None, capacity: int | None) -> Iterator[str]:
    """What is wrong with a name or a capacity, where one is given."""
    if name is not None and not is_name(name):
        yield f"--name: expected 1 to {LONGEST_NAME} characters that can be printed."
    if capacity is not None and not 1 <= capacity <= MOST_CAPACITY:
        yield f"--capacity: expected 1 to {MOST_CAPACITY}, not {capacity}."


def change_mistakes(night: NightNow, change: NightChange, now: datetime) -> Iterator[str]:
    """Why a night may not be changed like this.

    Once the doors are open, guests and gates go by what they were told: then only its end, more room and more
    gates.
    """
    if night.status != "scheduled" or now >= night.ends_at:
        is_so = "was cancelled" if night.status == "cancelled" else "is over"
        yield f"{night.name} {is_so}: nothing of it changes any more."
        return
    if change.times is not None and change.times.ends_at <= now:
        yield "--end: the night would be over already."
    yield from _too_few(night, change)
    if now >= night.doors_open_at:
        yield from _in_mid_night(night, change)
    elif night.home_gates and change.leave_gates:
        yield _divided(change)


def _divided(change: NightChange) -> str:
    left = ", ".join(change.leave_gates)
    return (
        f"--gate: tickets are at home at its gates already, so {left} stays. Is it dead? maguey-hub retire."
    )


def _in_mid_night(night: NightNow, change: NightChange) -> Iterator[str]:
    said = f"the doors of {night.name} are open"
    if change.name is not None and change.name != night.name:
        yield f"--name: {said}, and its guests know it by this name."
    times = change.times
    if times is not None and (times.doors_open_at, times.starts_at) != (night.doors_open_at, night.starts_at):
        yield f"--date, --doors, --start: {said}. Only --end can still be moved."
    if change.leave_gates:
        yield f"--gate: {said}, so {', '.join(change.leave_gates)} stays. Is it dead? maguey-hub retire."


def _too_few(night: NightNow, change: NightChange) -> Iterator[str]:
    sold = sum(night.sold.values())
    if change.capacity is not None and change.capacity < sold:
        yield f"--capacity: {sold} tickets are sold; expected at least as many."
    if change.types is None:
        return
    types = {one.name: one for one in change.types}
    for name, count in night.sold.items():
        if name not in types:
            yield f"--type: {count} of '{name}' are sold, so it stays in the list."
        elif (limit := types[name].capacity) is not None and limit < count:
            yield f"--type {name}: {count} are sold; expected at least as many."
