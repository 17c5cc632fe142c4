"""What a night is made of, and what may be changed about it when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hub.ticketing.night_plan import (
    NightChange,
    NightNow,
    TicketType,
    cents_of,
    change_mistakes,
    money,
    read_types,
)
from hub.ticketing.night_times import NightTimes

DOORS = datetime(2026, 12, 5, 21, tzinfo=UTC)
BEFORE, OPEN = DOORS - timedelta(hours=1), DOORS + timedelta(hours=1)
NIGHT = NightNow(
    name="Perreo",
    status="scheduled",
    doors_open_at=DOORS,
    starts_at=DOORS,
    ends_at=DOORS + timedelta(hours=8),
    home_gates=(),
    sold={"GA": 40, "Early": 2},
)


def times(**changes: datetime) -> NightTimes:
    now = {"doors_open_at": DOORS, "starts_at": DOORS, "ends_at": NIGHT.ends_at}
    return NightTimes(day=DOORS.date(), **(now | changes))


def refused(change: NightChange, now: datetime = BEFORE, night: NightNow = NIGHT) -> str:
    return "\n".join(change_mistakes(night, change, now))


def test_nothing_goes_below_what_is_sold() -> None:
    assert "42 tickets are sold" in refused(NightChange(capacity=41))
    assert refused(NightChange(capacity=42)) == ""
    ga = TicketType(name="GA", capacity=39)
    assert "40 are sold" in refused(NightChange(types=(ga,)))
    assert "2 of 'Early' are sold" in refused(NightChange(types=(ga,)))


def test_while_the_doors_are_open_only_its_end_can_be_moved() -> None:
    late = DOORS + timedelta(hours=9)
    assert refused(NightChange(times=times(ends_at=late), capacity=600), OPEN) == ""
    assert "Only --end" in refused(NightChange(times=times(doors_open_at=BEFORE)), OPEN)
    assert "Only --end" in refused(NightChange(times=times(starts_at=OPEN)), OPEN)
    assert refused(NightChange(times=times(doors_open_at=BEFORE)), BEFORE) == ""
    assert "by this name" in refused(NightChange(name="Other"), OPEN)
    assert "over already" in refused(NightChange(times=times(ends_at=OPEN)), OPEN)


def test_a_gate_leaves_no_night_whose_doors_are_open_or_whose_tickets_are_divided() -> None:
    change = NightChange(leave_gates=("gate-2",))
    assert refused(change) == ""
    assert "maguey-hub retire" in refused(change, OPEN)
    divided = msgspec.structs.replace(NIGHT, home_gates=("gate-1", "gate-2"))
    assert "maguey-hub retire" in refused(change, BEFORE, divided)


def test_nothing_changes_about_a_night_that_is_over_or_cancelled() -> None:
    assert "is over" in refused(NightChange(capacity=600), NIGHT.ends_at)
    cancelled = msgspec.structs.replace(NIGHT, status="cancelled")
    assert "was cancelled" in refused(NightChange(capacity=600), BEFORE, cancelled)


def test_a_type_is_a_name_a_number_and_a_price() -> None:
    types, wrong = read_types(["GA:500:25.5", "a:b::3", "Free"])
    assert (types, wrong) == (
        [
            TicketType(name="GA", capacity=500, price="25.50"),
            TicketType(name="a:b", price="3.00"),
            TicketType(name="Free"),
        ],
        [],
    )
    assert len(read_types(["", "GA:many:1", "GA:1:1.999", "x\x1b::1", "GA:1:1", "ga:2:2"])[1]) == 5


@given(st.lists(st.text(max_size=40), max_size=3))
def test_any_types_are_read_or_complained_about(said: list[str]) -> None:
    types, wrong = read_types(said)
    assert types or wrong or not said


@given(st.integers(0, 99_999_999))
def test_a_price_is_exact_to_the_cent(cents: int) -> None:
    assert cents_of(money(cents)) == cents
