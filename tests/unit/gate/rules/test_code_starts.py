"""The random part typed alone is found whatever its code's date; no right character is called wrong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from gate.ports.screen import VerdictScreen
from gate.rules.code_starts import FARTHEST_DAYS, NightCode, Starts, starts_of
from gate.rules.model import Reason
from gate.rules.payload import Code, code_hash
from gate.rules.typed_code import MOST_CANDIDATES, MOST_FAR, read_typed
from gate.rules.typo import find_typo
from hub.ticketing.codes import CROCKFORD, ticket_code
from tests.doors import Bench
from tests.factories import NOW, an_admission, an_event

DAY = date(2026, 11, 20)
MEXICO = ZoneInfo("America/Mexico_City")
STARTS = Starts(nights=(NightCode(code="PF", day=DAY), NightCode(code="PS", day=DAY + timedelta(days=1))))
MOVED = [0, 1, -1, 2, -2, 7, -7, 30, -59, 180, FARTHEST_DAYS - 1, 1 - FARTHEST_DAYS]


def ticket(days: int = 0, seed: int = 7, event: str = "PF") -> str:
    return ticket_code(event, DAY + timedelta(days=days), random.Random(seed))


def found(text: str, *cache: str, starts: Starts = STARTS) -> Code | None:
    hashes = {code_hash(code) for code in cache}
    presented = read_typed(text, starts, lambda hashed: hashed in hashes)
    return presented.what if presented and isinstance(presented.what, Code) else None


@pytest.mark.parametrize("days", MOVED)
@pytest.mark.parametrize("event", ["PF", "PS"])
def test_a_random_part_typed_alone_is_found_whatever_the_date_says(days: int, event: str) -> None:
    code = ticket(days, event=event)
    for text in (code[-17:], code[-17:].lower(), f"{code[-17:-9]} {code[-9:]}", code[-17:].replace("0", "O")):
        what = found(text, code)
        assert what is not None
        assert what.id == code


@pytest.mark.parametrize("days", MOVED)
def test_an_old_random_part_without_check_character_is_found_whatever_the_date(days: int) -> None:
    old = f"MGY-PF-{DAY + timedelta(days=days):%Y%m%d}-ABC123XYZ"
    what = found("abc123xyz", old)
    assert what is not None
    assert what.id == old


@pytest.mark.parametrize("event", ["PF", "PS"])
def test_a_date_typed_without_its_event_is_completed_by_the_event(event: str) -> None:
    code = ticket(400, event=event)
    what = found(code.split("-", 2)[2], code)
    assert what is not None
    assert what.id == code


def test_no_character_of_a_right_random_part_is_called_wrong_whatever_its_date() -> None:
    for seed in range(4):
        for days in (1, -1, 3, -40):
            assert find_typo(ticket(days, seed)[-17:], STARTS, lambda _: False) is None


def test_a_right_date_beside_tonights_is_not_called_wrong() -> None:
    for seed in range(10):
        for days in (1, -1):
            code = ticket(days, seed)
            wrong = code[:20] + CROCKFORD[(CROCKFORD.index(code[20]) + 3) % 32] + code[21:]
            typo = find_typo(wrong, STARTS, lambda _: False)
            assert typo is None or typo.group >= 4


def test_a_slip_in_a_random_part_of_a_neighbouring_date_is_located() -> None:
    for days in (0, 1, -1):
        code = ticket(days)
        wrong = code[:20] + CROCKFORD[(CROCKFORD.index(code[20]) + 3) % 32] + code[21:]
        typo = find_typo(wrong[-17:], STARTS, {code_hash(code)}.__contains__)
        assert typo is not None
        assert (typo.group, typo.place, typo.wrote) == (2, 1, wrong[20])


def test_the_lookups_for_one_typed_code_are_bounded() -> None:
    asked = 0

    def known(_hashed: str) -> bool:
        nonlocal asked
        asked += 1
        return False

    for text in ("7K3M9QX2VD5RTA0HQ", "ABC123", "20261120ABC123", "X" * 40, "Z" * 41, "HOLA", "Ñ" * 9):
        read_typed(text, STARTS, known)
        assert asked <= MOST_CANDIDATES + MOST_FAR
        asked = 0


def test_tonight_comes_first_then_the_nights_around_it() -> None:
    later = an_event(
        event_id="e2", code="PS", doors_open_at=NOW + timedelta(hours=20), ends_at=NOW + timedelta(hours=28)
    )
    far = an_event(
        event_id="e3", code="PT", doors_open_at=NOW + timedelta(days=9), ends_at=NOW + timedelta(days=9.3)
    )
    other = an_event(event_id="e4", code="XX", served=False)
    codes = [night.code for night in starts_of((far, later, other, an_event()), NOW, MEXICO).nights]
    assert codes == ["PF", "PS"]


@pytest.mark.parametrize("year", [1, 9999])
def test_an_event_at_the_end_of_the_calendar_breaks_no_typed_code(year: int) -> None:
    """Some shops use such a date for "no end" or "not known yet"."""
    doors, ends = datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, tzinfo=UTC)
    wild = an_event(event_id="wild", code="XX", doors_open_at=doors, ends_at=ends)
    endless = an_event(event_id="endless", doors_open_at=min(doors, NOW), ends_at=max(ends, NOW))
    assert starts_of((an_event(ends_at=max(ends, NOW)),), NOW, MEXICO).tonight == "MGY-PF-20261120-"
    for events in ((wild,), (an_event(), wild), (endless,), (endless, wild)):
        starts = starts_of(events, NOW, MEXICO)
        assert found("7K3M9QX2VD5RTA0HQ", starts=starts) is not None
        assert find_typo("7K3M9QX2VD5RTA0HQ", starts, lambda _: False) is None


def test_the_dates_of_doors_after_midnight_and_in_utc_are_tried_too() -> None:
    doors = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)  # half past midnight in Mexico City
    near = starts_of((an_event(doors_open_at=doors),), doors, MEXICO).near()
    assert near == ("MGY-PF-20261120-", "MGY-PF-20261121-", "MGY-PF-20261119-")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(
        tmp_path, feed=tuple(an_admission(ticket(days), subject_id=f"t{days}") for days in (1, -35))
    )
    yield bench
    bench.close()


def test_at_the_door_a_moved_nights_random_part_is_admitted(bench: Bench) -> None:
    for days in (1, -35):
        shown = bench.type(ticket(days)[-17:] + "\n")
        assert isinstance(shown, VerdictScreen)
        assert shown.verdict.reason is Reason.FIRST_ENTRY
        bench.wait(2)
