"""Passage at a whole door: annulment, overrides, the fire alarm, and recovery after a crash."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate.common.errors import HardwareError, Step, StoreError
from gate.door.turnstile import MOST_OWED, DoorTurnstile, let_in
from gate.ports.screen import Idle, Notice, OutOfOrder, Part, Screen, VerdictScreen
from gate.ports.signals import Signal
from gate.rules.model import Entry, EventKind, Reason, Ruling, Status
from gate.rules.passage import MOST_SILENT, NotAllowed, OrderAction, Rules
from gate.store.file_errors import DamagedError
from gate.store.journal import Journal
from gate.store.link_row import LinkNote
from tests.doors import SENSOR, Bench, TreacherousTurnstile, guests
from tests.factories import a_record, an_admission, code_id


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, SENSOR, feed=guests(20))
    yield bench
    bench.close()


def reason(screen: Screen) -> Reason:
    assert isinstance(screen, VerdictScreen), screen
    return screen.verdict.reason


def word(screen: Screen) -> str:
    assert isinstance(screen, Notice), screen
    return screen.word


def test_an_annulled_ga_ticket_is_good_again(bench: Bench) -> None:
    assert reason(bench.show(code_id(), seconds=7.5)) is Reason.FIRST_ENTRY
    assert bench.told() == [("scan", "first_entry"), ("annulled", "expired")]
    assert reason(bench.show(code_id(), seconds=0)) is Reason.FIRST_ENTRY
    assert len(bench.relay.releases) == 2


def test_a_guest_who_walked_in_has_used_the_ticket(bench: Bench) -> None:
    bench.show(code_id(), seconds=1)
    bench.inputs.bodies()
    bench.wait(9)
    assert bench.told() == [("scan", "first_entry"), ("passed", "passed")]
    assert reason(bench.show(code_id())) is Reason.ALREADY_USED


def test_an_annulment_refers_to_its_scan(bench: Bench) -> None:
    bench.show(code_id(), seconds=8)
    scan, annulled = bench.records()
    assert (annulled.refers_to, annulled.code_hash) == (scan.scan_id, scan.code_hash)
    assert (annulled.verdict, annulled.seq) == (Ruling.NONE, scan.seq + 1)


def test_a_guest_who_did_not_walk_in_is_shown_the_annulment(bench: Bench) -> None:
    bench.show(code_id(), seconds=6.9)
    assert isinstance(bench.display.screens[-1], Idle)
    bench.wait(0.2)
    assert word(bench.display.screens[-1]) == "annulled"
    assert bench.voice.played[-1] is Signal.ATTENTION


def test_an_annulment_does_not_replace_the_answer_to_the_next_guest(bench: Bench) -> None:
    bench.show(code_id(1), seconds=6)
    bench.show(code_id(99), seconds=1.5)
    assert ("annulled", "expired") in bench.told()
    assert reason(bench.display.screens[-1]) is Reason.UNKNOWN


def test_while_the_turnstile_is_released_the_same_code_is_ignored(bench: Bench) -> None:
    bench.show(code_id(), seconds=2)
    bench.show(code_id(), seconds=2)
    assert bench.told() == [("scan", "first_entry")]


def test_the_next_guest_is_answered_while_the_first_is_still_walking(bench: Bench) -> None:
    bench.show(code_id(1), seconds=0.5)
    assert reason(bench.show(code_id(2), seconds=0.5)) is Reason.FIRST_ENTRY
    bench.inputs.bodies(2)
    bench.wait(8)
    assert [kind for kind, _ in bench.told()] == ["scan", "scan", "passed", "passed"]


def test_a_ticket_the_hub_has_already_checked_in_is_annulled_too(bench: Bench) -> None:
    """The scan reached the hub before the annulment: the cache says used, but this gate knows better."""
    bench.show(code_id(), seconds=8)
    scan = bench.records()[0]
    entry = Entry(at=scan.occurred_at, gate="gate-1")
    used = an_admission(status=Status.CHECKED_IN, first_entry=entry, last_entry=entry)
    bench.hub.put_snapshot("event-1", 2, bench.hub.spool.fill([used]), bench.clock.wall)
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY


def test_annulling_ones_own_entry_leaves_another_gates_entry(bench: Bench) -> None:
    bench.show(code_id(), seconds=8)
    entry = Entry(at=bench.clock.wall, gate="gate-2")
    used = an_admission(status=Status.CHECKED_IN, first_entry=entry, last_entry=entry)
    bench.hub.put_snapshot("event-1", 2, bench.hub.spool.fill([used]), bench.clock.wall)
    assert reason(bench.show(code_id())) is Reason.ALREADY_USED


def test_a_silent_sensor_stops_annulling_and_says_so_until_it_sees_somebody(bench: Bench) -> None:
    for n in range(1, MOST_SILENT + 1):
        bench.show(code_id(n), seconds=10)
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert (shown.part, shown.step) == (Part.SENSOR, Step.SENSOR_WIRING)
    bench.show(code_id(10), seconds=10)
    assert reason(bench.show(code_id(10))) is Reason.ALREADY_USED
    bench.inputs.bodies()
    bench.wait(2)
    assert isinstance(bench.display.screens[-1], Idle)


def test_broken_inputs_annul_nobody(bench: Bench) -> None:
    bench.inputs.break_down(HardwareError("inputs", "Gone.", "Look.", Step.SENSOR_WIRING))
    bench.show(code_id(), seconds=10)
    assert ("annulled", "expired") not in bench.told()
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert shown.part is Part.SENSOR


def test_a_fire_alarm_opens_the_turnstile_shows_and_records_it_and_stops_deciding(bench: Bench) -> None:
    bench.inputs.fire()
    bench.look()
    assert word(bench.display.screens[-1]) == "free_passage"
    assert bench.relay.is_open
    assert bench.voice.played[-1] is Signal.FREE_PASSAGE
    bench.show(code_id(), seconds=2)
    assert bench.told() == [("event", "free_passage")]
    bench.inputs.fire(on=False)
    bench.wait(4.9)
    assert bench.relay.is_open
    bench.wait(1.2)
    assert not bench.relay.is_open
    assert bench.told() == [("event", "free_passage"), ("event", "free_passage_over")]
    assert isinstance(bench.display.screens[-1], Idle)
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY


def test_a_fire_replaces_the_answer_to_a_guest_at_once(bench: Bench) -> None:
    bench.show(code_id(), seconds=0)
    bench.inputs.fire()
    bench.look()
    assert word(bench.display.screens[-1]) == "free_passage"


def test_an_alarm_does_not_end_because_its_input_fails(bench: Bench) -> None:
    bench.inputs.fire()
    bench.look()
    bench.inputs.break_down(HardwareError("inputs", "Gone.", "Look."))
    bench.wait(2)
    assert bench.relay.is_open


def test_a_relay_broken_when_the_fire_began_opens_once_it_works_again(bench: Bench) -> None:
    bench.relay_is_there = False
    bench.relay.break_down(HardwareError("turnstile", "Gone.", "Look."))
    bench.inputs.fire()
    bench.wait(1)
    bench.relay.break_down(None)
    bench.relay_is_there = True
    bench.wait(4)
    assert bench.relay.is_open


def test_scans_at_a_gate_held_open_are_recorded_without_a_pulse(bench: Bench) -> None:
    bench.order(OrderAction.HOLD_OPEN)
    bench.wait(0.2)
    assert bench.relay.is_open
    assert word(bench.display.screens[-1]) == "held_open"
    assert reason(bench.show(code_id(), seconds=10)) is Reason.FIRST_ENTRY
    assert bench.relay.releases == []
    assert [record.released for record in bench.records() if record.record == "scan"] == [False]
    bench.order(OrderAction.RESUME)
    bench.wait(0.2)
    assert not bench.relay.is_open
    assert reason(bench.show(code_id())) is Reason.ALREADY_USED


def test_a_closed_gate_answers_nobody_and_tickets_stay_good(bench: Bench) -> None:
    bench.order(OrderAction.CLOSE)
    bench.wait(0.2)
    assert word(bench.display.screens[-1]) == "closed"
    bench.show(code_id())
    assert bench.told() == [("event", "closed")]
    bench.order(OrderAction.RESUME)
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY


def test_an_order_that_would_change_nothing_is_refused(bench: Bench) -> None:
    with pytest.raises(NotAllowed, match="normal"):
        bench.order(OrderAction.RESUME)
    bench.look()
    assert bench.told() == []


def test_an_opened_housing_is_recorded_and_stays_on_the_screen(bench: Bench) -> None:
    bench.inputs.tamper()
    bench.wait(1.1)
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert (shown.part, shown.step) == (Part.HOUSING, Step.CLOSE_HOUSING)
    assert bench.told() == [("event", "tamper")]


def test_a_turnstile_that_does_not_open_annuls_at_once_and_the_ticket_is_good(bench: Bench) -> None:
    """It seems to work until it should open, like a relay whose wire has just come off."""
    bench.relay = TreacherousTurnstile()
    bench.relay.break_down(HardwareError("turnstile", "The pin is gone.", "Check the wiring."))
    assert word(bench.show(code_id())) == "see_staff"
    assert bench.told() == [("scan", "first_entry"), ("annulled", "not_opened")]
    bench.relay.break_down(None)
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY


def test_an_admission_whose_turnstile_never_opened_is_annulled_at_the_next_start(bench: Bench) -> None:
    journal = bench.journal.get(0)
    assert journal is not None
    with journal.turn() as turn:  # the power failed between commit and pulse
        turn.append(a_record(code_hash=an_admission().code_hash))
    bench.kill()
    bench.start()
    bench.wait(0.2)
    assert bench.told() == [("scan", "first_entry"), ("annulled", "not_opened")]
    assert bench.relay.releases == []
    assert reason(bench.show(code_id(1))) is Reason.FIRST_ENTRY


def test_an_admission_whose_turnstile_opened_counts_after_a_crash(bench: Bench) -> None:
    bench.show(code_id(), seconds=0)
    bench.kill()
    bench.start()
    bench.wait(10)
    assert bench.told() == [("scan", "first_entry")]
    assert reason(bench.show(code_id())) is Reason.ALREADY_USED


def test_events_during_a_journal_outage_are_recorded_once_it_is_back(bench: Bench) -> None:
    bench.show(code_id(), seconds=0.5)
    journal = bench.folder / "journal.db"
    away = bench.folder / "away.db"
    journal.rename(away)
    bench.inputs.bodies()
    bench.look()
    away.rename(journal)
    bench.wait(4)
    assert bench.told() == [("scan", "first_entry"), ("passed", "passed")]


def test_without_a_sensor_no_admission_is_annulled(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Rules(sensor=False))
    bench.show(code_id(), seconds=20)
    assert bench.told() == [("scan", "first_entry")]
    bench.close()


def test_lights_and_buzzer_follow_the_screen_and_rest_afterwards(bench: Bench) -> None:
    bench.show(code_id(), seconds=2)
    bench.show(code_id(99), seconds=4)
    assert bench.voice.played == [Signal.ADMIT, Signal.REST, Signal.REFUSE, Signal.REST]


def test_an_alarm_shorter_than_one_turn_is_recorded_and_the_turnstile_locked_again(bench: Bench) -> None:
    bench.inputs.fire()
    bench.inputs.fire(on=False)
    bench.wait(7)
    assert bench.told() == [("event", "free_passage"), ("event", "free_passage_over")]
    assert not bench.relay.is_open


def test_inputs_that_failed_are_read_again_after_they_recover(bench: Bench) -> None:
    bench.inputs.break_down(HardwareError("sensor", "A glitch.", "Look.", Step.SENSOR_WIRING))
    bench.wait(2)
    bench.inputs.break_down(None)
    bench.wait(2)
    bench.show(code_id(), seconds=1)
    bench.inputs.bodies()
    bench.wait(2)
    assert bench.told()[-1] == ("passed", "passed")
    assert isinstance(bench.display.screens[-1], Idle)


def test_a_queued_pulse_that_is_lost_annuls_its_admission(bench: Bench) -> None:
    bench.show(code_id(1), seconds=0.2)
    bench.show(code_id(2), seconds=0)
    bench.relay.lose(1)
    bench.wait(0.2)
    assert bench.told()[-1] == ("annulled", "not_opened")
    assert bench.records()[-1].refers_to == bench.records()[1].scan_id
    bench.wait(2)
    assert reason(bench.show(code_id(2))) is Reason.FIRST_ENTRY


def test_a_pulse_dropped_at_shutdown_annuls_its_admission_before_the_door_ends(bench: Bench) -> None:
    bench.show(code_id(1), seconds=0)
    bench.relay.lose(1)
    bench.door.close()
    assert bench.told() == [("scan", "first_entry"), ("annulled", "not_opened")]


def test_an_annulment_is_on_the_disk_before_the_guest_can_be_sent_back(bench: Bench) -> None:
    bench.relay = TreacherousTurnstile()
    bench.relay.break_down(HardwareError("turnstile", "The pin is gone.", "Check the wiring."))
    bench.eye.show(code_id().encode())
    bench.door.step()
    bench.kill()
    assert bench.told() == [("scan", "first_entry"), ("annulled", "not_opened")]


def test_while_the_journal_is_broken_passages_are_kept_before_other_events(bench: Bench) -> None:
    bench.show(code_id(), seconds=1)
    journal, away = bench.folder / "journal.db", bench.folder / "away.db"
    journal.rename(away)
    bench.inputs.bodies()
    bench.turnstile.turn(bench.clock.now())
    for _ in range(MOST_OWED * 2):
        bench.turnstile.event(EventKind.GUESSING)
    away.rename(journal)
    bench.wait(4)
    assert ("passed", "passed") in bench.told()
    assert len(bench.records()) <= MOST_OWED + 2


def test_a_phone_shown_while_the_gate_was_closed_is_answered_when_it_opens(bench: Bench) -> None:
    bench.order(OrderAction.CLOSE)
    bench.show(code_id(), seconds=0)
    bench.order(OrderAction.RESUME)
    assert reason(bench.show(code_id(), seconds=0)) is Reason.FIRST_ENTRY


def test_codes_typed_while_the_gate_was_closed_are_discarded(bench: Bench) -> None:
    bench.order(OrderAction.CLOSE)
    bench.type(code_id() + "\n")
    bench.order(OrderAction.RESUME)
    bench.wait(1)
    assert bench.relay.releases == []


@pytest.mark.parametrize("part", ["voice", "keypad", "display", "inputs", "eye"])
def test_a_defect_in_one_part_disables_that_part_and_not_the_door(bench: Bench, part: str) -> None:
    """Adapters never raise, but if one does, guests are still let in."""

    def broken(*_: object) -> object:
        raise RuntimeError("a defect")

    bench.wait(0.1)
    name = {"voice": "play", "keypad": "read", "display": "show", "inputs": "read", "eye": "restarts"}[part]
    setattr(getattr(bench, part), name, broken)
    bench.eye.show(code_id(1).encode())
    bench.door.step()
    bench.wait(2)
    bench.eye.show(code_id(2).encode())
    bench.door.step()
    assert len(bench.relay.releases) == 2


def test_a_broken_relay_does_not_open_after_the_hold_open_order_has_ended(bench: Bench) -> None:
    bench.wait(0.1)
    bench.relay.break_down(HardwareError("turnstile", "Gone.", "Look."))
    bench.order(OrderAction.HOLD_OPEN)
    bench.wait(1)
    bench.order(OrderAction.RESUME)
    bench.relay.break_down(None)
    bench.wait(1)
    assert not bench.relay.is_open


def test_a_fire_is_recorded_and_shown_though_another_contact_is_broken(bench: Bench) -> None:
    bench.inputs.break_down(
        HardwareError("sensor", "The light barrier is gone.", "Look.", Step.SENSOR_WIRING)
    )
    bench.inputs.fire()
    bench.look()
    assert word(bench.display.screens[-1]) == "free_passage"
    bench.inputs.fire(on=False)
    bench.wait(7)
    assert ("event", "free_passage_over") in bench.told()
    assert not bench.relay.is_open


def test_a_guest_who_did_not_walk_in_is_not_counted_inside(bench: Bench) -> None:
    bench.show(code_id(), seconds=3)
    idle = bench.display.screens[-1]
    assert isinstance(idle, Idle)
    assert idle.inside == 1
    bench.wait(9)
    idle = bench.display.screens[-1]
    assert isinstance(idle, Idle)
    assert idle.inside == 0


def test_a_release_by_another_process_at_startup_is_never_both_given_and_annulled(bench: Bench) -> None:
    """Domain 2.3: a command releases while the starting door annuls what was never opened."""
    journal, scan = opened(bench), a_record()
    with journal.turn() as turn:
        turn.append(scan)
    with contextlib.closing(Journal(journal.path, "gate-1", "e")) as beside:
        beside._db.execute("pragma busy_timeout=0")
        given: list[str] = []

        def release(count: int) -> bytes:
            """Called for the annulment's id, between reading the openings and writing the annulment."""
            with contextlib.suppress(StoreError):
                let_in(beside, bench.relay, scan, bench.clock.now(), "r")
                given.append(scan.scan_id)
            return os.urandom(count)

        starting = DoorTurnstile(gate_id="gate-1", parts=bench.parts, rules=SENSOR, random=release)
        starting.write(journal)
    annulled = [one.refers_to for one in bench.records() if one.record == "annulled"]
    assert (given, annulled) == ([], [scan.scan_id])


def test_pending_records_are_not_written_to_a_journal_restored_from_a_backup(bench: Bench) -> None:
    """The hub already has other records under its next numbers, so they wait for the new numbering."""
    bench.show(code_id(), seconds=0.5)
    journal = opened(bench)
    note = LinkNote(
        connected=True, hub_heard=True, since_ms=0, beat_ms=bench.clock.now().monotonic_ms,
        boot_id=bench.clock.now().boot_id, epoch=journal.epoch, acked_seq=1, hub_seq=40,
    )  # fmt: skip
    bench.hub.put_link(note, None)
    bench.turnstile.event(EventKind.TAMPER)
    with pytest.raises(DamagedError, match="put back from a backup"):
        bench.turnstile.write(journal)
    assert bench.told() == [("scan", "first_entry")]
    bench.wait(4)
    assert ("event", "tamper") in bench.told()
    assert {one.epoch for one in bench.records() if one.reason is EventKind.TAMPER} == {"epoch-2"}


def opened(bench: Bench) -> Journal:
    journal = bench.journal.get(0)
    assert journal is not None
    return journal
