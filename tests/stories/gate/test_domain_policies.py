"""Who may come in, and how often: domain 2.1 and 2.2 at a whole door."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gate.ports.screen import Screen, VerdictScreen, seconds_shown
from gate.ports.signals import Signal
from gate.rules.model import (
    Admission,
    Entry,
    FeedRow,
    Flag,
    Kind,
    Now,
    Reason,
    ReservationStatus,
    Status,
    Table,
    Verdict,
)
from gate.rules.payload import code_hash
from gate.store.link_row import LinkNote
from tests.doors import Bench
from tests.factories import NOW, StoppedClock, a_record, a_table, an_admission, code_id, pass_id

HOST, LINKED, PLAIN, GUEST = code_id(1), code_id(2), code_id(3), pass_id(1)
VIP = {HOST: Kind.VIP_HOST, LINKED: Kind.VIP_LINKED, GUEST: Kind.VIP_PASS}
ALL = {**VIP, PLAIN: Kind.GA}
UNPAID = [ReservationStatus.PENDING, ReservationStatus.CANCELLED, ReservationStatus.COMPLETED]


def row(code: str, **changes: object) -> Admission:
    kind = ALL[code]
    table = None if kind is Kind.GA else "reservation-1"
    return an_admission(
        code,
        **{"subject_id": f"id-{code}", "kind": kind, "reservation_id": table, "holder": "Ana Pérez"}
        | changes,
    )


def feed(table: Table | None = None) -> tuple[FeedRow, ...]:
    return (table or a_table(host="Ana Pérez"), *(row(code) for code in ALL))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(
        tmp_path, feed=feed(), frames_per_second=4
    )  # few frames, so that simulated hours pass quickly
    yield bench
    bench.close()


def told(bench: Bench, *rows: FeedRow, version: int = 2) -> None:
    """Deliver a change from the hub; everything else stays."""
    changed = {getattr(one, "code_hash", "table"): one for one in (*feed(), *rows)}
    bench.hub.put_snapshot(
        "event-1", version, bench.hub.spool.fill(tuple(changed.values())), bench.clock.wall
    )


def verdict(screen: Screen) -> Verdict:
    assert isinstance(screen, VerdictScreen), screen
    return screen.verdict


def later(bench: Bench, code: str, minutes: float = 10) -> Verdict:
    bench.wait(minutes * 60)
    return verdict(bench.show(code))


def test_general_admission_is_one_time_and_a_second_scan_says_where_and_when(bench: Bench) -> None:
    first = verdict(bench.show(PLAIN))
    again = later(bench, PLAIN)
    assert (first.reason, again.reason) == (Reason.FIRST_ENTRY, Reason.ALREADY_USED)
    entered = bench.records()[0]
    assert again.entry == Entry(at=entered.occurred_at, gate="gate-1", scan=entered.scan_id)
    assert len(bench.relay.releases) == 1


@pytest.mark.parametrize("code", VIP)
def test_purchaser_guest_pass_and_linked_guest_may_come_back_any_number_of_times(
    bench: Bench, code: str
) -> None:
    reasons = [verdict(bench.show(code)).reason, *(later(bench, code, 2).reason for _ in range(10))]
    assert reasons == [Reason.FIRST_ENTRY] + [Reason.REENTRY] * 10
    assert len(bench.relay.releases) == 11
    assert [record.reason for record in bench.records()] == reasons, "every scan is logged"


def test_guests_may_arrive_before_the_host(bench: Bench) -> None:
    seen = [verdict(bench.show(code)) for code in (GUEST, LINKED, HOST)]
    assert [(one.kind, one.reason) for one in seen] == [
        (Kind.VIP_PASS, Reason.FIRST_ENTRY),
        (Kind.VIP_LINKED, Reason.FIRST_ENTRY),
        (Kind.VIP_HOST, Reason.FIRST_ENTRY),
    ]
    assert [one.table.arrived for one in seen if one.table] == [1, 2, 3]


def test_one_scan_of_the_hosts_code_admits_marks_the_table_and_names_the_host(bench: Bench) -> None:
    host = verdict(bench.show(HOST))
    assert host.table is not None
    assert (host.kind, host.holder, host.table.number, host.table.arrived) == (
        Kind.VIP_HOST,
        "Ana Pérez",
        "12",
        1,
    )
    record = bench.records()[0]
    assert (record.kind, record.subject_id) == (Kind.VIP_HOST, f"id-{HOST}"), "the hub marks the table by it"
    assert len(bench.records()) == len(bench.relay.releases) == 1


@pytest.mark.parametrize("code", [HOST, LINKED])
@pytest.mark.parametrize("status", UNPAID)
def test_a_guest_linked_to_an_unpaid_table_enters_as_plain_ga(
    bench: Bench, code: str, status: ReservationStatus
) -> None:
    told(bench, a_table(status=status))
    screen = bench.show(code, seconds=0)
    plain = verdict(screen)
    assert (plain.kind, plain.reason, plain.table) == (Kind.GA, Reason.FIRST_ENTRY, None)
    assert (seconds_shown(screen), bench.voice.played[-1]) == (1.5, Signal.ADMIT)
    assert later(bench, code).reason is Reason.ALREADY_USED


@pytest.mark.parametrize("status", UNPAID)
def test_a_guest_pass_is_refused_until_its_table_is_paid(bench: Bench, status: ReservationStatus) -> None:
    told(bench, a_table(status=status))
    assert verdict(bench.show(GUEST)).reason is Reason.TABLE_NOT_CONFIRMED
    told(bench, a_table(), version=3)
    assert verdict(bench.show(GUEST)).reason is Reason.FIRST_ENTRY


def test_paying_for_a_table_gives_its_guests_reentry_and_cancelling_it_takes_it(bench: Bench) -> None:
    told(bench, a_table(status=ReservationStatus.PENDING))
    assert verdict(bench.show(LINKED)).kind is Kind.GA
    told(bench, a_table(), version=3)
    back = later(bench, LINKED)
    assert (back.kind, back.reason) == (Kind.VIP_LINKED, Reason.REENTRY)
    told(bench, a_table(status=ReservationStatus.CANCELLED), version=4)
    assert later(bench, LINKED).reason is Reason.ALREADY_USED


def test_an_unlinked_guest_is_plain_ga_again(bench: Bench) -> None:
    told(bench, row(LINKED, kind=Kind.GA, reservation_id=None))
    first = verdict(bench.show(LINKED))
    assert (first.kind, first.table) == (Kind.GA, None)
    assert later(bench, LINKED).reason is Reason.ALREADY_USED


def test_a_guest_linked_at_the_door_after_the_first_entry_may_come_back(bench: Bench) -> None:
    assert verdict(bench.show(PLAIN)).reason is Reason.FIRST_ENTRY
    told(bench, row(PLAIN, kind=Kind.VIP_LINKED, reservation_id="reservation-1"))
    assert later(bench, PLAIN).reason is Reason.REENTRY


@pytest.mark.parametrize(
    ("status", "reason"), [(Status.CANCELLED, Reason.CANCELLED), (Status.REFUNDED, Reason.REFUNDED)]
)
@pytest.mark.parametrize("code", ALL)
def test_a_cancelled_or_refunded_ticket_is_refused_even_after_an_entry(
    bench: Bench, code: str, status: Status, reason: Reason
) -> None:
    bench.show(code)
    told(bench, row(code, status=status))
    assert later(bench, code).reason is reason


AT_GATE_2 = Entry(at=NOW, gate="gate-2", scan=a_record(7).scan_id)


def _after_gate_2(bench: Bench, code: str) -> Screen:
    """Scan a code here after another gate has reported that it admitted it."""
    bench.hub.peers.put([a_record(7, gate_id="gate-2", code_hash=code_hash(code), occurred_at=NOW)])
    return bench.show(code)


def test_first_scan_wins_and_ga_at_the_other_gate_is_refused(bench: Bench) -> None:
    refused = verdict(_after_gate_2(bench, PLAIN))
    assert (refused.reason, refused.entry) == (Reason.ALREADY_USED, AT_GATE_2)


@pytest.mark.parametrize("code", VIP)
def test_first_scan_wins_and_vip_at_the_other_gate_is_a_reentry(bench: Bench, code: str) -> None:
    back = verdict(_after_gate_2(bench, code))
    assert (back.reason, back.entry) == (Reason.REENTRY, AT_GATE_2)


@pytest.mark.parametrize(("seconds", "suspect"), [(1, True), (59, True), (61, False)])
@pytest.mark.parametrize("code", VIP)
def test_a_reentry_soon_after_an_entry_at_another_gate_is_admitted_and_flagged(
    bench: Bench, code: str, seconds: float, suspect: bool
) -> None:
    at = bench.clock.wall - timedelta(seconds=seconds)
    bench.hub.peers.put([a_record(7, gate_id="gate-2", code_hash=code_hash(code), occurred_at=at)])
    assert verdict(bench.show(code)).reason is Reason.REENTRY
    assert (Flag.PASSBACK_SUSPECT in bench.records()[0].flags) is suspect


@pytest.mark.parametrize(("seconds", "suspect"), [(58, True), (62, False)])
def test_a_reentry_soon_after_an_entry_here_is_admitted_and_flagged(
    bench: Bench, seconds: float, suspect: bool
) -> None:
    bench.show(LINKED, seconds=seconds)
    bench.show(LINKED)
    assert [record.reason for record in bench.records()] == [Reason.FIRST_ENTRY, Reason.REENTRY]
    assert (Flag.PASSBACK_SUSPECT in bench.records()[1].flags) is suspect
    assert len(bench.relay.releases) == 2


def test_a_refusal_starts_no_passback_window(bench: Bench) -> None:
    bench.show(LINKED, seconds=50)
    told(bench, row(LINKED, status=Status.CANCELLED))
    bench.show(LINKED, seconds=20)
    told(bench, row(LINKED), version=3)
    assert verdict(bench.show(LINKED)).reason is Reason.REENTRY
    assert Flag.PASSBACK_SUSPECT not in bench.records()[2].flags


def test_a_code_held_in_view_is_one_scan_until_away_for_rescan_after(bench: Bench) -> None:
    bench.frame_s = 0.05
    for _ in range(200):  # half of the frames show it
        bench.show(LINKED, seconds=0.05)
    bench.show(LINKED, seconds=1.4)
    assert len(bench.records()) == 1
    bench.show(LINKED, seconds=1.6)
    assert len(bench.records()) == 1
    bench.show(LINKED)
    assert [record.reason for record in bench.records()] == [Reason.FIRST_ENTRY, Reason.REENTRY]


class SureClock(StoppedClock):
    """A clock that sync has measured against the hub's."""

    def now(self) -> Now:
        return Now(
            wall=self.wall,
            monotonic_ms=self.monotonic_ms,
            boot_id="boot-1",
            clock="synced",
            offset_ms=-12,
            uncertainty_ms=3,
        )


@pytest.mark.parametrize(
    ("clock", "certainty"), [(StoppedClock, ("untrusted", None, None)), (SureClock, ("synced", -12, 3))]
)
def test_a_scan_records_line_cache_version_cache_age_and_clock_certainty(
    tmp_path: Path, clock: type[StoppedClock], certainty: tuple[str, int | None, int | None]
) -> None:
    folder = tmp_path / "gate"
    folder.mkdir()
    bench = Bench(folder, feed=feed())
    bench.clock = clock()
    bench.parts.close_devices()
    bench.parts.close_files()
    bench.start()
    bench.hub.put_snapshot("event-1", 41, bench.hub.spool.fill(feed()), bench.clock.wall)
    bench.clock.forward(90)
    for code in (PLAIN, LINKED, PLAIN):
        bench.show(code, seconds=2)
    bench.show(LINKED)
    for record, line in zip(bench.records(), (11, 11, 13, 12), strict=True):
        assert (record.line, record.cache_version) == (line, 41)
        assert record.cache_age_s in range(90, 100)
        assert (record.clock, record.clock_offset_ms, record.clock_uncertainty_ms) == certainty
    bench.close()


def test_the_caches_age_counts_from_when_it_was_last_known_current(bench: Bench) -> None:
    link = LinkNote(
        connected=True, hub_heard=True, since_ms=0, beat_ms=0, boot_id="boot-1", epoch=None, acked_seq=0
    )
    bench.clock.forward(600)
    bench.hub.put_link(link, bench.clock.wall)
    bench.show(PLAIN)
    assert bench.records()[0].cache_age_s == 0
