"""An unconfirmed clock never widens a ticket's validity: quality 7.1, invariant 15.

A gate cannot tell a wrong clock that points into a night from a right one, so line 10 of domain 2.3
follows the clock. But whatever it says, nobody is admitted outside the hours, to a night that the hub has
completed, or twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gate.ports.screen import Idle, VerdictScreen
from gate.rules.decide import decide
from gate.rules.model import Event, Kind, Reason, Verdict
from gate.rules.payload import Proof
from gate.store.link_row import LinkNote
from sync.wire.messages import GateConfig
from tests.codes import KEYS, signed
from tests.doors import Bench
from tests.factories import DOORS, a_code, a_question, a_table, an_admission, an_event, code_id, pass_id

EPOCH = datetime(1970, 1, 1, 0, 0, 30, tzinfo=UTC)
LAST_WEEK = an_event(
    event_id="event-0",
    code="PW",
    name="Perreo Wednesdays",
    doors_open_at=DOORS - timedelta(days=7),
    ends_at=DOORS - timedelta(days=7) + timedelta(hours=8),
    status="completed",
)
GA, LINKED, GUEST, OLD = code_id(1), code_id(2), pass_id(1), code_id(3, event="PW", date="20261113")
SOLD_SINCE = signed(code_id(50))
TABLE_ROWS = (
    a_table(),
    an_admission(GA),
    an_admission(LINKED, subject_id="t-2", kind=Kind.VIP_LINKED, reservation_id="reservation-1"),
    an_admission(GUEST, subject_id="p-1", kind=Kind.VIP_PASS, reservation_id="reservation-1"),
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, feed=TABLE_ROWS, keys=KEYS, frames_per_second=4)
    yield bench
    bench.close()


def reason(bench: Bench, code: str) -> Reason:
    screen = bench.show(code)
    assert isinstance(screen, VerdictScreen), screen
    return screen.verdict.reason


def test_with_a_clock_at_1970_line_10_admits_nobody_whatever_the_ticket(bench: Bench) -> None:
    bench.clock.wall = EPOCH
    for code in (GA, LINKED, GUEST, SOLD_SINCE):
        assert reason(bench, code) is Reason.TOO_EARLY
    assert bench.relay.releases == []
    assert {record.clock for record in bench.records()} == {"untrusted"}


def test_with_a_clock_at_1970_the_door_shows_idle_and_records_every_scan(bench: Bench) -> None:
    bench.clock.wall = EPOCH
    bench.show(GA, seconds=5)
    assert isinstance(bench.display.screens[-1], Idle)
    assert [record.line for record in bench.records()] == [10]
    assert bench.records()[0].occurred_at.year == 1970


def test_a_clock_that_jumps_to_1970_in_the_night_admits_nobody_twice(bench: Bench) -> None:
    assert reason(bench, GA) is Reason.FIRST_ENTRY
    tonight = bench.clock.wall
    bench.clock.wall = EPOCH
    assert reason(bench, GA) is Reason.TOO_EARLY
    bench.clock.wall = tonight
    assert reason(bench, GA) is Reason.ALREADY_USED


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_clock_that_jumps_by_minutes_admits_nobody_twice_and_keeps_record_order(
    bench: Bench, minutes: int
) -> None:
    assert reason(bench, GA) is Reason.FIRST_ENTRY
    bench.clock.wall += timedelta(minutes=minutes)
    assert reason(bench, GA) is Reason.ALREADY_USED
    first, second = bench.records()
    assert (first.seq, second.seq) == (1, 2)
    assert first.monotonic_ms < second.monotonic_ms


def test_a_clock_set_back_to_last_week_reopens_no_night_the_hub_has_completed(bench: Bench) -> None:
    """The cache still has an unused ticket of that night."""
    bench.hub.put_config(
        GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(LAST_WEEK, an_event()))
    )
    bench.hub.put_snapshot(
        "event-0", 1, bench.hub.spool.fill([an_admission(OLD, event_id="event-0")]), bench.clock.wall
    )
    bench.clock.wall = LAST_WEEK.doors_open_at + timedelta(hours=1)
    assert reason(bench, OLD) is Reason.EVENT_OVER
    assert reason(bench, GA) is Reason.WRONG_EVENT
    assert reason(bench, SOLD_SINCE) is Reason.WRONG_EVENT
    assert bench.relay.releases == []


def test_an_unconfirmed_clock_prunes_nothing(bench: Bench) -> None:
    """It may be wrong by a month, or by fifty years."""
    reason(bench, GA)
    note = LinkNote(
        connected=True,
        hub_heard=True,
        since_ms=0,
        beat_ms=bench.clock.monotonic_ms,
        boot_id="boot-1",
        epoch="epoch-1",
        acked_seq=1,
    )
    bench.hub.put_link(note, bench.clock.wall)
    bench.clock.forward(40 * 86_400)
    bench.wait(6)
    assert len(bench.records()) == 1
    bench.clock.synced = True
    bench.wait(6)
    assert bench.records() == []


def test_an_untrusted_clock_opens_ten_minutes_late_and_closes_ten_minutes_early(bench: Bench) -> None:
    bench.clock.wall = DOORS + timedelta(minutes=9)
    assert reason(bench, GA) is Reason.TOO_EARLY
    bench.clock.synced = True
    assert reason(bench, GA) is Reason.FIRST_ENTRY
    bench.clock.wall = an_event().ends_at - timedelta(minutes=9)
    assert reason(bench, GUEST) is Reason.FIRST_ENTRY
    bench.clock.synced = False
    assert reason(bench, LINKED) is Reason.EVENT_OVER


KINDS = st.sampled_from([Kind.GA, Kind.VIP_HOST, Kind.VIP_LINKED, Kind.VIP_PASS, None])
TIMES = st.one_of(
    st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(-24 * 60, 24 * 60).map(lambda minutes: DOORS + timedelta(minutes=minutes)),
)


def asked(kind: Kind | None, now: datetime, event: Event) -> Verdict:
    """`kind` None means a validly signed ticket that the cache does not know."""
    question = a_question(now=now, event=event, ticket_event=event, table=a_table())
    if kind is not None:
        return decide(replace(question, admission=an_admission(kind=kind)))
    return decide(replace(question, presented=a_code(SOLD_SINCE), admission=None, proof=Proof.VALID))


@given(kind=KINDS, now=TIMES)
def test_whatever_the_clock_says_nobody_is_admitted_outside_the_hours(
    kind: Kind | None, now: datetime
) -> None:
    night = an_event()
    verdict = asked(kind, now, night)
    assert verdict.admits is (night.doors_open_at <= now < night.ends_at)
    assert verdict.admits or verdict.line == 10


@given(kind=KINDS, now=TIMES)
def test_whatever_the_clock_says_a_completed_event_admits_nobody(kind: Kind | None, now: datetime) -> None:
    assert asked(kind, now, an_event(status="completed")).reason is Reason.EVENT_OVER
