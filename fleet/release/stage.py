"""Puts a release beside the others: unpacked, installed, and only there once it is whole."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from fleet.release.bundle_file import BundleFile, open_bundle, read_release_key
from fleet.release.disk import RELEASES_KEPT, ReleaseDisk, sync_folder
from fleet.release.environment import InstallFailed, make_environment
from fleet.release.lifecycle import Phase, ReleaseState, staged
from fleet.release.manifest import MANIFEST, BundleRefused, Manifest
from gate.clock import Clock
from gate.common.value import Value

KEPT_FILES = ("systemd/", "config/", "sbom.json")
"""What stays of a bundle besides what is installed of it."""
_SPARE = 256 * 1024 * 1024
_UNPACKED = 5
"""Bytes on disk for each byte of the bundle: the wheels themselves, and what is in them, with bytecode."""


class Host(Value, frozen=True):
    """What a release has to fit: the tag of Python, and the machine as ``uname -m`` says it."""

    python: str
    machine: str


def this_host() -> Host:
    """The Python that runs this, which is the one releases are made with."""
    return Host(python=f"cp{sys.version_info.major}{sys.version_info.minor}", machine=platform.machine())


def stage_bundle(disk: ReleaseDisk, bundle: Path, clock: Clock, host: Host) -> ReleaseState:
    """Install a bundle beside what runs. Doing it again changes nothing.

    :raises BundleRefused: the bundle is not for this machine, or not to be trusted.
    :raises InstallFailed: it cannot be installed here.
    """
    with open_bundle(bundle, read_release_key(disk.paths.key)) as opened:
        manifest = opened.manifest
        _check_host(manifest, host)
        state = disk.load()
        _check_kind(manifest, disk.installed().get(state.good))
        if not _is_there(disk, opened):
            disk.prune({state.good}, RELEASES_KEPT - 1)
            _check_space(disk.paths.releases, manifest)
            _install(disk, opened)
    return note_staged(disk, manifest.version, clock)


def note_staged(disk: ReleaseDisk, version: str, clock: Clock) -> ReleaseState:
    """Make a release that is here the next to be tried, unless it is the one that is trusted already.

    :raises InstallFailed: it is not here.
    """
    if version not in disk.installed():
        here = ", ".join(disk.installed()) or "none"
        raise InstallFailed(
            f"{version} is not on this machine. Here: {here}. Run: maguey-release stage BUNDLE"
        )
    state = disk.load()
    is_staged = state.update is not None and (state.update.version, state.phase) == (version, Phase.STAGED)
    if state.good == version or is_staged:
        return state
    state = staged(state, version, clock.now())
    disk.save(state)
    return state


def _check_host(manifest: Manifest, host: Host) -> None:
    if manifest.machine != host.machine:
        raise BundleRefused(f"This bundle is for {manifest.machine}, and this machine is {host.machine}.")
    if manifest.python != host.python:
        raise BundleRefused(
            f"This bundle is for Python {_spoken(manifest.python)}, and this machine has "
            f"{_spoken(host.python)}. Build one for it: maguey-fleet build --python {host.python}"
        )


def _spoken(tag: str) -> str:
    return f"{tag[2]}.{tag[3:]}"


def _check_kind(manifest: Manifest, running: Manifest | None) -> None:
    if running is not None and running.kind != manifest.kind:
        raise BundleRefused(f"This bundle is for a {manifest.kind}, and this machine is a {running.kind}.")


def _is_there(disk: ReleaseDisk, opened: BundleFile) -> bool:
    have = disk.installed().get(opened.manifest.version)
    if have is not None and have != opened.manifest:
        raise BundleRefused(
            f"Another build of {have.version} is on this machine already. Give the new one another version."
        )
    return have is not None


def _check_space(folder: Path, manifest: Manifest) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    need, free = manifest.total * _UNPACKED + _SPARE, shutil.disk_usage(folder).free
    if free < need:
        raise InstallFailed(
            f"{folder}: {free // 2**20} MiB are free, and the release needs {need // 2**20}. Nothing was "
            "changed. Make room: journalctl --vacuum-size=100M, apt-get clean"
        )


def _install(disk: ReleaseDisk, opened: BundleFile) -> None:
    manifest = opened.manifest
    final = disk.folder(manifest.version)
    fresh = disk.paths.releases / f".{manifest.version}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o755)
    try:
        opened.unpack(fresh / "bundle", _is_wanted)
        make_environment(fresh, final, manifest, fresh / "bundle" / "wheels")
        shutil.rmtree(fresh / "bundle" / "wheels", ignore_errors=True)
        (fresh / MANIFEST).write_bytes(opened.raw)
        os.sync()  # thousands of files, each of which has to be there after a power cut
        fresh.rename(final)
    except OSError as error:
        raise InstallFailed(
            f"{fresh}: {error.strerror}. Nothing was changed. Look at the disk: df -h"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    sync_folder(disk.paths.releases)


def _is_wanted(path: str) -> bool:
    return path.startswith(("wheels/", *KEPT_FILES))
