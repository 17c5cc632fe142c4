"""Nights may overlap (domain 2.3): a matinee that runs late, and an evening whose doors are already open."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gate.config import read_gate_config
from gate.diagnostics.status import gather
from gate.door.idle import COUNT_MS
from gate.ports.screen import Idle, OutOfOrder, Screen, VerdictScreen
from gate.rules.model import Event, FeedRow, Kind, Reason, Status
from gate.rules.night import LINGER, names_night, night_of, nights_served, taking_place
from gate.store.cache import STALE_MS
from gate.store.link_row import Behind, LinkNote
from sync.wire.messages import GateConfig
from tests.codes import KEYS, signed
from tests.doors import Bench, guests
from tests.factories import DOORS, NOW, a_table, an_admission, an_event, code_id, pass_id

HOUR = timedelta(hours=1)
MATINEE = an_event(
    event_id="event-0",
    code="MAT",
    name="Matinee",
    doors_open_at=DOORS - 4 * HOUR,
    ends_at=DOORS + 2 * HOUR,
    capacity=120,
)
EVENING = an_event()
NEXT_WEEK = an_event(
    event_id="event-7", doors_open_at=DOORS + timedelta(days=7), ends_at=DOORS + timedelta(days=7, hours=8)
)
EARLY, PASS, STRANGER = code_id(11, "MAT"), pass_id(12), code_id(13, "MAT")
LATE = code_id(1)


def guest(code: str, kind: Kind = Kind.GA, table: str | None = None) -> FeedRow:
    return an_admission(code, event_id="event-0", kind=kind, reservation_id=table)


class TwoNights(Bench):
    """The door at eleven, when both nights are on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, feed=(EVENING, *guests(2)), keys=KEYS)
        self.serve(NEXT_WEEK, EVENING, MATINEE)
        table = a_table(reservation_id="reservation-0", event_id="event-0")
        rows = (MATINEE, table, guest(EARLY), guest(PASS, Kind.VIP_PASS, "reservation-0"))
        self.hub.put_snapshot("event-0", 3, self.hub.spool.fill(rows), self.clock.wall)
        self.hub.put_snapshot("event-7", 1, self.hub.spool.fill((NEXT_WEEK,)), self.clock.wall)
        self.clock.synced = True
        self.link()

    def serve(self, *events: Event) -> None:
        self.hub.put_config(GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=events))

    def link(self, *behind: str) -> None:
        now_ms = self.clock.monotonic_ms
        note = LinkNote(
            connected=True,
            hub_heard=True,
            since_ms=now_ms,
            beat_ms=now_ms,
            boot_id="boot-1",
            epoch=None,
            acked_seq=0,
            behind=dict.fromkeys(behind, Behind(since_ms=now_ms - STALE_MS, missing=4)),
        )
        self.hub.put_link(note, None)

    def reason(self, code: str) -> Reason:
        answer = self.show(code)
        assert isinstance(answer, VerdictScreen)
        return answer.verdict.reason

    def at(self, when: datetime) -> None:
        self.clock.forward((when - self.clock.wall).total_seconds())
        self.link()

    def idle(self) -> Screen:
        self.wait(1.1)
        self.link()
        self.wait(1.1)
        return self.display.screens[-1]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoNights]:
    bench = TwoNights(tmp_path)
    yield bench
    bench.close()


def test_guests_of_both_nights_enter_and_a_vip_comes_back(two: TwoNights) -> None:
    assert [two.reason(code) for code in (LATE, EARLY, EARLY, PASS, PASS)] == [
        Reason.FIRST_ENTRY,
        Reason.FIRST_ENTRY,
        Reason.ALREADY_USED,
        Reason.FIRST_ENTRY,
        Reason.REENTRY,
    ]
    assert [one.event_id for one in two.records()] == ["event-1", *["event-0"] * 4]
    assert [one.cache_version for one in two.records()] == [1, *[3] * 4]


def test_each_night_ends_by_its_own_hours_and_next_week_is_another_event(two: TwoNights) -> None:
    two.at(MATINEE.ends_at + LINGER + HOUR)
    assert [two.reason(code) for code in (LATE, EARLY, PASS)] == [
        Reason.FIRST_ENTRY,
        Reason.EVENT_OVER,
        Reason.EVENT_OVER,
    ]
    two.at(NEXT_WEEK.doors_open_at + HOUR)
    assert two.reason(EARLY) is Reason.WRONG_EVENT


def test_a_guest_early_for_the_second_night_is_too_early(two: TwoNights) -> None:
    two.clock.wall = MATINEE.doors_open_at + HOUR
    assert [two.reason(code) for code in (EARLY, LATE)] == [Reason.FIRST_ENTRY, Reason.TOO_EARLY]


def test_a_cancelled_night_says_so_beside_one_that_is_on(two: TwoNights) -> None:
    """The other one is tonight's, but guests of the cancelled one are still told why."""
    called_off = an_event(
        event_id="event-0", code="MAT", status="cancelled", doors_open_at=DOORS, ends_at=EVENING.ends_at
    )
    two.hub.put_snapshot("event-0", 4, two.hub.spool.fill((called_off, guest(EARLY))), two.clock.wall)
    assert two.reason(EARLY) is Reason.EVENT_CANCELLED
    assert two.reason(LATE) is Reason.FIRST_ENTRY


def test_a_signed_ticket_the_cache_does_not_know_belongs_to_the_night_it_names(two: TwoNights) -> None:
    assert two.reason(signed(STRANGER)) is Reason.FIRST_ENTRY
    assert two.records()[-1].event_id == "event-0"
    assert two.reason(signed(code_id(14, "PS"))) is Reason.WRONG_EVENT


def test_the_date_distinguishes_two_nights_with_the_same_code(two: TwoNights) -> None:
    """Whichever of them comes first in the configuration."""
    assert two.reason(signed(code_id(15))) is Reason.FIRST_ENTRY
    two.serve(EVENING, MATINEE, NEXT_WEEK)
    assert two.reason(signed(code_id(16))) is Reason.FIRST_ENTRY
    assert two.reason(signed(code_id(16, date="20261127"))) is Reason.WRONG_EVENT


def test_the_random_part_typed_alone_is_found_in_either_night(two: TwoNights) -> None:
    for code in (EARLY, LATE):
        answer = two.type(code.rpartition("-")[2] + "\n")
        assert isinstance(answer, VerdictScreen)
        assert answer.verdict.reason is Reason.FIRST_ENTRY
    assert [one.event_id for one in two.records()] == ["event-0", "event-1"]


def test_tickets_of_two_nights_in_one_frame_are_ambiguous(two: TwoNights) -> None:
    answer = two.show(EARLY, LATE)
    assert isinstance(answer, VerdictScreen)
    assert answer.verdict.reason is Reason.AMBIGUOUS


def test_an_unknown_code_is_not_found_in_its_nights_list_though_another_has_none(
    two: TwoNights,
) -> None:
    two.serve(EVENING, NEXT_WEEK)
    two.serve(NEXT_WEEK, EVENING, MATINEE)
    two.at(NOW + timedelta(minutes=5))
    assert two.reason(code_id(17)) is Reason.UNKNOWN
    seen = two.show(STRANGER)  # its night's list is missing
    assert not isinstance(seen, VerdictScreen)
    assert isinstance(two.idle(), OutOfOrder)


def test_the_idle_screen_shows_the_latest_night_and_counts_each_in_turn(
    two: TwoNights,
) -> None:
    two.show(EARLY)
    told = []
    for _ in range(8):
        two.wait(COUNT_MS / 2000)
        two.link()
        idle = two.idle()
        assert isinstance(idle, Idle)
        assert idle.event == EVENING.name
        told.append((idle.counted, idle.inside, idle.capacity))
    assert set(told) == {("MAT", 1, 120), ("PF", 0, 500)}


def test_a_single_night_is_counted_without_its_code(two: TwoNights) -> None:
    two.at(MATINEE.ends_at + HOUR)
    idle = two.idle()
    assert isinstance(idle, Idle)
    assert (idle.event, idle.counted, idle.capacity) == (EVENING.name, "", 500)


@pytest.mark.parametrize("behind", ["event-0", "event-1"])
def test_a_list_that_is_behind_marks_and_flags_only_its_own_night(two: TwoNights, behind: str) -> None:
    two.link(behind)
    two.wait(1.1)
    idle = two.display.screens[-1]
    assert isinstance(idle, Idle)
    assert (idle.link.online, idle.link.stale) == (True, True)
    for code in (LATE, EARLY):
        two.link(behind)
        answer = two.show(code, seconds=0.1)
        record = two.records()[-1]
        assert isinstance(answer, VerdictScreen)
        assert answer.link.stale is ("stale" in record.flags) is (record.event_id == behind)


def test_a_list_behind_for_a_night_that_is_not_on_is_not_on_the_idle_screen(two: TwoNights) -> None:
    two.link("event-7")
    two.wait(1.1)
    idle = two.display.screens[-1]
    assert isinstance(idle, Idle)
    assert not idle.link.stale


def test_status_shows_both_nights_and_the_one_that_is_behind(two: TwoNights) -> None:
    config = two.folder / "gate.toml"
    config.write_text(
        f'gate_id = "gate-1"\nvenue = "maguey"\nstate_dir = "{two.folder}"\n'
        f'runtime_dir = "{two.folder}/run"\n'
        f'[camera]\ndriver = "folder"\npath = "{two.folder}"\n[turnstile]\ndriver = "mock"\n'
        f'[screen]\ndriver = "dummy"\n[hub]\nurl = "http://127.0.0.1:9"\ntoken_file = "{two.folder}/token"\n'
        'broker = "127.0.0.1"\n'
    )
    two.link("event-0")
    status = gather(read_gate_config(config), two.clock)
    assert [(night.name, night.behind_s) for night in status.nights] == [
        (EVENING.name, None),
        (MATINEE.name, STALE_MS // 1000),
    ]
    (told,) = [problem for problem in status.problems if "BEHIND" in problem]
    assert told.startswith("The list of Matinee is BEHIND the hub's by 4 changes, for 10 s.")


def test_a_refunded_ticket_of_the_other_night_is_refused_as_refunded(two: TwoNights) -> None:
    refunded = an_admission(EARLY, event_id="event-0", status=Status.REFUNDED)
    two.hub.put_snapshot("event-0", 5, two.hub.spool.fill((MATINEE, refunded)), two.clock.wall)
    assert two.reason(EARLY) is Reason.REFUNDED


# --- which nights are served ---

LAST = datetime.max.replace(tzinfo=UTC)
BRUNCH = an_event(
    event_id="event-8", doors_open_at=EVENING.ends_at + HOUR, ends_at=EVENING.ends_at + 6 * HOUR
)


@pytest.mark.parametrize(
    ("at", "events", "expected"),
    [
        (NOW, (EVENING, NEXT_WEEK), (EVENING,)),
        (NOW, (EVENING, BRUNCH), (EVENING,)),
        (NOW - 6 * HOUR, (MATINEE, EVENING), (MATINEE, EVENING)),
        (EVENING.ends_at + HOUR, (MATINEE, EVENING, NEXT_WEEK), (MATINEE, EVENING)),
        (BRUNCH.doors_open_at, (EVENING, BRUNCH), (EVENING, BRUNCH)),
        (EVENING.ends_at + LINGER, (EVENING, BRUNCH), (BRUNCH,)),
        (NOW, (an_event(served=False),), ()),
        (NOW, (), ()),
    ],
)
def test_a_gate_serves_nights_that_overlap_tonights_or_have_just_ended(
    at: datetime, events: tuple[Event, ...], expected: tuple[Event, ...]
) -> None:
    assert nights_served(events, at) == expected
    assert nights_served(events[::-1], at) == expected
    for event in events:
        assert (night_of(event, events, at) == event) is (event in expected)


def test_an_event_at_the_end_of_the_calendar_disturbs_no_other_night() -> None:
    never = an_event(event_id="event-9", doors_open_at=LAST - HOUR, ends_at=LAST)
    assert nights_served((EVENING, never), NOW) == (EVENING,)
    assert nights_served((never,), LAST) == (never,)
    assert names_night("PF", "99991231", never)
    assert not names_night("PF", "99999999", never)


def test_a_night_that_is_over_or_cancelled_does_not_take_place() -> None:
    over, off = an_event(status="completed"), an_event(event_id="event-9", status="cancelled")
    assert taking_place((over, off, MATINEE), NOW) == (MATINEE,)
