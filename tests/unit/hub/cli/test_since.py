"""How far back: as people say it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cli.since import since_when

NOW = datetime(2026, 12, 5, 1, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ("90m", datetime(2026, 12, 5, 0, 0, tzinfo=UTC)),
        ("2h", datetime(2026, 12, 4, 23, 30, tzinfo=UTC)),
        ("9999d", datetime(1999, 7, 21, 1, 30, tzinfo=UTC)),
        ("22:00", datetime(2026, 12, 4, 21, 0, tzinfo=UTC)),
        ("2:15", datetime(2026, 12, 5, 1, 15, tzinfo=UTC)),
        ("2026-12-04", datetime(2026, 12, 3, 23, 0, tzinfo=UTC)),
        ("2026-12-04T22:00", datetime(2026, 12, 4, 21, 0, tzinfo=UTC)),
        ("2026-12-04T22:00-06:00", datetime(2026, 12, 5, 4, 0, tzinfo=UTC)),
        ("yesterday", None),
        ("25:00", None),
        ("-1h", None),
        ("٢h", None),
        ("", None),
    ],
)
def test_spans_times_and_dates_are_by_the_venues_clocks(said: str, at: datetime | None) -> None:
    assert since_when(said, NOW, BERLIN) == at


@given(st.text(max_size=30) | st.datetimes().map(str) | st.dates().map(str))
def test_any_text_means_an_instant_that_postgres_has_or_nothing(said: str) -> None:
    at = since_when(said, NOW, BERLIN)
    assert at is None or (at.year >= 1970 and at.tzinfo is UTC)
