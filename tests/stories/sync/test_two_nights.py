"""Several nights at one gate: each has its own feed, and the gate moves to the next one by itself."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from gate.rules.model import Admission, Event, Status
from gate.rules.night import LINGER, tonight
from sync.feed.fetcher import WantEvent
from sync.wire.messages import Change, Delta, GateConfig, Head
from tests.factories import DOORS, an_admission, an_event, code_id
from tests.sync_bench import TOPICS, Bench

FRIDAY = an_event(ends_at=DOORS + timedelta(hours=8))
SATURDAY = an_event(
    event_id="event-2",
    code="PS",
    name="Perreo Saturdays",
    doors_open_at=DOORS + timedelta(hours=24),
    ends_at=DOORS + timedelta(hours=32),
)


def guest(event: Event, number: int, status: Status = Status.ISSUED) -> Admission:
    return an_admission(code_id(number, event.code), event_id=event.event_id, status=status)


def serve(bench: Bench) -> None:
    config = GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(FRIDAY, SATURDAY))
    bench.step(config)
    for event, version in ((FRIDAY, 40), (SATURDAY, 7)):
        assert WantEvent(event.event_id, 0) in bench.wanted
        bench.step(bench.snapshot(version, event, guest(event, 1), event=event.event_id))
        bench.hear(TOPICS.head(event.event_id), Head(event_id=event.event_id, version=version, count=1))


def change(bench: Bench, version: int, row: Admission) -> None:
    delta = Delta(event_id=row.event_id, changes=(Change(version=version, row=row),))
    bench.hear(TOPICS.deltas(row.event_id), delta)


def at_the_door(bench: Bench) -> str:
    found = tonight(bench.reader.events(), bench.clock.now().wall)
    assert found is not None
    return found.name


def test_the_door_moves_to_the_next_night_by_itself_and_both_feeds_are_followed(bench: Bench) -> None:
    bench.connect()
    serve(bench)
    for seconds_to_end, friday, saturday in ((-1, 41, 8), (1, 42, 9)):
        bench.clock.wall = FRIDAY.ends_at + timedelta(seconds=seconds_to_end)
        refunded = guest(FRIDAY, 1, Status.REFUNDED)
        change(bench, friday, refunded)
        sold = guest(SATURDAY, saturday)
        change(bench, saturday, sold)
        assert bench.reader.find(refunded.code_hash).admission == refunded
        assert bench.reader.find(sold.code_hash).admission == sold
        assert bench.reader.feed("event-1", bench.clock.wall).version == friday
        assert bench.reader.feed("event-2", bench.clock.wall).version == saturday
        assert at_the_door(bench) == FRIDAY.name  # a late guest is told that it is over
    bench.clock.wall = FRIDAY.ends_at + LINGER
    assert at_the_door(bench) == SATURDAY.name
    assert [held.event_id for held in bench.cache.held()] == ["event-1", "event-2"]


def test_of_two_adjacent_nights_the_second_begins_exactly_at_the_firsts_end(bench: Bench) -> None:
    bench.connect()
    serve(bench)
    brought_forward = msgspec.structs.replace(SATURDAY, doors_open_at=FRIDAY.ends_at)
    delta = Delta(event_id="event-2", changes=(Change(version=8, row=brought_forward),))
    bench.hear(TOPICS.deltas("event-2"), delta)
    bench.clock.wall = FRIDAY.ends_at - timedelta(microseconds=1)
    assert at_the_door(bench) == FRIDAY.name
    bench.clock.wall = FRIDAY.ends_at
    assert at_the_door(bench) == SATURDAY.name


def test_a_night_that_is_behind_does_not_delay_the_other(bench: Bench) -> None:
    bench.connect()
    serve(bench)
    bench.hear(TOPICS.head("event-1"), Head(event_id="event-1", version=99, count=1))
    sold = guest(SATURDAY, 8)
    change(bench, 8, sold)
    assert bench.reader.find(sold.code_hash).admission == sold
    assert bench.wanted[-1] == WantEvent("event-1", 40)


def test_a_night_removed_from_the_configuration_is_dropped_and_the_next_one_kept(bench: Bench) -> None:
    bench.connect()
    serve(bench)
    bench.clock.wall = SATURDAY.doors_open_at
    bench.step(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=(SATURDAY,)))
    bench.hear(TOPICS.head("event-1"), Head(event_id="event-1", version=99, count=1))
    assert bench.wanted[-1] == WantEvent("event-2", 7)
    assert [held.event_id for held in bench.cache.held()] == ["event-2"]
    assert bench.reader.find(guest(FRIDAY, 1).code_hash).admission is None
    assert bench.reader.find(guest(SATURDAY, 1).code_hash).admission is not None
    assert at_the_door(bench) == SATURDAY.name
