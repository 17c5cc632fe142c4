"""Each way in which a release may be broken is noticed by itself, undone, and named; one that works is kept.

Real files, real processes, the gate's own probes; only the service manager is not systemd.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.release.disk import ReleaseDisk, ReleasePaths
from fleet.release.gate_probes import GateProbes
from fleet.release.lifecycle import Phase, ReleaseState, Update, staged
from fleet.release.manifest import MANIFEST, encode_manifest
from fleet.release.trial import NotTried, Trial
from fleet.release.unit_probes import UnitProbes
from gate.clock import Machine, SystemClock
from tests.bundles import a_manifest_of
from tests.factories import NOW
from tests.integration.fleet.process_services import ProcessServices
from tests.patience import PATIENCE_S, until

SCRIPT = Path(__file__).with_name("a_release.py")
PROBATION_S = 6
"""By the trial's clock, which goes on by a second with each look."""

BROKEN = {
    "hangs at start": "did not get ready",
    "never ready": "did not get ready",
    "crash loop": "ended and was started again",
    "no frames": "The door sees no new frame (none at all), and did before",
    "decides wrongly": "was answered with admit malformed",
    "records nothing": "was answered with deny malformed, and not recorded",
    "cannot scan": "was not decided: its answer cannot be read",
    "stops acknowledging": "The hub does not acknowledge the scan of the self-test, and did before",
    "leaks": "keeps taking memory",
    "bad schema": "The door says nothing of itself",
}
REFUSED = {
    "cannot use the configuration": "It cannot use this gate's configuration: gate.toml: camera: unknown key",
    "crashes at once": "Its doctor ended with",
    "decides the night otherwise": "It would decide 1 recorded scans otherwise, first number 3: was admit",
}


class ABed:
    """A gate that runs 1.0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = ReleaseDisk(
            ReleasePaths(opt=folder / "opt", state_dir=folder / "state", runtime=folder / "run")
        )
        (folder / "run").mkdir()
        (folder / "journal").touch()
        self.seconds = 0
        self.services = ProcessServices(folder, PATIENCE_S)

    def run_first(self, wrong: str = "-") -> None:
        self.put("1.0", wrong)
        self.disk.save(ReleaseState(good="1.0"))
        self.disk.point("1.0")
        self.services.start()

    def put(self, version: str, wrong: str) -> None:
        folder = self.disk.folder(version)
        (folder / "bin").mkdir(parents=True)
        (folder / MANIFEST).write_bytes(encode_manifest(a_manifest_of({}, version)))
        program = folder / "bin" / "maguey-gate"
        words = f"{sys.executable} -S -E {SCRIPT} {self.folder} {version} '{wrong}'"
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)

    def update(self, wrong: str, *, new_rules: bool = False, quiet_ms: int | None = None) -> ReleaseState:
        """Stage 2.0 and try it.

        :param quiet_ms: wait for so long a pause between guests.
        """
        self.put("2.0", wrong)
        clock = SystemClock(lambda: Machine(wall=NOW, monotonic_ms=self.seconds * 1000, boot_id="boot"))
        self.disk.save(staged(self.disk.load(), "2.0", clock.now()))
        probes = GateProbes(
            lambda version: self.disk.folder(version) / "bin" / "maguey-gate",
            UnitProbes(self.services.units, 10**15),
            SystemClock(),
            live=self.folder / "run" / "door.json",
            picture=self.folder / "picture.png",
            old="1.0",
            new_rules=new_rules,
            quiet_ms=quiet_ms or 0,
        )
        trial = Trial(
            files=self.disk,
            services=self.services,
            probes=probes,
            clock=clock,
            wait=self.wait,
            allowance_s=PATIENCE_S if wrong == "-" else 0,
        )
        return trial.run("2.0", PROBATION_S, insist=quiet_ms is None)

    def wait(self, _seconds: float) -> None:
        """Until the door has turned, or is gone."""
        self.seconds += 1
        before = self.told()
        until(lambda: self.told() != before or not self.services.is_running)

    def told(self) -> str:
        return (self.folder / "run" / "door.json").read_text()

    def runs(self, version: str) -> None:
        """Not that it does so at once: what was stopped may just have written its last."""
        until(lambda: f'"version": "{version}"' in self.told(), self.told)
        assert self.disk.current() == version
        assert self.services.is_running


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[ABed]:
    bed = ABed(tmp_path)
    try:
        yield bed
    finally:
        bed.services.stop()


def last(state: ReleaseState) -> Update:
    assert state.update is not None
    return state.update


def test_a_release_that_works_is_kept(bed: ABed) -> None:
    bed.run_first()
    state = bed.update("-")
    assert (last(state).phase, state.good) == (Phase.GOOD, "2.0")
    bed.runs("2.0")
    assert (bed.folder / "journal").read_text() == "2.0\n", "one test scan, by the new release"


@pytest.mark.parametrize("wrong", BROKEN)
def test_a_broken_release_is_rolled_back_and_why_is_said(wrong: str, bed: ABed) -> None:
    bed.run_first()
    if wrong in ("hangs at start", "never ready"):
        bed.services = _impatient(bed)
    state = bed.update(wrong)
    assert (last(state).phase, state.good) == (Phase.ROLLED_BACK, "1.0")
    assert BROKEN[wrong] in last(state).reason
    assert bed.disk.load() == state
    bed.runs("1.0")


def _impatient(bed: ABed) -> ProcessServices:
    """For a release that is never ready it does not matter for how long one waits."""
    bed.services.stop()

    class Impatient(ProcessServices):
        def start(self) -> None:
            self._start_s = 0.5 if bed.disk.current() == "2.0" else PATIENCE_S
            super().start()

    services = Impatient(bed.folder, PATIENCE_S)
    services.start()
    return services


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_release_that_does_not_suit_this_gate_is_not_even_tried(wrong: str, bed: ABed) -> None:
    bed.run_first()
    with pytest.raises(NotTried, match=r"2\.0 was not tried; 1\.0 runs on"):
        bed.update(wrong)
    update = last(bed.disk.load())
    assert update.phase is Phase.STAGED
    assert REFUSED[wrong] in update.reason
    bed.runs("1.0")


def test_new_rules_are_tried_when_they_are_meant(bed: ABed) -> None:
    bed.run_first()
    state = bed.update("decides the night otherwise", new_rules=True)
    assert last(state).phase is Phase.GOOD


@pytest.mark.parametrize("wrong", ["no frames", "stops acknowledging"])
def test_what_did_not_work_before_is_not_asked_of_the_new_release(wrong: str, bed: ABed) -> None:
    bed.run_first(wrong)
    assert last(bed.update(wrong)).phase is Phase.GOOD


def test_while_guests_come_in_without_a_pause_nothing_is_stopped(bed: ABed) -> None:
    bed.run_first("busy")
    with pytest.raises(NotTried, match="Guests came in without a pause"):
        bed.update("-", quiet_ms=round(PATIENCE_S * 1000))
    bed.runs("1.0")


def test_between_guests_is_when_nobody_was_answered_for_a_moment(bed: ABed) -> None:
    bed.run_first()
    assert last(bed.update("-", quiet_ms=50)).phase is Phase.GOOD
