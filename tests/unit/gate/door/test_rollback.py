"""An update and the door: UPDATING stays while it is away, and a rollback is announced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from fleet.release.disk import ReleaseDisk, ReleasePaths
from fleet.release.lifecycle import ReleaseState, rolled_back, staged, tried
from gate.door.rollback import EVERY_MS, LONGEST_SHOWN, NEWS
from gate.ports.screen import Idle, Notice, RolledBack
from tests.doors import Bench, guests


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, feed=guests(9))
    yield bench
    bench.close()


def roll_back(bench: Bench, reason: str, ago: timedelta = timedelta()) -> None:
    then = msgspec.structs.replace(bench.clock.now(), wall=bench.clock.now().wall - ago)
    state = tried(staged(ReleaseState(good="1.0"), "1.1", then), then, 90)
    ReleaseDisk(ReleasePaths(opt=bench.folder, state_dir=bench.folder)).save(rolled_back(state, then, reason))


def test_a_door_that_starts_after_a_rollback_says_so_for_ten_seconds_and_again_later(bench: Bench) -> None:
    roll_back(bench, "The door sees no new frame (none at all), and did before.")
    bench.close()
    bench.start()
    bench.wait(1.2)
    shown = bench.display.screens[-1]
    assert isinstance(shown, RolledBack)
    assert (shown.version, shown.reason) == ("1.1", "The door sees no new frame (none at …")
    assert len(shown.reason) <= LONGEST_SHOWN
    bench.wait(10.2)
    assert isinstance(bench.display.screens[-1], Idle)
    before = len(bench.display.screens)
    bench.clock.monotonic_ms += EVERY_MS
    bench.wait(1.2)
    assert any(isinstance(screen, RolledBack) for screen in bench.display.screens[before:])


def test_yesterdays_rollback_is_no_news(bench: Bench) -> None:
    roll_back(bench, "It ended.", NEWS)
    bench.close()
    bench.start()
    bench.wait(1.2)
    assert not any(isinstance(screen, RolledBack) for screen in bench.display.screens)


@pytest.mark.parametrize("is_updated", [True, False])
def test_a_door_stopped_for_an_update_leaves_updating_on_its_screen(bench: Bench, is_updated: bool) -> None:
    if is_updated:
        (bench.folder / "updating").touch()
    bench.wait(1.2)
    bench.door.close()
    last = bench.display.screens[-1]
    assert (isinstance(last, Notice) and last.word == "updating") is is_updated
