"""Two machines on this one: network namespaces, joined by a cable. For tests of what a firewall does.

They need root, and are gone when the block ends. A thread is in one while `within` runs; what it opens or
starts there stays there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

HUB, HUB6, WORLD = "10.77.0.1", "fd77::1", "10.77.0.2"
_NETWORK = 0x40000000
"""CLONE_NEWNET, sched.h."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Net:
    """The hub's machine, and the rest of the world, where all of 10.77.1.0/24 and fd77:1::/48 is at home."""

    hub: str
    world: str


def run(*words: str) -> str:
    """A command's output."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@contextlib.contextmanager
def within(namespace: str) -> Iterator[None]:
    """Put this thread into it."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(there)
        try:
            yield
        finally:
            _enter(here)
    finally:
        os.close(here)
        os.close(there)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def net() -> Iterator[Net]:
    """Both, with a cable between. Skips the test if they cannot be made."""
    made = Net(f"maguey-hub-{os.getpid()}", f"maguey-world-{os.getpid()}")
    _sweep()
    with contextlib.ExitStack() as stack:
        for name in (made.hub, made.world):
            _make(name)
            stack.callback(run, "ip", "netns", "del", name)
        run(
            "ip",
            "-n",
            made.hub,
            "link",
            "add",
            "cable",
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            made.world,
        )
        for name, address, address6 in ((made.hub, HUB, HUB6), (made.world, WORLD, "fd77::2")):
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "link", "set", "cable", "up")
            run("ip", "-n", name, "addr", "add", f"{address}/16", "dev", "cable")
            run("ip", "-n", name, "addr", "add", f"{address6}/64", "dev", "cable", "nodad")
        run("ip", "-n", made.world, "route", "add", "local", "10.77.1.0/24", "dev", "lo")
        run("ip", "-n", made.world, "route", "add", "local", "fd77:1::/48", "dev", "lo")
        run("ip", "-n", made.hub, "route", "add", "fd77:1::/48", "via", "fd77::2")
        yield made


def _sweep() -> None:
    """Remove what killed runs left behind: their process is gone."""
    for left in Path("/run/netns").glob("maguey-*-*"):
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            subprocess.run(["ip", "netns", "del", left.name], check=False)  # somebody else may be faster


def _make(name: str) -> None:
    if os.geteuid():
        pytest.skip("network namespaces need root")
    if Path(f"/run/netns/{name}").exists():
        run("ip", "netns", "del", name)
    try:
        run("ip", "netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {error}")
