"""A bundle becomes a release beside the others, with real Python and pip, or nothing changes."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fleet.release import stage as staging
from fleet.release.disk import RELEASES_KEPT, ReleaseBusy, ReleaseDisk, ReleasePaths
from fleet.release.environment import InstallFailed
from fleet.release.lifecycle import Phase, ReleaseState
from fleet.release.manifest import MANIFEST, BundleRefused
from fleet.release.stage import Host, note_staged, stage_bundle, this_host
from gate.clock import SystemClock
from tests.bundles import PYTHON, a_bundle, key_line, pip_wheel

WRONG_HASH = "maguey-gate==1.0 --hash=sha256:" + "0" * 64
HERE = Host(python=PYTHON, machine="x86_64")


def a_disk(folder: Path) -> ReleaseDisk:
    paths = ReleasePaths(
        opt=folder / "opt", state_dir=folder / "state", runtime=folder / "run", key=folder / "release-key.pub"
    )
    paths.key.write_text(key_line())
    return ReleaseDisk(paths)


def staged_here(disk: ReleaseDisk, bundle: Path, host: Host = HERE) -> ReleaseState:
    with disk.alone():
        return stage_bundle(disk, bundle, SystemClock(), host)


def tree(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def test_a_bundle_becomes_a_release_that_runs_from_where_it_stands(tmp_path: Path) -> None:
    disk = a_disk(tmp_path)
    (tmp_path / "opt/releases/.1.0.new/half").mkdir(parents=True)  # an earlier run that lost power
    state = staged_here(disk, a_bundle(tmp_path, more=pip_wheel()))
    assert state.update is not None
    assert (state.update.version, state.phase, state.good) == ("1.0", Phase.STAGED, "")
    folder = disk.folder("1.0")
    said = subprocess.run([folder / "bin/maguey-release"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(folder)
    assert [path.name for path in disk.paths.releases.iterdir()] == ["1.0"]
    assert (folder / "bundle/systemd/maguey-gate.service").is_file()
    assert not (folder / "bundle/wheels").exists()
    programs = [path for path in (folder / "bin").iterdir() if not path.is_symlink()]
    assert not any(b".1.0.new" in path.read_bytes() for path in programs)
    before = tree(tmp_path / "opt") + tree(tmp_path / "state")
    assert staged_here(disk, tmp_path / "1.0.tar") == state
    assert tree(tmp_path / "opt") + tree(tmp_path / "state") == before, "a second run changed something"
    with pytest.raises(BundleRefused, match="Another build of"):
        staged_here(disk, a_bundle(tmp_path, kind="gate", lock=WRONG_HASH))


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"machine": "aarch64"}, "for aarch64, and this machine is x86_64"),
        ({"python": "cp39"}, "for Python 3.9, and this machine has 3"),
    ],
)
def test_what_is_not_for_this_machine_is_refused(others: dict[str, Any], said: str, tmp_path: Path) -> None:
    disk = a_disk(tmp_path)
    with pytest.raises(BundleRefused, match=said):
        staged_here(disk, a_bundle(tmp_path, **others))
    assert not disk.paths.releases.exists()


def test_a_package_that_does_not_have_the_signed_hash_is_not_installed(tmp_path: Path) -> None:
    disk = a_disk(tmp_path)
    with pytest.raises(InstallFailed, match="HASH"):
        staged_here(disk, a_bundle(tmp_path, more=pip_wheel(), lock=WRONG_HASH))
    assert list(disk.paths.releases.iterdir()) == []
    assert disk.load() == ReleaseState()


def test_a_full_disk_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "_SPARE", 2**60)
    disk = a_disk(tmp_path)
    with pytest.raises(InstallFailed, match="MiB are free, and the release needs"):
        staged_here(disk, a_bundle(tmp_path))
    assert list(disk.paths.releases.iterdir()) == []


def a_release(disk: ReleaseDisk, version: str, number: int) -> None:
    """As far as anybody looks at it."""
    from fleet.release.manifest import encode_manifest
    from tests.bundles import a_manifest_of

    folder = disk.folder(version)
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_bytes(encode_manifest(a_manifest_of({}, version)))
    os.utime(folder, ns=(number * 10**9, number * 10**9))


def test_three_releases_are_kept_and_never_the_needed_ones_removed(tmp_path: Path) -> None:
    disk = a_disk(tmp_path)
    for number in range(6):
        a_release(disk, f"{number}.0", number)
    disk.point("0.0")
    disk.prune({"1.0"})
    assert set(disk.installed()) == {"0.0", "1.0", "5.0"}
    assert len(disk.installed()) == RELEASES_KEPT
    disk.prune({"1.0"}, RELEASES_KEPT - 1)  # before another is installed
    assert set(disk.installed()) == {"0.0", "1.0"}


def test_a_release_that_is_not_here_cannot_be_tried(tmp_path: Path) -> None:
    disk = a_disk(tmp_path)
    a_release(disk, "1.0", 1)
    with pytest.raises(InstallFailed, match=r"2\.0 is not on this machine\. Here: 1\.0"):
        note_staged(disk, "2.0", SystemClock())


def test_two_operators_at_once_are_told_apart(tmp_path: Path) -> None:
    disk = a_disk(tmp_path)
    with disk.alone(), pytest.raises(ReleaseBusy, match="Another maguey-release"), disk.alone():
        pass
    with disk.alone():
        pass


def test_a_hub_never_gets_the_release_of_a_gate(tmp_path: Path) -> None:
    disk = a_disk(tmp_path)
    a_release(disk, "1.0", 1)
    disk.save(ReleaseState(good="1.0"))
    with pytest.raises(BundleRefused, match="for a hub, and this machine is a gate"):
        staged_here(disk, a_bundle(tmp_path, "2.0", kind="hub"))


def test_a_state_that_cannot_be_read_is_set_aside_and_what_runs_is_trusted(tmp_path: Path) -> None:
    disk = a_disk(tmp_path)
    a_release(disk, "1.0", 1)
    disk.point("1.0")
    disk.paths.state_dir.mkdir(exist_ok=True)
    disk.paths.state.write_bytes(b'{"good": "0.9", "upd')
    assert disk.load() == ReleaseState(good="1.0")
    assert (disk.paths.state_dir / "state.json.damaged").read_bytes() == b'{"good": "0.9", "upd'


def test_this_host_is_the_python_that_runs() -> None:
    assert this_host() == Host(python=PYTHON, machine=platform.machine())
