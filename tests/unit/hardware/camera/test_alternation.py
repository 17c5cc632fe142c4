"""Two exposures in turn, on a camera that follows late and reports what it did."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.camera.alternation import LONGEST, ROW
from hardware.camera.exposure import controls_for, fixed_exposure
from hardware.camera.pi_camera import PiCamera
from hardware.camera.spec import CameraSpec
from tests.unit.hardware.late_camera import BUFFERS, PERIOD_NS, Completed, LateCamera

BRIGHT = fixed_exposure(mains_hz=60, half_periods=1, gain=1, fps=15)
DIM = fixed_exposure(mains_hz=60, half_periods=3, gain=8, fps=15)
FIXED = controls_for(mains_hz=60, half_periods=1, gain=1, focus=None, fps=15)
LAGS = range(4)
WARM_UP = BUFFERS + 4
"""Frames until the first wish is granted, at a lag of 3."""

GAPS = st.lists(st.integers(0, 9), min_size=12, max_size=60)
"""How many frames go by before each time that the door asks."""


SPEC = CameraSpec(driver="picamera2", fps=15, controls=FIXED, exposures=(BRIGHT, DIM))


class _Door:
    """A door with a camera of this kind."""

    def __init__(self, spec: CameraSpec = SPEC, **kind: Any) -> None:
        driver = type("Kind", (LateCamera,), kind)
        self.camera = PiCamera(spec, driver)
        self.driver = LateCamera.made[-1]

    def grabs(self, gaps: Iterable[int]) -> Iterator[int]:
        """The exposure of each frame that the door gets, after letting so many go by; checked against what
        the sensor did."""
        for gap in gaps:
            self.driver.run(gap)
            frame = self.camera.grab(1.0)
            assert frame is not None
            assert frame.taken_at is not None
            did = self.driver.exposed_with[round(frame.taken_at * 1e9 / PERIOD_NS)]
            assert did == ((BRIGHT, DIM)[frame.exposure].time_us, (BRIGHT, DIM)[frame.exposure].gain)
            yield frame.exposure


def _warm(**kind: Any) -> _Door:
    door = _Door(**kind)
    door.driver.run(WARM_UP)
    return door


def _repeats(exposures: list[int]) -> int:
    return sum(one == other for one, other in itertools.pairwise(exposures))


def _least_of_eight(exposures: list[int]) -> int:
    """How often the rarer exposure appears among any 8 frames in a row."""
    eights = [exposures[at : at + 8] for at in range(len(exposures) - 7)]
    return min(min(eight.count(0), eight.count(1)) for eight in eights)


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("gap", range(10))
def test_however_late_the_sensor_and_however_rarely_the_door_asks_exposures_alternate(
    lag: int, gap: int
) -> None:
    assert _repeats(list(_warm(lag=lag).grabs([gap] * 40))) == 0


@given(st.sampled_from(LAGS), GAPS)
def test_exposures_alternate_for_a_door_that_asks_whenever_it_likes(lag: int, gaps: list[int]) -> None:
    assert _repeats(list(_warm(lag=lag).grabs(gaps))) == 0


@given(st.sampled_from(LAGS), GAPS)
def test_frames_always_completed_together_do_not_spoil_the_turns(lag: int, gaps: list[int]) -> None:
    assert _repeats(list(_warm(lag=lag, at_once=(2,)).grabs(gaps))) == 0


@given(st.sampled_from(LAGS), GAPS, st.lists(st.integers(1, 3), min_size=1))
def test_frames_completed_together_cost_a_repeat_each(lag: int, gaps: list[int], at_once: list[int]) -> None:
    """picamera2 passes a wish on with the first of them only."""
    door = _warm(lag=lag, at_once=at_once)
    exposures = list(door.grabs(gaps))
    assert _repeats(exposures) <= sum(frames - 1 for frames in door.driver.rounds)


@given(st.sampled_from(LAGS), GAPS, st.sets(st.integers(0, 400), max_size=60))
def test_a_lost_frame_costs_at_most_two_repeats(lag: int, gaps: list[int], loses: set[int]) -> None:
    door = _warm(lag=lag, loses=loses)
    exposures = list(door.grabs(gaps))
    assert _repeats(exposures) <= 2 * len([lost for lost in loses if lost < door.driver.number])


@given(st.sampled_from(LAGS), st.lists(st.integers(9, 30), min_size=1, max_size=12))
def test_with_single_lost_frames_any_eight_have_three_of_each_exposure(lag: int, spaces: list[int]) -> None:
    """For a door that takes every frame: a camera that loses at most one of nine."""
    loses = set(itertools.accumulate(spaces, initial=WARM_UP))
    exposures = list(_warm(lag=lag, loses=loses).grabs([0] * (max(loses) + 20)))
    assert _least_of_eight(exposures) >= 3


@given(st.sampled_from(LAGS), st.lists(st.integers(0, 3), min_size=8, max_size=60))
def test_no_frame_is_passed_over_by_a_door_that_takes_every_one(lag: int, losses: list[int]) -> None:
    loses = set(itertools.accumulate(losses, lambda at, more: at + more + 1))
    door = _warm(lag=lag, loses=loses)
    before = door.driver.number
    taken = len(list(door.grabs([0] * 80)))
    assert taken == len(set(range(before, door.driver.number)) - loses)


@given(st.sampled_from(LAGS), GAPS)
def test_at_most_one_frame_is_passed_over_for_two_periods_at_most(lag: int, gaps: list[int]) -> None:
    door = _warm(lag=lag)
    door.driver.waits.clear()
    for _ in door.grabs(gaps):
        assert door.driver.waits[0] == 1.0
        assert door.driver.waits[1:] in ([], [pytest.approx(2 / 15)])
        door.driver.waits.clear()


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("acts_every", [2, 3, 4])
@pytest.mark.parametrize("gap", range(10))
def test_a_camera_that_acts_on_every_second_wish_only_gives_both_exposures_too(
    lag: int, acts_every: int, gap: int
) -> None:
    """As libcamera does above 30 frames a second."""
    for phase in range(acts_every):
        door = _Door(lag=lag, acts_every=acts_every)
        door.driver.run(4 * ROW + phase)
        assert _least_of_eight(list(door.grabs([gap] * 40))) >= 2


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("lost", [{0}, {0, 1}, {0, 2}, {0, 1, 2}])
@pytest.mark.parametrize("of", [2, 3, 4, 5])
def test_a_camera_that_loses_frames_in_time_with_its_buffers_gives_both_exposures_too(
    lag: int, lost: set[int], of: int
) -> None:
    if len({number % of for number in lost}) == of:
        return
    door = _Door(lag=lag, loses={number for number in range(2000) if number % of in lost})
    door.driver.run(8 * ROW)
    assert _least_of_eight(list(door.grabs([0] * 200))) >= 2


def test_the_first_frames_have_the_fixed_exposure_until_the_camera_follows() -> None:
    assert list(_Door(lag=2).grabs([0] * 9)) == [0, 0, 0, 0, 0, 0, 1, 0, 1]


def test_a_camera_that_does_not_follow_says_so_once_keeps_its_exposure_and_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = _Door(deaf=True)
    assert set(door.grabs([1] * 100)) == {0}
    assert len(door.driver.waits) == 100
    assert door.driver.number > ROW * LONGEST.bit_length()
    assert [record.getMessage() for record in caplog.records] == [
        "camera runs without controls that it does not have: AeEnable, AfMode, AwbEnable",
        "camera keeps one exposure for all frames: it does not follow, whatever it is asked for",
    ]
    assert door.driver._set["ExposureTime"] == BRIGHT.time_us


def test_a_camera_that_does_not_say_its_exposure_keeps_it_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = _Door(says=())
    door.camera.grab(1.0)
    door.driver.run(20)
    assert set(door.driver.exposed_with) == {(BRIGHT.time_us, BRIGHT.gain)}
    assert [record.getMessage() for record in caplog.records][1:] == [
        "camera keeps one exposure for all frames: its frames do not say with which exposure they were taken"
    ]


@pytest.mark.parametrize("kind", [{"deaf": True}, {"says": ()}])
def test_a_camera_whose_turns_end_is_asked_for_the_exposure_of_a_door_without_turns(
    kind: dict[str, Any],
) -> None:
    fixed = controls_for(mains_hz=60, half_periods=2, gain=4, focus=None, fps=15)
    door = _Door(CameraSpec(driver="picamera2", fps=15, controls=fixed, exposures=(BRIGHT, DIM)), **kind)
    door.driver.run(100)
    assert {name: door.driver._set[name] for name in ("ExposureTime", "AnalogueGain")} == {
        "ExposureTime": fixed["ExposureTime"],
        "AnalogueGain": 4,
    }


@pytest.mark.parametrize("value", [None, "x", float("nan"), -1])
@pytest.mark.parametrize("field", ["ExposureTime", "AnalogueGain"])
def test_metadata_that_make_no_sense_end_no_thread(field: str, value: object) -> None:
    door = _Door()
    door.camera.grab(1.0)
    assert door.driver.pre_callback is not None
    door.driver.pre_callback(Completed({"ExposureTime": 8333, "AnalogueGain": 1.0, field: value}))
    assert door.camera.grab(1.0) is not None


def test_a_camera_without_gain_alternates_by_its_exposure_time() -> None:
    names = ("FrameDurationLimits", "ExposureTime")
    door = _Door(camera_controls=dict.fromkeys(names, (0, 1, None)), says=("ExposureTime",))
    exposures = []
    for _ in range(40):
        frame = door.camera.grab(1.0)
        assert frame is not None
        exposures.append(frame.exposure)
    assert _repeats(exposures[WARM_UP:]) == 0


def test_with_one_exposure_nothing_is_asked_for_and_no_frame_is_passed_over() -> None:
    door = _Door(CameraSpec(driver="picamera2", fps=15, controls=FIXED))
    assert door.driver.pre_callback is None
    assert set(door.grabs([1] * 20)) == {0}
    assert len(door.driver.waits) == 20
