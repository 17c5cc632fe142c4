"""Which night is tonight: domain 2.1, 2.3 lines 7, 8 and 10."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest

from gate.rules.model import Event
from gate.rules.night import evening, tonight
from tests.factories import DOORS, an_event

DAY = timedelta(days=1)
FRIDAY = an_event()
SATURDAY = an_event(event_id="event-2", doors_open_at=DOORS + DAY, ends_at=DOORS + DAY + timedelta(hours=8))
MATINEE = an_event(
    event_id="event-4", doors_open_at=DOORS + timedelta(hours=10), ends_at=DOORS + timedelta(hours=12)
)
CANCELLED = an_event(event_id="event-0", status="cancelled")
LATE_CANCELLED = an_event(event_id="event-9", status="cancelled", doors_open_at=DOORS + timedelta(minutes=30))
ELSEWHERE = an_event(event_id="event-3", served=False)


@pytest.mark.parametrize(
    ("hours", "events", "expected"),
    [
        (-3, [FRIDAY, SATURDAY], FRIDAY),
        (1, [FRIDAY, SATURDAY], FRIDAY),
        (9, [FRIDAY, SATURDAY], FRIDAY),
        (10, [FRIDAY, SATURDAY], SATURDAY),
        (8.9, [FRIDAY, MATINEE], FRIDAY),
        (9.1, [FRIDAY, MATINEE], MATINEE),
        (9, [CANCELLED, SATURDAY], CANCELLED),
        (9, [FRIDAY], FRIDAY),
        (1, [ELSEWHERE], None),
        (1, [], None),
        (1, [FRIDAY, CANCELLED], FRIDAY),
        (-3, [FRIDAY, CANCELLED], FRIDAY),
        (1, [FRIDAY, LATE_CANCELLED], FRIDAY),
        (1, [CANCELLED, SATURDAY], CANCELLED),
        (-3, [CANCELLED, SATURDAY], CANCELLED),
    ],
)
def test_tonight_does_not_depend_on_the_order_the_events_came_in(
    hours: float, events: list[Event], expected: Event | None
) -> None:
    for order in permutations(events):
        assert tonight(order, DOORS + timedelta(hours=hours)) == expected


@pytest.mark.parametrize(
    ("doors", "expected"),
    [
        ("2026-11-20T22:00", "2026-11-20"),
        ("2026-11-21T00:30", "2026-11-20"),
        ("2026-11-21T06:00", "2026-11-21"),
    ],
)
def test_doors_that_open_before_six_belong_to_the_evening_before(doors: str, expected: str) -> None:
    zone = ZoneInfo("America/Mexico_City")
    assert str(evening(datetime.fromisoformat(doors).replace(tzinfo=zone), zone)) == expected
