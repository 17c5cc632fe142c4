"""A club's machines on a network of their own, without internet: a bridge and a cable to each machine.

The network is a namespace (`Club.namespace`), and so is each machine's end. What a test or a command of the
operator's does there, it does like a laptop in the club: `Club.laptop`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.namespaces import run
from tests.paths import ROOT
from trees.control_groups import sweep
from trees.tree import Tree

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "maguey-gate" / "trees"
NETWORK = "10.78.0"
LAPTOP = f"{NETWORK}.1"


class Club:
    """Made by `open_club`."""

    def __init__(self, place: Path, stack: contextlib.ExitStack) -> None:
        self.place = place
        self.namespace = f"maguey-club-{os.getpid()}"
        self.key = place / "key"
        self.known_hosts = place / "known_hosts"
        self._stack = stack
        self._debian: dict[int, Path] = {}
        self.trees: list[Tree] = []

    def machine(self, name: str, debian: int = 13) -> Tree:
        """A blank machine with an address, switched off. It costs what it writes: trees share one below."""
        address = f"{NETWORK}.{10 + len(self.trees)}"
        namespace = f"maguey-{name}-{os.getpid()}"
        _plug_in(self.namespace, namespace, address, f"cable{len(self.trees)}")
        self._stack.callback(run, "ip", "netns", "del", namespace)
        made = Tree(
            name=name,
            address=address,
            namespace=namespace,
            club=self.namespace,
            lower=self._lower(debian),
            place=self.place / name,
            key=self.key,
            known_hosts=self.known_hosts,
        )
        self._stack.callback(made.remove)
        self.trees.append(made)
        return made

    def laptop(self, *words: str | Path) -> list[str]:
        """A command's words, so that it runs in the club's network."""
        return ["ip", "netns", "exec", self.namespace, *map(str, words)]

    def _lower(self, debian: int) -> Path:
        if debian not in self._debian:
            self._debian[debian] = place = build("debian", debian)
            handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)  # held: tools/trees removes no tree in use
            fcntl.flock(handle, fcntl.LOCK_SH)
            self._stack.callback(os.close, handle)
        return self._debian[debian]


@contextlib.contextmanager
def open_club() -> Iterator[Club]:
    """An empty club; everything in it is gone when the block ends. Needs root."""
    if os.geteuid():
        raise PermissionError("Machines need root: sudo make fleet")
    _sweep()
    place = CACHE / "runs" / str(os.getpid())
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, place)
        club = Club(place, stack)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "laptop", "-f", str(club.key))
        run("ip", "netns", "add", club.namespace)
        stack.callback(run, "ip", "netns", "del", club.namespace)
        _lay(club.namespace)
        yield club


def build(what: str, debian: int) -> Path:
    """The folder that `tools/trees` made or makes: ``debian`` or ``wheels``."""
    done = subprocess.run(
        [ROOT / "tools" / "trees", what, str(debian)], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(done.stdout.strip())


def _lay(namespace: str) -> None:
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", namespace, "link", "add", "club", "type", "bridge")
    run("ip", "-n", namespace, "addr", "add", f"{LAPTOP}/24", "dev", "club")
    run("ip", "-n", namespace, "link", "set", "club", "up")


def _plug_in(club: str, namespace: str, address: str, cable: str) -> None:
    run("ip", "netns", "add", namespace)
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", club, "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "-n", club, "link", "set", cable, "master", "club", "up")
    run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
    run("ip", "-n", namespace, "link", "set", "eth0", "up")


def _sweep() -> None:
    """Remove what killed runs left behind: their process is gone."""
    sweep()
    for left in Path("/run/netns").glob("maguey-*-*"):
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            subprocess.run(["ip", "netns", "del", left.name], check=False)  # somebody else may be faster
    for left in (CACHE / "runs").glob("*"):
        if not Path("/proc", left.name).exists():
            shutil.rmtree(left, ignore_errors=True)
