"""An update killed at every step that changes a file, and what puts it right killed too, by SIGKILL."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import pytest

from fleet.release import disk as disk_module
from fleet.release import trial as trial_module
from fleet.release.disk import ReleaseDisk, ReleasePaths
from fleet.release.judgement import Complaint
from fleet.release.lifecycle import Phase, ReleaseState, staged, wanted
from fleet.release.manifest import MANIFEST, encode_manifest
from fleet.release.trial import Trial, recover, run_wanted, set_right_at_boot
from gate.clock import Machine, SystemClock
from tests.bundles import a_manifest_of
from tests.deaths import Doom
from tests.factories import NOW
from tests.lean import lean

STEPS = {disk_module.__file__, trial_module.__file__}


class FileServices:
    """A file with the version that runs: a kill of the updater leaves it as it is, as it does services."""

    def __init__(self, disk: ReleaseDisk) -> None:
        self._disk, self.file = disk, disk.paths.runtime / "running"

    def start(self) -> None:
        if not self.file.exists():
            self.file.write_text(self._disk.current())

    def stop(self) -> None:
        self.file.unlink(missing_ok=True)


class PlainProbes:
    """Judges by the version: 1.0 works, 2.0 does not."""

    def __init__(self, services: FileServices) -> None:
        self._services = services

    def refusal(self, _version: str) -> str:
        return ""

    def is_quiet(self) -> bool:
        return True

    def note_before(self, version: str) -> None:
        assert self._services.file.read_text() != version

    def look(self, _share: float) -> Complaint:
        return Complaint(fatal="it ended") if self._services.file.read_text() == "2.0" else Complaint()


def a_clock(boot: str) -> SystemClock:
    ticks = itertools.count(1000, 1000)
    return SystemClock(lambda: Machine(wall=NOW, monotonic_ms=next(ticks), boot_id=boot))


def a_disk(folder: Path) -> ReleaseDisk:
    return ReleaseDisk(ReleasePaths(opt=folder / "opt", state_dir=folder / "state", runtime=folder / "run"))


def prepare(folder: Path, version: str) -> None:
    disk = a_disk(folder)
    for number, name in enumerate(("0.7", "0.8", "0.9", version)):
        disk.folder(name).mkdir(parents=True)
        (disk.folder(name) / MANIFEST).write_bytes(encode_manifest(a_manifest_of({}, name)))
        os.utime(disk.folder(name), (number, number))
    disk.paths.runtime.mkdir()
    disk.save(staged(ReleaseState(good="0.9"), version, a_clock("boot").now()))
    disk.point("0.9")
    FileServices(disk).start()


def update(folder: Path) -> None:
    disk = a_disk(folder)
    services = FileServices(disk)
    trial = Trial(
        files=disk,
        services=services,
        probes=PlainProbes(services),
        clock=a_clock("boot"),
        wait=lambda _seconds: None,
    )
    with disk.alone():
        update = disk.load().update
        assert update is not None
        trial.run(update.version, 3)


def settle(folder: Path) -> None:
    disk = a_disk(folder)
    with disk.alone():
        run_wanted(disk, FileServices(disk), recover(disk, a_clock("boot")))


def boot(folder: Path) -> None:
    disk = a_disk(folder)
    shutil.rmtree(disk.paths.runtime, ignore_errors=True)  # it is in memory
    disk.paths.runtime.mkdir(exist_ok=True)
    with disk.alone():
        set_right_at_boot(disk, a_clock("another boot"))
    FileServices(disk).start()


def is_a_step(code: CodeType) -> bool:
    return code.co_filename in STEPS


def in_a_process(do: Callable[[Path], None], folder: Path, fatal: int | None) -> list[int]:
    """Do it and be killed before the `fatal`th statement; if None, find where a kill matters."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            doom = Doom(folder, is_a_step, fatal)
            sys.settrace(doom.called)
            do(folder)
            sys.settrace(None)
            os.write(writing, json.dumps(doom.different).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        told = said.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or told, "it failed by itself"
    different: list[int] = json.loads(told or "[]")
    return different


def check(folder: Path, version: str, where: str) -> None:
    disk = a_disk(folder)
    state = disk.load()
    assert state.phase in {Phase.GOOD, Phase.ROLLED_BACK, Phase.STAGED}, where
    assert disk.current() == wanted(state) == state.good, where
    assert FileServices(disk).file.read_text() == state.good, where
    assert state.good in ({"0.9", "1.0"} if version == "1.0" else {"0.9"}), where
    assert {"0.9", version} <= set(disk.installed()), where
    assert not disk.paths.updating.exists(), where


def killed_everywhere(tmp_path: Path, version: str) -> tuple[int, int]:
    """At how many places the update was killed, and what put it right."""
    prepare(tmp_path / "ready", version)
    places = in_a_process(
        update, Path(shutil.copytree(tmp_path / "ready", tmp_path / "0", symlinks=True)), None
    )
    second = 0
    for number, fatal in enumerate(places):
        killed = Path(shutil.copytree(tmp_path / "ready", tmp_path / f"{fatal}", symlinks=True))
        in_a_process(update, killed, fatal)
        for cure in (settle, boot):
            looked = Path(shutil.copytree(killed, tmp_path / "looked at", symlinks=True))
            again = in_a_process(cure, looked, None)
            check(looked, version, f"{cure.__name__} after statement {fatal}")
            shutil.rmtree(looked)
            once_more = Path(shutil.copytree(killed, tmp_path / "once more", symlinks=True))
            in_a_process(cure, once_more, again[number % len(again)])
            cure(once_more)
            check(once_more, version, f"{cure.__name__} twice after statement {fatal}")
            shutil.rmtree(once_more)
            second += 1
        shutil.rmtree(killed)
    return len(places), second


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_an_update_killed_at_any_step_and_then_again_leaves_one_working_release(
    tmp_path: Path, version: str
) -> None:
    places, second = lean(killed_everywhere, tmp_path, version)
    assert places > 8
    assert second == 2 * places
