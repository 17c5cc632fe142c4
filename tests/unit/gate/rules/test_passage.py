"""The pure rules of passage: domain 2.3 ("Passage", "Overrides") and the tables in gate/rules/passage.py."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from gate.rules.model import ScanRecord
from gate.rules.passage import (
    EXIT_MS,
    FIRE_MS,
    MOST_SILENT,
    PASSAGE_TIMEOUT_MS,
    QUIET_MS,
    TAMPER_QUIET_MS,
    WALK,
    WAY,
    NotAllowed,
    OrderAction,
    Outcome,
    Passage,
    PassageStep,
    Rules,
    Sensed,
    Walk,
    Way,
    admission_released,
    order,
    releases_lost,
    sense,
)
from tests.factories import a_record

SENSOR, BLIND = Rules(sensor=True), Rules(sensor=False, pulse_ms=500)
QUIET = Sensed()
A, B = a_record(1), replace(a_record(2), code_hash="b" * 64)


def admitted(*scans: ScanRecord, now_ms: int = 0, rules: Rules = SENSOR) -> Passage:
    passage = Passage()
    for scan in scans:
        passage = admission_released(passage, scan, now_ms, rules)
    return passage


def told(outcomes: Sequence[Outcome]) -> list[tuple[str, str, int | None]]:
    return [(one.record, one.reason.value, one.scan.seq if one.scan else None) for one in outcomes]


def test_a_guest_who_walks_in_time_has_passed() -> None:
    passage, outcomes = sense(admitted(A), Sensed(bodies=1), PASSAGE_TIMEOUT_MS - 1, SENSOR)
    assert told(outcomes) == [("passed", "passed", 1)]
    assert not passage.awaited


def test_an_admission_nobody_walks_through_within_passage_timeout_is_annulled() -> None:
    waiting, outcomes = sense(admitted(A), QUIET, PASSAGE_TIMEOUT_MS - 1, SENSOR)
    assert (waiting.awaited, outcomes) == ((A,), ())
    passage, outcomes = sense(waiting, QUIET, PASSAGE_TIMEOUT_MS, SENSOR)
    assert told(outcomes) == [("annulled", "expired", 1)]
    assert not passage.awaited


def test_a_body_in_the_very_reading_of_the_timeout_has_passed() -> None:
    _, outcomes = sense(admitted(A), Sensed(bodies=1), PASSAGE_TIMEOUT_MS, SENSOR)
    assert told(outcomes) == [("passed", "passed", 1)]


def test_bodies_are_matched_to_admissions_in_order_and_each_gets_its_full_time() -> None:
    passage, outcomes = sense(admitted(A, B), Sensed(bodies=1), 6_000, SENSOR)
    assert told(outcomes) == [("passed", "passed", 1)]
    passage, outcomes = sense(passage, QUIET, 6_000 + PASSAGE_TIMEOUT_MS - 1, SENSOR)
    assert (passage.awaited, outcomes) == ((B,), ())
    _, outcomes = sense(passage, QUIET, 6_000 + PASSAGE_TIMEOUT_MS, SENSOR)
    assert told(outcomes) == [("annulled", "expired", 2)]


def test_two_bodies_in_one_reading_are_two_guests() -> None:
    passage, outcomes = sense(admitted(A, B), Sensed(bodies=2), 100, SENSOR)
    assert told(outcomes) == [("passed", "passed", 1), ("passed", "passed", 2)]
    assert not passage.awaited


def test_without_a_sensor_an_opened_turnstile_counts_as_entry() -> None:
    passage = admitted(A, rules=BLIND)
    assert passage.awaits(A.code_hash or "")
    passage, outcomes = sense(passage, QUIET, 500, BLIND)
    assert (passage.awaited, outcomes) == ((), ())


def test_a_body_nobody_was_admitted_for_is_an_intrusion_reported_at_intervals() -> None:
    passage, outcomes = sense(Passage(), Sensed(bodies=3), 0, SENSOR)
    assert told(outcomes) == [("event", "intrusion", None)]
    passage, outcomes = sense(passage, Sensed(bodies=1), QUIET_MS - 1, SENSOR)
    assert outcomes == ()
    _, outcomes = sense(passage, Sensed(bodies=1), QUIET_MS, SENSOR)
    assert told(outcomes) == [("event", "intrusion", None)]


def test_somebody_leaving_by_the_exit_button_is_neither_a_guest_nor_an_intruder() -> None:
    passage, _ = sense(Passage(), Sensed(exits=1), 0, SENSOR)
    passage, outcomes = sense(passage, Sensed(bodies=1), EXIT_MS - 1, SENSOR)
    assert outcomes == ()
    _, outcomes = sense(passage, Sensed(bodies=1), EXIT_MS - 1, SENSOR)
    assert told(outcomes) == [("event", "intrusion", None)]


def test_the_exit_button_covers_nobody_who_comes_later() -> None:
    passage, _ = sense(Passage(), Sensed(exits=1), 0, SENSOR)
    _, outcomes = sense(passage, Sensed(bodies=1), EXIT_MS, SENSOR)
    assert told(outcomes) == [("event", "intrusion", None)]


def test_with_one_entering_and_one_leaving_the_first_body_uses_up_the_ticket() -> None:
    passage, _ = sense(admitted(A), Sensed(exits=1), 0, SENSOR)
    _, outcomes = sense(passage, Sensed(bodies=1), 1_000, SENSOR)
    assert told(outcomes) == [("passed", "passed", 1)]


def _nobody_walks(times: int) -> tuple[Passage, list[tuple[str, str, int | None]]]:
    passage, said = Passage(), []
    for n in range(times):
        passage = admission_released(passage, a_record(n + 1), n * 10_000, SENSOR)
        passage, outcomes = sense(passage, QUIET, n * 10_000 + PASSAGE_TIMEOUT_MS, SENSOR)
        said += told(outcomes)
    return passage, said


def test_a_sensor_that_keeps_seeing_nobody_is_doubted_and_annulling_stops() -> None:
    passage, said = _nobody_walks(MOST_SILENT + 2)
    assert [one for one in said if one[0] == "annulled"] == [
        ("annulled", "expired", n + 1) for n in range(MOST_SILENT)
    ]
    assert said[-1] == ("event", "sensor_silent", None)
    assert passage.doubts_sensor


def test_a_body_restores_trust_in_the_sensor() -> None:
    passage, _ = _nobody_walks(MOST_SILENT)
    passage, _ = sense(admission_released(passage, A, 100_000, SENSOR), Sensed(bodies=1), 100_001, SENSOR)
    assert not passage.doubts_sensor
    passage = admission_released(passage, B, 200_000, SENSOR)
    _, outcomes = sense(passage, QUIET, 200_000 + PASSAGE_TIMEOUT_MS, SENSOR)
    assert told(outcomes) == [("annulled", "expired", 2)]


def test_a_blocked_sensor_annuls_nobody_and_is_reported_once() -> None:
    passage, outcomes = sense(admitted(A), Sensed(blocked=True), 0, SENSOR)
    assert told(outcomes) == [("event", "sensor_silent", None)]
    passage, outcomes = sense(passage, Sensed(blocked=True), PASSAGE_TIMEOUT_MS, SENSOR)
    assert (passage.awaited, outcomes) == ((), ())


def test_a_fire_frees_the_way_whatever_was_ordered_and_restores_the_order_afterwards() -> None:
    for ordered in (Way.NORMAL, Way.HELD_OPEN, Way.CLOSED):
        burning, outcomes = sense(Passage(ordered=ordered), Sensed(fire=True), 0, SENSOR)
        assert (burning.way, burning.is_open) == (Way.FREE_PASSAGE, True)
        assert told(outcomes) == [("event", "free_passage", None)]
        still, outcomes = sense(burning, Sensed(fire=True), 1, SENSOR)
        assert (still.way, outcomes) == (Way.FREE_PASSAGE, ())
        flickers, outcomes = sense(still, QUIET, FIRE_MS, SENSOR)
        assert (flickers.way, outcomes) == (Way.FREE_PASSAGE, ())
        over, outcomes = sense(flickers, QUIET, FIRE_MS + 1, SENSOR)
        assert over.way is ordered
        assert told(outcomes) == [("event", "free_passage_over", None)]


def test_during_free_passage_nobody_is_annulled_and_no_body_is_an_intruder() -> None:
    burning, _ = sense(admitted(A), Sensed(fire=True), 0, SENSOR)
    _, outcomes = sense(burning, Sensed(fire=True, bodies=5), PASSAGE_TIMEOUT_MS * 2, SENSOR)
    assert outcomes == ()


def test_scans_are_answered_unless_the_gate_is_closed_or_there_is_a_fire() -> None:
    answers = {way: Passage(ordered=way).answers for way in (Way.NORMAL, Way.HELD_OPEN, Way.CLOSED)}
    assert answers == {Way.NORMAL: True, Way.HELD_OPEN: True, Way.CLOSED: False}
    assert not Passage(fire=True).answers


@pytest.mark.parametrize("way", [Way.NORMAL, Way.HELD_OPEN, Way.CLOSED])
@pytest.mark.parametrize("wanted", list(OrderAction))
def test_orders_follow_the_table_and_any_other_is_refused(way: Way, wanted: OrderAction) -> None:
    before = Passage(ordered=way)
    if (way, wanted) not in WAY:
        with pytest.raises(NotAllowed):
            order(before, wanted)
        return
    after, outcomes = order(before, wanted)
    assert after.way is WAY[way, wanted]
    assert [one.record for one in outcomes] == ["event"]


def test_a_walk_ends_once_and_only_from_released() -> None:
    assert {state for state, _ in WALK} == {Walk.RELEASED}
    assert {WALK[Walk.RELEASED, step] for step in PassageStep} == {Walk.PASSED, Walk.EXPIRED}


def test_an_opened_housing_is_reported_once() -> None:
    passage, outcomes = sense(Passage(), Sensed(tamper=True), 0, SENSOR)
    assert told(outcomes) == [("event", "tamper", None)]
    assert sense(passage, Sensed(tamper=True), 1, SENSOR)[1] == ()


def test_a_loose_tamper_contact_is_reported_once_a_minute() -> None:
    passage, said = Passage(), []
    for ms in range(0, TAMPER_QUIET_MS * 2, 500):
        passage, outcomes = sense(passage, Sensed(tamper=ms % 1000 == 0), ms, SENSOR)
        said += told(outcomes)
    assert said == [("event", "tamper", None)] * 2


def test_while_somebody_stands_in_the_barrier_no_admission_expires() -> None:
    passage = admitted(A)
    for ms in range(0, PASSAGE_TIMEOUT_MS + 2_000, 500):
        passage, outcomes = sense(passage, Sensed(covered=True), ms, SENSOR)
        assert outcomes == ()
    _, outcomes = sense(passage, Sensed(bodies=1), PASSAGE_TIMEOUT_MS + 2_000, SENSOR)
    assert told(outcomes) == [("passed", "passed", 1)]


def test_lost_releases_annul_the_latest_admissions() -> None:
    passage, outcomes = releases_lost(admitted(A, B), 1)
    assert passage.awaited == (A,)
    assert told(outcomes) == [("annulled", "not_opened", 2)]
    assert releases_lost(passage, 5)[0].awaited == ()


def test_an_admission_made_while_the_sensor_was_blocked_is_not_annulled_later() -> None:
    passage, _ = sense(admitted(A), Sensed(blocked=True, covered=True), 0, SENSOR)
    _, outcomes = sense(passage, QUIET, PASSAGE_TIMEOUT_MS, SENSOR)
    assert outcomes == ()
