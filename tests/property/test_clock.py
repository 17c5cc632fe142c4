"""The gate's clock beside a time it cannot see: skew, 1970, jumps, reboots (quality 7.1, invariant 15)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from gate.clock import DRIFT_PPM, Machine, SystemClock, hub_time
from gate.rules.decide import decide
from gate.rules.model import Kind, Measure, Now, Reason, Verdict
from gate.rules.night import clock_margin
from gate.rules.payload import Proof
from gate.store.link_row import LinkNote, last_known
from tests.codes import signed
from tests.factories import DOORS, a_code, a_question, a_table, an_admission, an_event, code_id

YEAR_1970 = datetime(1970, 1, 1, tzinfo=UTC)
FIVE_MINUTES_MS = 5 * 60 * 1000
HOUR_MS = 3_600_000

ANY_WALL = st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ERRORS_MS = st.integers(-FIVE_MINUTES_MS, FIVE_MINUTES_MS)
UPTIMES_MS = st.integers(0, 14 * 24 * HOUR_MS)
KINDS = st.sampled_from([Kind.GA, Kind.VIP_HOST, Kind.VIP_LINKED, Kind.VIP_PASS, None])
NIGHT = an_event()
SOLD_SINCE = signed(code_id(50))
LENGTH_MS = int((NIGHT.ends_at - NIGHT.doors_open_at) / timedelta(milliseconds=1))
TRUE_TIMES_MS = st.integers(-2 * HOUR_MS, LENGTH_MS + 2 * HOUR_MS) | st.sampled_from([-1, 0, LENGTH_MS])
"""Since doors."""


def after_doors(milliseconds: int) -> datetime:
    return DOORS + timedelta(milliseconds=milliseconds)


def unix_ms(at: datetime) -> int:
    return round((at - YEAR_1970) / timedelta(milliseconds=1))


def a_measure(at: datetime, monotonic_ms: int, boot_id: str = "boot-1", uncertainty_ms: int = 5) -> Measure:
    return Measure(
        boot_id=boot_id, monotonic_ms=monotonic_ms, hub_ms=unix_ms(at), uncertainty_ms=uncertainty_ms
    )


def asked(kind: Kind | None, now: Now) -> Verdict:
    """`kind` None: a ticket sold since, validly signed."""
    unsure = clock_margin(now.clock, now.uncertainty_ms)
    question = a_question(now=now.wall, margin=unsure, table=a_table())
    if kind is not None:
        return decide(replace(question, admission=an_admission(kind=kind)))
    return decide(replace(question, presented=a_code(SOLD_SINCE), admission=None, proof=Proof.VALID))


@given(measured=st.integers(0, LENGTH_MS), since=UPTIMES_MS, walls=st.lists(ANY_WALL, min_size=2, max_size=2))
def test_once_the_hub_is_measured_the_wall_clock_changes_nothing(
    measured: int, since: int, walls: list[datetime]
) -> None:
    measure = a_measure(after_doors(measured), 1_000)
    one, other = (
        hub_time(Machine(wall=wall, monotonic_ms=1_000 + since, boot_id="boot-1"), measure) for wall in walls
    )
    assert one.wall == other.wall == after_doors(measured + since)
    assert (one.clock, one.uncertainty_ms) == ("synced", other.uncertainty_ms)
    assert [now.wall - timedelta(milliseconds=now.offset_ms or 0) for now in (one, other)] == [
        pytest.approx(wall, abs=timedelta(milliseconds=1)) for wall in walls
    ]


@given(error=st.integers(-40, 40), since=UPTIMES_MS, ppm=st.integers(-DRIFT_PPM, DRIFT_PPM), wall=ANY_WALL)
def test_the_true_time_is_within_the_uncertainty_if_crystals_are_as_good_as_said(
    error: int, since: int, ppm: int, wall: datetime
) -> None:
    """`error`: of the measure, no more than it says; `ppm`: how much the gate's clock runs fast."""
    measure = a_measure(after_doors(error), 0, uncertainty_ms=40)
    ticked = since + round(since * ppm / 1_000_000)
    now = hub_time(Machine(wall=wall, monotonic_ms=ticked, boot_id="boot-1"), measure)
    wrong_by = abs(now.wall - after_doors(since)) / timedelta(milliseconds=1)
    assert now.uncertainty_ms is not None
    assert wrong_by <= now.uncertainty_ms * 1.0002 + 1  # the drift of the drift, and a rounded millisecond


@given(kind=KINDS, true=TRUE_TIMES_MS, error=ERRORS_MS, known=st.none() | st.integers(0, 48 * HOUR_MS))
def test_a_clock_within_five_minutes_admits_nobody_the_true_time_would_refuse(
    kind: Kind | None, true: int, error: int, known: int | None
) -> None:
    """`known`: so long ago the hub was last heard, in an earlier boot; None: never."""
    floor = a_measure(after_doors(true - known), 9_000, "an earlier boot") if known is not None else None
    uptime = min(known or 0, 60_000)
    now = hub_time(Machine(wall=after_doors(true + error), monotonic_ms=uptime, boot_id="boot-1"), floor)
    assert now.clock == "untrusted"
    if asked(kind, now).admits:
        sure = hub_time(
            Machine(wall=YEAR_1970, monotonic_ms=7, boot_id="boot-1"),
            a_measure(after_doors(true), 7, uncertainty_ms=FIVE_MINUTES_MS),
        )
        assert asked(kind, sure).reason not in (Reason.TOO_EARLY, Reason.EVENT_OVER)


@given(kind=KINDS, uptime=UPTIMES_MS)
def test_in_1970_a_gate_that_never_heard_the_hub_admits_nobody(kind: Kind | None, uptime: int) -> None:
    wall = YEAR_1970 + timedelta(milliseconds=uptime)
    now = hub_time(Machine(wall=wall, monotonic_ms=uptime, boot_id="boot-1"), None)
    assert asked(kind, now).reason is Reason.TOO_EARLY


@given(
    kind=KINDS, heard=TRUE_TIMES_MS, off=st.integers(0, FIVE_MINUTES_MS), uptime=st.integers(0, 8 * HOUR_MS)
)
def test_a_gate_that_wakes_in_1970_after_minutes_off_goes_on_within_the_hours(
    kind: Kind | None, heard: int, off: int, uptime: int
) -> None:
    floor = a_measure(after_doors(heard), 9_000, "an earlier boot")
    now = hub_time(Machine(wall=YEAR_1970, monotonic_ms=uptime, boot_id="boot-1"), floor)
    true = heard + off + uptime
    if asked(kind, now).admits:
        assert 0 <= true < LENGTH_MS
    elif heard + uptime >= FIVE_MINUTES_MS * 2 and true < LENGTH_MS - 2 * FIVE_MINUTES_MS:
        pytest.fail("refused in the middle of the night")


@given(beat=st.integers(9_000, 9_000 + 12 * HOUR_MS), uptime=UPTIMES_MS)
def test_the_floor_is_the_last_beat_of_the_boot_that_heard_the_hub(beat: int, uptime: int) -> None:
    """Even if the hub was silent for hours before the power went."""
    note = LinkNote(
        connected=False,
        hub_heard=False,
        since_ms=0,
        beat_ms=beat,
        boot_id="boot-0",
        epoch=None,
        acked_seq=0,
        measure=a_measure(DOORS, 9_000, "boot-0"),
    )
    now = hub_time(Machine(wall=YEAR_1970, monotonic_ms=uptime, boot_id="boot-1"), last_known(note))
    assert now.wall == after_doors(beat - 9_000 + uptime)
    later = replace(note, boot_id="boot-1", beat_ms=5)
    assert last_known(later) == note.measure


class ClockMachine(RuleBasedStateMachine):
    """One card's life: its wall clock jumps, it is off for a while, it hears the hub or does not."""

    def __init__(self) -> None:
        super().__init__()
        self.true = DOORS
        self.wall_error = timedelta()
        self.booted = self.true
        self.boots = 1
        self.said: datetime | None = None
        self.stored: Measure | None = None
        self.clock = SystemClock(self.read)

    def read(self) -> Machine:
        uptime = round((self.true - self.booted) / timedelta(milliseconds=1))
        wall = max(self.true + self.wall_error, YEAR_1970)
        return Machine(wall=wall, monotonic_ms=uptime, boot_id=f"boot-{self.boots}")

    @rule(seconds=st.integers(0, 24 * 3600))
    def time_passes(self, seconds: int) -> None:
        self.true += timedelta(seconds=seconds)

    @rule(seconds=st.integers(-365 * 86400, 365 * 86400))
    def the_wall_clock_jumps(self, seconds: int) -> None:
        self.wall_error = max(self.wall_error + timedelta(seconds=seconds), YEAR_1970 - self.true)

    @rule(hours=st.integers(0, 24 * 8), in_1970=st.booleans())
    def power_cut(self, hours: int, in_1970: bool) -> None:
        self.true += timedelta(hours=hours)
        self.booted, self.boots = self.true, self.boots + 1
        if in_1970:
            self.wall_error = YEAR_1970 - self.true
        self.clock = SystemClock(self.read)
        self.clock.learn(self.stored)

    @rule()
    def the_hub_is_heard(self) -> None:
        machine = self.read()
        self.said = self.true
        self.stored = a_measure(self.true, machine.monotonic_ms, machine.boot_id)
        self.clock.learn(self.stored)

    @rule()
    def an_older_cache_is_put_back(self) -> None:
        self.clock.learn(a_measure(DOORS, 0, "boot-0"))
        self.clock.learn(None)

    @invariant()
    def time_is_never_before_what_the_hub_said(self) -> None:
        now = self.clock.now()
        assert self.said is None or now.wall >= self.said
        heard_in_this_boot = self.stored is not None and self.stored.boot_id == now.boot_id
        assert (now.clock == "synced") is heard_in_this_boot
        if heard_in_this_boot:
            assert now.wall == self.true


TestClockMachine = ClockMachine.TestCase


def test_a_nonsensical_measure_stops_no_clock() -> None:
    machine = Machine(wall=DOORS, monotonic_ms=5, boot_id="boot-1")
    for hub_ms in (-(2**62), 2**62):
        measure = msgspec.structs.replace(a_measure(DOORS, 0), hub_ms=hub_ms)
        assert 1970 <= hub_time(machine, measure).wall.year <= 2200
