"""A machine and its releases, killed and cut off anywhere: one release is current, and it is one that works.

Kills fall between any two changes of disk, link and services, in the update itself and in what puts it right.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.release.judgement import Complaint
from fleet.release.lifecycle import (
    STEPS,
    LifecycleError,
    Phase,
    ReleaseState,
    installed_first,
    staged,
    wanted,
)
from fleet.release.services import ServiceError
from fleet.release.trial import NotTried, Trial, recover, run_wanted, set_right_at_boot
from gate.rules.model import Measure, Now

Nature = Literal[
    "works", "late", "crashes", "hangs", "never ready", "does not start", "refuses", "breaks the probe"
]
NATURES: tuple[Nature, ...] = (
    "works", "late", "crashes", "hangs", "never ready", "does not start", "refuses", "breaks the probe",
)  # fmt: skip
WORKING = {"works", "late"}
NOBODY = 1_000_000
"""A kill after so many changes does not happen."""


class KilledError(BaseException):
    """The process, or the machine, is gone."""


class World:
    """A machine in memory: what is on its disk, and what a power cut ends."""

    def __init__(self) -> None:
        self.disk = msgspec.json.encode(ReleaseState())
        self.link = ""
        self.running = ""
        self.trusted = ""
        self.boot, self.ms = 1, 0
        self.natures: dict[str, Nature] = {}
        self.kill_in = NOBODY
        self.sign = False
        self.is_off = False

    def change(self, do: Callable[[], None]) -> None:
        if self.kill_in == 0:
            raise KilledError
        self.kill_in -= 1
        self.ms += 10
        do()

    # ReleaseFiles

    def load(self) -> ReleaseState:
        return msgspec.json.decode(self.disk, type=ReleaseState)

    def save(self, state: ReleaseState) -> None:
        self.change(lambda: setattr(self, "disk", msgspec.json.encode(state)))

    def current(self) -> str:
        return self.link

    def point(self, version: str) -> None:
        self.change(lambda: setattr(self, "link", version))

    def trust(self, version: str) -> None:
        self.change(lambda: setattr(self, "trusted", version))

    def leave_sign(self, *, on: bool) -> None:
        self.change(lambda: setattr(self, "sign", on))

    def prune(self, needed: Collection[str]) -> None:
        assert {self.link, self.load().good, self.trusted} <= set(needed)

    # Services

    def start(self) -> None:
        if self.running:
            return
        if self.natures[self.link] == "does not start":
            raise ServiceError("start failed")
        self.change(lambda: setattr(self, "running", self.link))

    def stop(self) -> None:
        if self.running and self.natures[self.running] == "hangs":
            self.change(lambda: setattr(self, "running", ""))
            raise ServiceError("stop took too long, systemd killed it")
        self.change(lambda: setattr(self, "running", ""))

    # Probes; they look at what runs

    def refusal(self, version: str) -> str:
        return "it does not know a setting" if self.natures[version] == "refuses" else ""

    def is_quiet(self) -> bool:
        return True

    def note_before(self, version: str) -> None:
        assert version != self.running

    def look(self, share: float) -> Complaint:
        match self.natures[self.running]:
            case "crashes" if share > 0.5:
                return Complaint(fatal="it ended")
            case "hangs" | "never ready":
                return Complaint(missing="not ready")
            case "late" if share < 1.2:
                return Complaint(missing="no frame yet")
            case "breaks the probe":
                raise KeyError("what no probe expects")
        return Complaint()

    # Clock

    def now(self) -> Now:
        wall = datetime(2026, 7, 31, tzinfo=UTC) + timedelta(milliseconds=self.ms)
        return Now(wall=wall, monotonic_ms=self.ms, boot_id=f"boot {self.boot}")

    def learn(self, measure: Measure | None) -> None:
        raise AssertionError(measure)

    # What happens to it

    def wait(self, seconds: float) -> None:
        if self.kill_in == 0:
            raise KilledError
        self.kill_in -= 1
        self.ms += round(seconds * 1000)

    def power_cut(self) -> None:
        self.boot, self.ms, self.running, self.sign = self.boot + 1, 0, "", False
        self.is_off = True


@dataclasses.dataclass(frozen=True)
class Night:
    """One update: what the release is like, and after how many changes it is killed; then the same of what
    puts it right."""

    nature: Nature
    kill_in: int
    power: bool
    again: tuple[tuple[int, bool], ...]


KILLS = st.integers(0, 8) | st.integers(0, 130) | st.just(NOBODY)
NIGHTS = st.lists(
    st.builds(
        Night,
        st.sampled_from(NATURES),
        KILLS,
        st.booleans(),
        st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=4,
)


def with_a_first_release() -> World:
    world = World()
    world.natures["0"] = "works"
    world.save(installed_first(staged(world.load(), "0", world.now()), world.now()))
    world.point("0")
    world.trust("0")
    world.start()
    return world


def put_right(world: World) -> None:
    """What systemd does: after a kill `maguey-release settle`, after a power cut `boot` and the services."""
    if world.is_off:
        set_right_at_boot(world, world)
        world.start()
        world.is_off = False
    else:
        run_wanted(world, world, recover(world, world))


def updated(world: World, version: str, night: Night) -> None:
    world.natures[version] = night.nature
    world.save(staged(world.load(), version, world.now()))
    trial = Trial(files=world, services=world, probes=world, clock=world, wait=world.wait)

    def go() -> None:
        with contextlib.suppress(NotTried):
            trial.run(version, 10)
        put_right(world)

    killed(world, go, night.kill_in, power=night.power)
    for kill_in, power in night.again:
        killed(world, lambda: put_right(world), kill_in, power=power)
    killed(world, lambda: put_right(world), NOBODY, power=False)


def killed(world: World, go: Callable[[], None], kill_in: int, *, power: bool) -> None:
    """Do it, and be killed after so many changes; a machine that is killed while it boots is off again."""
    world.kill_in = kill_in
    try:
        go()
    except KilledError:
        assert world.natures[world.trusted] in WORKING
        if power or world.is_off:
            world.power_cut()


@given(NIGHTS)
def test_whatever_is_killed_whenever_one_working_release_is_current_and_runs(nights: list[Night]) -> None:
    world, trusted = with_a_first_release(), {"0"}
    for number, night in enumerate(nights, 1):
        before, version = world.load().good, str(number)
        updated(world, version, night)
        state = world.load()
        assert state.phase in {Phase.GOOD, Phase.ROLLED_BACK, Phase.STAGED}, "tried for ever"
        assert world.link == wanted(state) == state.good, "not the one release"
        assert world.running == world.link, "another one runs"
        assert state.good in ({before, version} if night.nature in WORKING else {before}), (
            "a good one was lost"
        )
        trusted |= {version} if state.good == version else set()
        assert state.good in trusted
        assert state.phase is not Phase.ROLLED_BACK or (state.update and state.update.reason)
        assert world.trusted in trusted, "a release that may not work would put things right"
        assert not world.sign


@pytest.mark.parametrize("nature", NATURES)
@pytest.mark.parametrize("power", [False, True])
def test_a_kill_between_any_two_steps_leaves_one_release_that_works(nature: Nature, power: bool) -> None:
    kill_in, was_killed = 0, True
    while was_killed:
        world = with_a_first_release()
        updated(world, "1", Night(nature, kill_in, power, ()))
        state = world.load()
        assert (world.link, world.running) == (state.good, state.good)
        assert state.good == "0" or nature in WORKING
        assert state.phase is not Phase.TRYING
        was_killed, kill_in = kill_in < 150, kill_in + 1


@pytest.mark.parametrize("nature", NATURES)
def test_left_alone_what_works_is_kept_and_what_does_not_is_rolled_back_with_its_reason(
    nature: Nature,
) -> None:
    world = with_a_first_release()
    updated(world, "1", Night(nature, NOBODY, False, ()))
    state = world.load()
    assert state.update is not None
    expected = {"works": Phase.GOOD, "late": Phase.GOOD, "refuses": Phase.STAGED}.get(
        nature, Phase.ROLLED_BACK
    )
    assert (state.update.phase, bool(state.update.reason)) == (expected, expected is not Phase.GOOD)


@given(st.sampled_from([None, *Phase]), st.sampled_from(list(Phase)))
def test_a_step_that_the_table_does_not_have_is_an_error(have: Phase | None, to: Phase) -> None:
    from fleet.release import lifecycle

    now = World().now()
    update = None if have is None else lifecycle.Update(version="1", phase=have, at=now.wall)
    steps: dict[Phase, Callable[[ReleaseState], ReleaseState]] = {
        Phase.STAGED: lambda state: staged(state, "2", now),
        Phase.TRYING: lambda state: lifecycle.tried(state, now, 1),
        Phase.GOOD: lambda state: lifecycle.kept(state, now),
        Phase.ROLLED_BACK: lambda state: lifecycle.rolled_back(state, now, "why"),
    }
    state = ReleaseState(good="0", update=update)
    if to in STEPS[have] and (have, to) != (Phase.STAGED, Phase.GOOD):
        assert steps[to](state).phase is to
    else:
        with pytest.raises(LifecycleError):
            steps[to](state)
