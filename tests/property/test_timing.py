"""The hub's clock as a gate measures it, beside the true one that the test knows."""

from __future__ import annotations

import itertools

from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gate.clock import DRIFT_PPM, drift_ms
from gate.common.value import Value
from gate.rules.model import Measure
from gate.store.link_row import LinkNote
from sync.claims.hub_clock import RECENT_MS, HubClock, measure, restored, uncertainty_at, with_measure
from sync.wire.messages import HubTime

SECOND_US = 1_000_000
YEAR_2026_US = 1_767_225_600_000_000
DELAYS_US = st.integers(0, 5_000) | st.integers(0, 10 * SECOND_US)


class Truth(Value, frozen=True):
    """Two clocks: when the gate's shows 0 the hub's shows `offset_us`; they run `ppm` apart."""

    offset_us: int
    ppm: int

    def hub_us(self, gate_us: int) -> int:
        return self.offset_us + gate_us + gate_us * self.ppm // 1_000_000

    def ask(self, at_us: int, there_us: int, inside_us: int, back_us: int) -> Measure | None:
        """One question; all times by the gate's clock."""
        received, sent = at_us + there_us, at_us + there_us + inside_us
        hub = HubTime(id=1, received_us=self.hub_us(received), sent_us=self.hub_us(sent))
        return measure("boot-1", at_us // 1000, (sent + back_us) // 1000, hub)

    def assert_within(self, one: Measure, at_ms: int) -> None:
        said_ms = one.hub_ms + at_ms - one.monotonic_ms
        wrong_us = abs(self.hub_us(at_ms * 1000) - said_ms * 1000)
        assert wrong_us <= uncertainty_at(one, at_ms) * 1000


TRUTHS = st.builds(
    Truth,
    offset_us=st.integers(YEAR_2026_US, YEAR_2026_US + 10**15),
    ppm=st.integers(-DRIFT_PPM, DRIFT_PPM),
)
ASKED = st.tuples(st.integers(0, 30 * SECOND_US), DELAYS_US, DELAYS_US, DELAYS_US)


@given(TRUTHS, ASKED, st.integers(0, 3_600_000))
@example(Truth(offset_us=YEAR_2026_US, ppm=DRIFT_PPM), (0, 1_000 * SECOND_US, 0, 0), 0)
@example(Truth(offset_us=YEAR_2026_US, ppm=DRIFT_PPM), (0, 0, 0, 1_000 * SECOND_US), 0)
def test_the_hubs_clock_is_within_the_uncertainty_however_lopsided_the_trip(
    truth: Truth, asked: tuple[int, int, int, int], later_ms: int
) -> None:
    at_us, there_us, inside_us, back_us = asked
    one = truth.ask(at_us, there_us, inside_us, back_us)
    assert one is not None
    truth.assert_within(one, one.monotonic_ms)
    truth.assert_within(one, one.monotonic_ms + later_ms)
    assert (
        one.uncertainty_ms
        <= (there_us + back_us) / 2000 + drift_ms((there_us + inside_us + back_us) // 1000) + 5
    )


def test_parts_of_a_millisecond_are_within_the_uncertainty() -> None:
    parts_us = range(0, 1000, 166)
    for offset_us, at_us, *delays_us in itertools.product(parts_us, repeat=5):
        truth = Truth(offset_us=YEAR_2026_US + offset_us, ppm=0)
        one = truth.ask(at_us, *delays_us)
        assert one is not None
        truth.assert_within(one, one.monotonic_ms)


@given(TRUTHS, st.lists(ASKED, min_size=1, max_size=20))
def test_the_best_of_the_last_minute_is_kept_and_is_never_wrong(
    truth: Truth, asked: list[tuple[int, int, int, int]]
) -> None:
    timing, at_us, known = HubClock(), 0, list[Measure]()
    for pause_us, there_us, inside_us, back_us in asked:
        at_us += pause_us
        one = truth.ask(at_us, there_us, inside_us, back_us)
        assert one is not None
        at_us += there_us + inside_us + back_us
        timing = with_measure(timing, one)
        known = [k for k in [*known, one] if one.monotonic_ms - k.monotonic_ms <= RECENT_MS]
        best = timing.best
        assert best is not None
        truth.assert_within(best, one.monotonic_ms)
        sure = [uncertainty_at(k, one.monotonic_ms) for k in known]
        assert uncertainty_at(best, one.monotonic_ms) == min(sure)


@given(TRUTHS, st.integers(1, 10**7), st.integers(0, 1000))
def test_a_hub_whose_clock_is_set_is_followed_once_it_has_said_so_twice(
    truth: Truth, step_ms: int, at_ms: int
) -> None:
    before = truth.ask(at_ms * 1000, 1000, 0, 1000)
    moved = replace(truth, offset_us=truth.offset_us + step_ms * 1000)
    after = moved.ask(at_ms * 1000 + SECOND_US, 1000, 0, 1000)
    again = moved.ask(at_ms * 1000 + 2 * SECOND_US, 1000, 0, 1000)
    back = truth.ask(at_ms * 1000 + 2 * SECOND_US, 1000, 0, 1000)
    assert before is not None
    assert after is not None
    assert again is not None
    assert back is not None
    assume(step_ms > before.uncertainty_ms + after.uncertainty_ms + 2)
    once = with_measure(with_measure(HubClock(), before), after)
    assert once.best == before  # wrong for one moment: no gate moves
    followed = with_measure(once, again).best
    assert followed is not None
    moved.assert_within(followed, again.monotonic_ms)
    stayed = with_measure(once, back).best
    assert stayed is not None
    truth.assert_within(stayed, back.monotonic_ms)


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.integers(), st.integers())
def test_nonsense_is_no_measure(asked_ms: int, way_ms: int, received_us: int, sent_us: int) -> None:
    one = measure(
        "boot-1", asked_ms, asked_ms + way_ms, HubTime(id=1, received_us=received_us, sent_us=sent_us)
    )
    believable = 1_577_836_800_000_000 <= received_us <= sent_us < 7_258_118_400_000_000
    longer = sent_us - received_us > (way_ms + 1) * 1000 * 1.0001 + 1
    assert (one is None) == (not believable or longer)


def test_an_answer_before_its_question_is_no_measure() -> None:
    assert measure("boot-1", 10, 9, HubTime(id=1, received_us=YEAR_2026_US, sent_us=YEAR_2026_US)) is None


def a_measure(boot_id: str, monotonic_ms: int, uncertainty_ms: int) -> Measure:
    return Measure(
        boot_id=boot_id, monotonic_ms=monotonic_ms, hub_ms=1_800_000_000_000, uncertainty_ms=uncertainty_ms
    )


def test_any_measure_of_this_boot_replaces_one_of_another() -> None:
    old, new = a_measure("boot-1", 5_000, 1), a_measure("boot-2", 10, 400)
    assert with_measure(HubClock(best=old), new).best == new


def test_a_restart_keeps_the_measure_and_a_new_boot_the_time_of_the_last_beat() -> None:
    known = a_measure("boot-1", 5_000, 1)
    note = LinkNote(
        connected=False,
        hub_heard=False,
        since_ms=0,
        beat_ms=65_000,
        boot_id="boot-1",
        epoch=None,
        acked_seq=0,
        measure=known,
    )
    assert restored(note, "boot-1").best == known
    later = restored(note, "boot-2").best
    assert later is not None
    assert (later.boot_id, later.hub_ms) == ("boot-1", known.hub_ms + 60_000)
    assert restored(None, "boot-1").best is None
