"""When a night begins and ends: over midnight, and where the clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from hub.ticketing.night_times import NightTimes, SaidTimes, TimeMistakes, night_times, said_time

BERLIN = ZoneInfo("Europe/Berlin")


def times(day: str, doors: str, ends: str, starts: str | None = None) -> NightTimes | TimeMistakes:
    return night_times(SaidTimes(day=day, doors=doors, starts=starts, ends=ends), BERLIN)


def ends(day: str, doors: str, end: str) -> datetime:
    found = times(day, doors, end)
    assert isinstance(found, NightTimes)
    return found.ends_at


def complaint(day: str, doors: str, end: str, starts: str | None = None) -> str:
    found = times(day, doors, end, starts)
    assert isinstance(found, TimeMistakes)
    return "\n".join(found.lines)


def test_a_night_goes_over_midnight() -> None:
    assert times("2026-12-05", "22:00", "06:00", "00:30") == NightTimes(
        day=date(2026, 12, 5),
        doors_open_at=datetime(2026, 12, 5, 21, tzinfo=UTC),
        starts_at=datetime(2026, 12, 5, 23, 30, tzinfo=UTC),
        ends_at=datetime(2026, 12, 6, 5, tzinfo=UTC),
    )
    assert ends("2026-12-05", "14:00", "20:00") == datetime(2026, 12, 5, 19, tzinfo=UTC)


def test_a_night_is_an_hour_shorter_or_longer_where_the_clocks_change() -> None:
    assert ends("2026-03-28", "22:00", "06:00") == datetime(2026, 3, 29, 4, tzinfo=UTC)
    assert ends("2026-10-24", "22:00", "06:00") == datetime(2026, 10, 25, 5, tzinfo=UTC)


def test_a_time_that_the_clocks_skip_is_refused() -> None:
    assert "there is no such time" in complaint("2026-03-28", "22:00", "02:30")


def test_a_time_that_comes_twice_needs_its_offset() -> None:
    assert "write 02:30+02:00 or 02:30+01:00" in complaint("2026-10-24", "22:00", "02:30")
    assert ends("2026-10-24", "22:00", "02:30+02:00") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert ends("2026-10-24", "22:00", "02:30+01:00") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert "do not stand at UTC+05:00" in complaint("2026-10-24", "22:00", "02:30+05:00")


def test_a_night_cannot_be_over_before_it_starts() -> None:
    assert "over before it starts" in complaint("2026-12-05", "22:00", "06:00", "07:00")


def test_all_mistakes_are_named_at_once() -> None:
    assert complaint("1970-12-31", "9 pm", "24:00", "٢٢:٠٠").count("expected") == 4


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_text_is_more_than_a_mistake(day: str, doors: str, end: str) -> None:
    assert isinstance(times(day, doors, end), NightTimes | TimeMistakes)
    assert isinstance(times("2026-12-05", doors, end), NightTimes | TimeMistakes)


@given(st.integers(0, 100_000_000))
def test_what_is_said_of_an_instant_means_that_instant(minutes: int) -> None:
    instant = datetime(1972, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    local = instant.astimezone(BERLIN)
    found = times(f"{local:%Y-%m-%d}", said_time(instant, BERLIN), "12:00")
    if isinstance(found, NightTimes):  # noon may be that very time
        assert found.doors_open_at == instant
