"""Which mount a folder is on, from `/proc/self/mountinfo` as proc(5) describes it. Pure."""

from __future__ import annotations

import re
from pathlib import PurePath

from gate.common.value import Value

IN_MEMORY = frozenset({"tmpfs", "ramfs", "overlay", "overlayfs", "aufs"})
"""Gone at the next power cut. Raspberry Pi OS keeps its card read-only with an overlay: what is written stays
in memory above it."""
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs"})
"""SQLite's WAL needs memory shared by all processes that have the file open: a network gives none."""


class Mount(Value, frozen=True):
    """One mount. `source`: the device, or what stands in its place."""

    point: str
    kind: str
    source: str
    read_only: bool


def mount_of(mountinfo: str, path: PurePath) -> Mount | None:
    """The mount of an absolute path: the nearest above it, of several at one point the last, on top."""
    above = {str(path), *map(str, path.parents)}
    found: Mount | None = None
    for line in mountinfo.splitlines():
        mount = _mount(line)
        if mount is None or mount.point not in above:
            continue
        if found is None or len(mount.point) >= len(found.point):
            found = mount
    return found


def _mount(line: str) -> Mount | None:
    before, dash, after = line.partition(" - ")
    fields, rest = before.split(), after.split()
    if not dash or len(fields) < 6 or len(rest) < 3:
        return None
    options = {*fields[5].split(","), *rest[2].split(",")}
    return Mount(point=_plain(fields[4]), kind=rest[0], source=_plain(rest[1]), read_only="ro" in options)


def _plain(text: str) -> str:
    """Undo the three octal digits that stand for spaces and the like."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)
