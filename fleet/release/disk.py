"""The releases of a machine as files: their folders, the link to the current one, and the state.

Each change is on disk before the call returns (fsync of the file, then of its folder), and is a single
rename(2): after a power cut there is the old one or the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec
import structlog

from fleet.errors import FleetError
from fleet.release.lifecycle import ReleaseState
from fleet.release.manifest import MANIFEST, MANIFEST_BYTES, Manifest
from gate.common.foreign import UnreadableError, read_json
from gate.common.value import Value

LONGEST_STATE = 256 * 1024
RELEASES_KEPT = 3


class ReleaseBusy(FleetError):
    """Somebody else works on this machine's releases."""


class ReleasePaths(Value, frozen=True):
    """Where everything is. `runtime`: what only this boot needs to know, in memory."""

    opt: Path = Path("/opt/maguey")
    state_dir: Path = Path("/var/lib/maguey-release")
    runtime: Path = Path("/run/maguey")
    key: Path = Path("/etc/maguey/release-key.pub")

    @property
    def releases(self) -> Path:
        """A folder a release."""
        return self.opt / "releases"

    @property
    def current(self) -> Path:
        """The link to the release that runs."""
        return self.opt / "current"

    @property
    def trusted(self) -> Path:
        """The link to the release that puts things right at boot: never one that is being tried."""
        return self.opt / "trusted"

    @property
    def state(self) -> Path:
        """The state of the releases."""
        return self.state_dir / "state.json"

    @property
    def updating(self) -> Path:
        """While it exists, a door that is asked to stop leaves UPDATING on its screen."""
        return self.runtime / "updating"


class ReleaseDisk:
    """The files of `ReleasePaths`."""

    def __init__(self, paths: ReleasePaths) -> None:
        self.paths = paths

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Let nobody else change anything meanwhile; the kernel ends it with the process.

        :raises ReleaseBusy: somebody else is at it.
        """
        self.paths.state_dir.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.paths.state_dir / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _lock(fd)
            yield
        finally:
            os.close(fd)

    def load(self) -> ReleaseState:
        """The state. One that cannot be read is set aside: what runs then counts as the good release."""
        try:
            return read_json(self.paths.state.read_bytes(), ReleaseState, limit=LONGEST_STATE)
        except FileNotFoundError:
            return ReleaseState(good=self.current())
        except UnreadableError as error:
            aside = self.paths.state.with_name("state.json.damaged")
            structlog.get_logger().error("state of the releases lost", why=str(error), kept_as=str(aside))
            with contextlib.suppress(OSError):  # on a read-only disk it stays where it is
                self.paths.state.replace(aside)
            return ReleaseState(good=self.current())

    def save(self, state: ReleaseState) -> None:
        """Write the state. Doors and sync read it, too."""
        self.paths.state_dir.mkdir(parents=True, exist_ok=True)
        fresh = self.paths.state.with_name("state.json.new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(state))
            os.fchmod(file.fileno(), 0o644)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.paths.state)
        sync_folder(self.paths.state_dir)

    def current(self) -> str:
        """The version that the link names, empty if it names none."""
        return _named_by(self.paths.current)

    def point(self, version: str) -> None:
        """Make a release the current one."""
        self._link(self.paths.current, version)

    def trust(self, version: str) -> None:
        """Have a release put things right at boot."""
        if _named_by(self.paths.trusted) != version:
            self._link(self.paths.trusted, version)

    def _link(self, link: Path, version: str) -> None:
        fresh = link.with_name(f".{link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(Path("releases") / version)
        fresh.replace(link)
        sync_folder(self.paths.opt)

    def leave_sign(self, *, on: bool) -> None:
        """Put up `ReleasePaths.updating`, or take it away. What cannot be written costs only the sign."""
        with contextlib.suppress(OSError):
            if on:
                self.paths.updating.touch()
            else:
                self.paths.updating.unlink(missing_ok=True)

    def folder(self, version: str) -> Path:
        """The folder of a release, whether there or not."""
        return self.paths.releases / version

    def installed(self) -> dict[str, Manifest]:
        """The releases that are there, whole, by version; the newest first."""
        found = sorted(self.paths.releases.glob("[0-9]*"), key=_made, reverse=True)
        manifests = {folder.name: _manifest(folder) for folder in found}
        return {version: manifest for version, manifest in manifests.items() if manifest is not None}

    def prune(self, needed: Collection[str], kept: int = RELEASES_KEPT) -> None:
        """Remove the oldest, and what nobody finished. `needed` and the current one stay.

        :param kept: how many may stay.
        """
        stays = {*needed, self.current(), _named_by(self.paths.trusted)} - {""}
        spare = [version for version in self.installed() if version not in stays]
        stays.update(spare[: max(0, kept - len(stays))])
        for folder in self.paths.releases.glob("*"):
            if folder.name not in stays:
                shutil.rmtree(folder, ignore_errors=True)


def _lock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ReleaseBusy(
            "Another maguey-release is at work on this machine; nothing was changed. How far it is: "
            "maguey-release status"
        ) from None


def _named_by(link: Path) -> str:
    try:
        return link.readlink().name
    except OSError:  # there is none, or it is no link
        return ""


def _made(folder: Path) -> int:
    return folder.stat().st_mtime_ns


def _manifest(folder: Path) -> Manifest | None:
    try:
        return read_json((folder / MANIFEST).read_bytes(), Manifest, limit=MANIFEST_BYTES)
    except (OSError, UnreadableError):
        return None


def sync_folder(folder: Path) -> None:
    """Have the names in a folder written to disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
