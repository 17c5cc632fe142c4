"""Every line of domain 2.3 at a whole door, from the code to record, turnstile, screen and sound."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from display.text.words import compose
from gate.common.value import Value
from gate.ports.screen import VerdictScreen
from gate.ports.signals import Signal
from gate.rules.decide import LINES
from gate.rules.model import (
    Admission,
    Event,
    Flag,
    IsolationPolicy,
    Kind,
    Reason,
    ReservationStatus,
    Ruling,
    Status,
)
from gate.rules.payload import code_hash
from sync.wire.messages import GateConfig
from tests.codes import KEYS, NEXT_KEY, signed
from tests.doors import Bench
from tests.factories import DOORS, a_record, a_table, an_admission, an_event, code_id, pass_id

DAY = timedelta(days=1)
SATURDAY = an_event(
    event_id="event-2",
    code="PS",
    name="PERREO SATURDAYS",
    doors_open_at=DOORS + DAY,
    ends_at=DOORS + DAY + timedelta(hours=8),
    served=False,
)
PENDING = a_table(reservation_id="reservation-9", number="9", status=ReservationStatus.PENDING)
GA, USED, CANCELLED, REFUNDED, OTHER_NIGHT = (code_id(number) for number in range(1, 6))
GUEST, BACK, UNPAID, GONE = (pass_id(number) for number in range(1, 5))
STRANGER, SOLD_SINCE, FORGED = code_id(99), signed(code_id(50)), signed(code_id(51), key=NEXT_KEY)
DAMAGED = STRANGER[:-1] + ("A" if STRANGER[-1] != "A" else "B")


def a_pass(code: str, reservation: str = "reservation-1", status: Status = Status.ISSUED) -> Admission:
    return an_admission(
        code, subject_id=f"pass-{code}", kind=Kind.VIP_PASS, reservation_id=reservation, status=status
    )


FEED = (
    an_event(),
    a_table(),
    PENDING,
    an_admission(GA),
    an_admission(USED, subject_id="ticket-2"),
    an_admission(CANCELLED, subject_id="ticket-3", status=Status.CANCELLED),
    an_admission(REFUNDED, subject_id="ticket-4", status=Status.REFUNDED),
    a_pass(GUEST),
    a_pass(BACK),
    a_pass(UNPAID, "reservation-9"),
    a_pass(GONE, status=Status.CANCELLED),
)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Tonight is Friday 20 November; `USED` and `BACK` entered at GATE 2 at 22:04."""
    bench = Bench(tmp_path, feed=FEED, keys=KEYS)
    names = {"gate-1": "GATE 1", "gate-2": "GATE 2"}
    events = (an_event(), SATURDAY)
    bench.hub.put_config(
        GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=events, gate_names=names)
    )
    bench.hub.put_snapshot(
        "event-2", 1, bench.hub.spool.fill([an_admission(OTHER_NIGHT, event_id="event-2")]), bench.clock.wall
    )
    bench.hub.peers.put(
        a_record(
            number, gate_id="gate-2", code_hash=code_hash(code), occurred_at=DOORS + timedelta(minutes=4)
        )
        for number, code in enumerate((USED, BACK), 1)
    )
    bench.wait(0.1)
    yield bench
    bench.close()


class Case(Value, frozen=True):
    """One line of the table, with the expected screen and sound."""

    line: int
    shown: tuple[str, ...]
    reason: Reason
    words: tuple[str, ...]
    ruling: Ruling = Ruling.DENY
    signal: Signal = Signal.REFUSE
    hours: float = 0
    event_status: Literal["scheduled", "completed", "cancelled"] = "scheduled"
    isolation: IsolationPolicy = "admit"


def refuse(line: int, code: str, reason: Reason, *words: str, **more: Any) -> Case:
    return Case(line=line, shown=(code,), reason=reason, words=words, **more)


def admit(line: int, code: str, reason: Reason, signal: Signal, *words: str) -> Case:
    return Case(line=line, shown=(code,), reason=reason, words=words, ruling=Ruling.ADMIT, signal=signal)


CASES = [
    refuse(1, "https://example.org/menu", Reason.MALFORMED, "NOT A MAGUEY TICKET"),
    refuse(2, DAMAGED, Reason.BAD_CHECKSUM, "DAMAGED CODE", "Type it in"),
    refuse(3, FORGED, Reason.FORGED, "FORGED TICKET", "Signature invalid"),
    Case(
        line=4,
        shown=(GA, USED),
        reason=Reason.AMBIGUOUS,
        words=("ONE TICKET AT A TIME",),
        ruling=Ruling.NONE,
        signal=Signal.ATTENTION,
    ),
    refuse(5, STRANGER, Reason.UNKNOWN, "TICKET NOT FOUND", "Ask staff"),
    admit(6, SOLD_SINCE, Reason.FIRST_ENTRY, Signal.ADMIT, "WELCOME"),
    refuse(
        7, OTHER_NIGHT, Reason.WRONG_EVENT, "WRONG EVENT", "Ticket is for Sat 21 Nov:", "PERREO SATURDAYS"
    ),
    refuse(8, GA, Reason.EVENT_CANCELLED, "EVENT CANCELLED", "Perreo Fridays", event_status="cancelled"),
    refuse(8, CANCELLED, Reason.CANCELLED, "TICKET CANCELLED", "No longer valid"),
    refuse(8, GONE, Reason.CANCELLED, "PASS CANCELLED", "Table 12"),
    refuse(8, REFUNDED, Reason.REFUNDED, "TICKET REFUNDED", "No longer valid"),
    refuse(9, UNPAID, Reason.TABLE_NOT_CONFIRMED, "TABLE NOT CONFIRMED", "Table 9 is not confirmed"),
    refuse(10, GA, Reason.TOO_EARLY, "TOO EARLY", "Doors open 22:00", hours=-1.5),
    refuse(10, GA, Reason.EVENT_OVER, "EVENT OVER", "Ended 06:00", hours=7.5),
    admit(11, GA, Reason.FIRST_ENTRY, Signal.ADMIT, "WELCOME", "General"),
    admit(11, GUEST, Reason.FIRST_ENTRY, Signal.VIP, "VIP GUEST", "Table 12 · 2 of 8 in", "Terraza Norte"),
    admit(12, BACK, Reason.REENTRY, Signal.VIP, "RE-ENTRY GRANTED", "Last entry 22:04", "Table 12"),
    refuse(11, GA, Reason.ISOLATED, "ONE MOMENT", "Ask staff", isolation="deny"),
    refuse(
        11, GA, Reason.OTHER_GATE, "PLEASE USE GATE 2", "Your ticket is checked there", isolation="home_gate"
    ),
    refuse(13, USED, Reason.ALREADY_USED, "ALREADY USED", "Used 22:04 at GATE 2"),
]


def _night(case: Case) -> Event:
    """Under a policy that uses home gates, every ticket's home is gate-2."""
    return an_event(status=case.event_status, isolation=case.isolation, homes=("gate-2",))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"line_{case.line}_{case.reason}")
def test_each_line_of_the_table_gives_its_verdict_reason_turnstile_screen_and_sound(
    bench: Bench, case: Case
) -> None:
    bench.clock.wall += timedelta(hours=case.hours)
    bench.hub.put_snapshot("event-1", 2, bench.hub.spool.fill((*FEED, _night(case))), bench.clock.wall)
    screen = bench.show(*case.shown, seconds=0)
    assert isinstance(screen, VerdictScreen)
    verdict, page = screen.verdict, compose(screen, "en", UTC)
    assert (verdict.line, verdict.ruling, verdict.reason) == (case.line, case.ruling, case.reason)
    assert (page.headline, *page.lines) == case.words
    assert bench.voice.played[-1:] == [case.signal]
    assert len(bench.relay.releases) == (case.ruling is Ruling.ADMIT)
    recorded = [(record.line, record.verdict, record.reason) for record in bench.records()]
    assert recorded == ([] if case.ruling is Ruling.NONE else [(case.line, case.ruling, case.reason)])


def test_the_cases_cover_every_line_and_every_reason() -> None:
    assert {case.line for case in CASES} == set(range(1, len(LINES) + 1))
    assert {case.reason for case in CASES} == set(Reason)


def test_line_4_releases_nothing_records_nothing_and_both_tickets_stay_good(bench: Bench) -> None:
    bench.show(GA, GUEST)
    assert (bench.records(), bench.relay.releases) == ([], [])
    for code in (GA, GUEST):
        bench.show(code)
    assert bench.told() == [("scan", "first_entry")] * 2


def test_line_4_the_same_ticket_in_two_carriers_is_one_ticket(bench: Bench) -> None:
    screen = bench.show(GA, signed(GA))
    assert isinstance(screen, VerdictScreen)
    assert screen.verdict.line == 11


def test_line_6_admits_once_and_flagged_even_across_a_restart(bench: Bench) -> None:
    bench.show(SOLD_SINCE)
    bench.show(SOLD_SINCE)
    bench.kill()
    bench.start()
    bench.show(SOLD_SINCE)
    told = [(record.line, record.reason, record.flags) for record in bench.records()]
    first, *others = told
    assert first[:2] == (6, Reason.FIRST_ENTRY)
    assert Flag.UNSYNCED in first[2]
    assert others == [(13, Reason.ALREADY_USED, ())] * 2


def test_line_6_does_not_admit_what_another_gate_has_admitted(bench: Bench) -> None:
    there = a_record(9, gate_id="gate-2", code_hash=code_hash(code_id(50)), line=6)
    bench.hub.peers.put([there])
    screen = bench.show(SOLD_SINCE)
    assert isinstance(screen, VerdictScreen)
    assert (screen.verdict.reason, screen.place) == (Reason.ALREADY_USED, "GATE 2")


@pytest.mark.parametrize(("date", "admits"), [("20261113", False), ("20261120", True), ("20261127", False)])
def test_line_6_a_signed_ticket_of_another_week_is_for_another_event(
    bench: Bench, date: str, admits: bool
) -> None:
    screen = bench.show(signed(code_id(60, date=date)), seconds=0)
    assert isinstance(screen, VerdictScreen)
    assert screen.verdict.admits is admits
    if not admits:
        page = compose(screen, "en", UTC)
        assert (page.headline, *page.lines) == ("WRONG EVENT", "Ticket is for another event")
