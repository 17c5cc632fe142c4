"""A control group for each machine: ends its processes at once, and says when they are gone (cgroups(7))."""

from __future__ import annotations

import os
from pathlib import Path

from tests.patience import until


class ControlGroup:
    """One machine's processes. Its name begins with the id of the process that made it, for `sweep`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def make(cls, name: str) -> ControlGroup:
        """A new one."""
        made = cls(_ours() / f"{os.getpid()}-{name}")
        made.path.mkdir(parents=True, exist_ok=True)
        return made

    def is_empty(self) -> bool:
        """Whether no process is left."""
        return "populated 0" in (self.path / "cgroup.events").read_text()

    def kill(self) -> None:
        """SIGKILL for everything in it; returns when all of it is gone."""
        (self.path / "cgroup.kill").write_text("1")
        until(self.is_empty, lambda: f"processes in {self.path} do not end")

    def remove(self) -> None:
        """Remove it, with the groups that systemd made in it."""
        self.kill()
        for folder, _, _ in os.walk(self.path, topdown=False):
            Path(folder).rmdir()


def sweep() -> None:
    """End what a killed run left behind."""
    for left in _ours().glob("*-*"):
        if not Path("/proc", left.name.partition("-")[0]).exists():
            ControlGroup(left).remove()


def _ours() -> Path:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place, "maguey-trees")
    raise OSError("No cgroup2 is mounted: mount -t cgroup2 none /sys/fs/cgroup")
