"""Nights may overlap (domain 2.3): each ticket is judged as if its own night were alone at the gate."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gate.rules.model import Event, FeedRow, Kind, ReservationStatus, Status, Verdict
from gate.rules.presence import Presented
from gate.store.cache import CacheReader
from gate.store.journal import Journal
from sync.cache.writer import Cache
from sync.wire.messages import GateConfig
from tests.codes import KEYS, signed
from tests.doors import make_desk
from tests.factories import DOORS, StoppedClock, a_table, an_admission, an_event, code_id, pass_id
from tests.long import cases

HOUR = timedelta(hours=1)
State = Literal["scheduled", "completed", "cancelled"]
STATES: tuple[State, ...] = ("scheduled", "scheduled", "completed", "cancelled")


class Sold:
    """One night with a ticket of every sort, and what is presented of it."""

    def __init__(self, number: int, code: str, doors: datetime, ends: datetime, state: State) -> None:
        self.event = an_event(
            event_id=f"event-{number}", code=code, name=code, doors_open_at=doors, ends_at=ends, status=state
        )
        self._date, self._from = f"{doors.astimezone(UTC):%Y%m%d}", number * 100
        paid = a_table(reservation_id=f"paid-{number}", event_id=self.event.event_id)
        unpaid = a_table(
            reservation_id=f"unpaid-{number}",
            event_id=self.event.event_id,
            status=ReservationStatus.PENDING,
        )
        kinds = (
            (Kind.GA, Status.ISSUED, None),
            (Kind.GA, Status.CHECKED_IN, None),
            (Kind.GA, Status.REFUNDED, None),
            (Kind.VIP_HOST, Status.CHECKED_IN, paid.reservation_id),
            (Kind.VIP_LINKED, Status.ISSUED, paid.reservation_id),
            (Kind.VIP_LINKED, Status.ISSUED, unpaid.reservation_id),
        )
        tickets = [
            an_admission(
                self.code(place), event_id=self.event.event_id, kind=kind, status=status, reservation_id=table
            )
            for place, (kind, status, table) in enumerate(kinds)
        ]
        passes = [
            an_admission(
                pass_id(self._from + place),
                event_id=self.event.event_id,
                kind=Kind.VIP_PASS,
                reservation_id=table.reservation_id,
            )
            for place, table in enumerate((paid, unpaid))
        ]
        self.rows: tuple[FeedRow, ...] = (self.event, paid, unpaid, *tickets, *passes)
        self.presented = (
            *(self.code(place) for place in range(len(kinds))),
            *(pass_id(self._from + place) for place in range(2)),
            self.code(50),  # unknown
            signed(self.code(51)),
        )

    def code(self, place: int) -> str:
        return code_id(self._from + place, self.event.code, self._date)


class Gate:
    """A gate that serves these nights."""

    def __init__(self, folder: Path, sold: Sequence[Sold]) -> None:
        self.clock = StoppedClock(synced=True)
        events = tuple(night.event for night in sold)
        with closing(Cache(folder / "cache.db")) as cache:
            cache.put_config(GateConfig(gate_id="gate-1", gate_name="", venue="maguey", events=events))
            for night in sold:
                cache.put_snapshot(night.event.event_id, 1, cache.spool.fill(night.rows), DOORS)
        self.journal = Journal(folder / "journal.db", "gate-1", "epoch-1")
        self.reader = CacheReader(folder / "cache.db")
        self.desk = make_desk(self.journal, self.reader, self.clock, KEYS)

    def close(self) -> None:
        self.journal.close()
        self.reader.close()

    def scan(self, text: str, at: datetime) -> Verdict:
        """The answer; without the id of an earlier scan, which is each journal's own."""
        self.clock.forward((at - self.clock.wall).total_seconds())
        verdict = self.desk.answer(Presented.of(text.encode())).verdict
        entry = replace(verdict.entry, scan="") if verdict.entry else None
        return replace(verdict, entry=entry)


@st.composite
def overlapping(draw: st.DrawFn) -> tuple[Sold, Sold]:
    """Two nights that have hours in common."""
    first = draw(st.integers(1, 12))
    begins = draw(st.integers(0, first - 1))
    ends = begins + draw(st.integers(1, 14))
    one = Sold(1, "MAT", DOORS, DOORS + first * HOUR, draw(st.sampled_from(STATES)))
    return one, Sold(2, "PF", DOORS + begins * HOUR, DOORS + ends * HOUR, draw(st.sampled_from(STATES)))


def told(event: Event, verdict: Verdict) -> Verdict:
    """The answer, with the name of the night it is about."""
    assert verdict.event is not None, event
    assert verdict.event.event_id == event.event_id
    return verdict


@settings(max_examples=cases(15, long=60))
@given(nights=overlapping(), instants=st.lists(st.integers(-5 * 60, 32 * 60), min_size=1, max_size=4))
def test_of_two_nights_that_overlap_every_ticket_is_judged_as_if_its_night_were_alone(
    nights: tuple[Sold, Sold], instants: list[int]
) -> None:
    times = [DOORS + timedelta(minutes=minutes) for minutes in sorted(instants)]
    with TemporaryDirectory() as folder:
        for name in ("both", "0", "1"):
            Path(folder, name).mkdir()
        with (
            closing(Gate(Path(folder, "both"), nights)) as both,
            closing(Gate(Path(folder, "0"), nights[:1])) as first,
            closing(Gate(Path(folder, "1"), nights[1:])) as second,
        ):
            for at in times:
                for alone, night in ((first, nights[0]), (second, nights[1])):
                    for text in night.presented:
                        assert both.scan(text, at) == told(night.event, alone.scan(text, at)), (text, at)
