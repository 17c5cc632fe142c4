"""The bed itself: what every other test here takes for granted."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.paths import ROOT
from tests.patience import PATIENCE_S, until
from trees.club import LAPTOP, Club


def test_three_gates_and_a_hub_reach_each_other_and_nobody_else(club: Club) -> None:
    gates = [club.machine(f"gate-{number}") for number in (1, 2, 3)]
    hub = club.machine("hub")
    with ThreadPoolExecutor() as hands:
        list(hands.map(lambda tree: tree.boot(), club.trees))
    for gate in gates:
        assert gate.root("hostname") == f"{gate.name}\n"
        assert gate.root(f"{CONNECT} {hub.address} 22") == "reached\n"
        assert hub.root(f"{CONNECT} {gate.address} 22") == "reached\n"
    assert hub.root(f"{CONNECT} {LAPTOP} 22") == "refused\n"  # the laptop is there, and serves nothing
    assert hub.root(f"{CONNECT} 192.0.2.1 443") == "unreachable\n"
    assert hub.root(
        "apt-get -qq update && apt-get -qq install -y --no-install-recommends nftables && nft list ruleset"
    )


def test_a_power_cut_leaves_what_was_written_and_an_orderly_stop_ends_every_unit(club: Club) -> None:
    gate = club.machine("gate-1")
    gate.boot()
    boot = gate.root("cat /proc/sys/kernel/random/boot_id")
    gate.root("cat >/var/lib/kept", b"a night")
    gate.hard_stop()
    gate.boot()
    assert gate.root("cat /var/lib/kept") == "a night"
    assert gate.root("cat /proc/sys/kernel/random/boot_id") != boot
    gate.stop()
    assert "Reached target poweroff.target" in gate.journal()
    gate.boot()
    assert gate.root("cat /var/lib/kept") == "a night"


def test_nothing_is_left_of_a_run_that_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        group, place = run.stdout.readline().split()
        assert Path(group).is_dir()
        run.kill()
        run.wait(PATIENCE_S)
    until(lambda: "populated 0" in Path(group, "cgroup.events").read_text())
    subprocess.run([sys.executable, "-c", EMPTY], cwd=ROOT, check=True)
    assert not Path(group).exists()
    assert not Path(place).exists()
    assert [left for left in Path("/run/netns").glob(f"maguey-*-{run.pid}")] == []


KILLED = """
from trees.club import open_club
with open_club() as club:
    gate = club.machine("gate-1")
    gate.boot()
    print(gate.group.path, club.place, flush=True)
    input()
"""
EMPTY = """
from trees.club import open_club
with open_club():
    pass
"""
CONNECT = '''python3 -c "
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
    print(\\"reached\\")
except ConnectionRefusedError:
    print(\\"refused\\")
except OSError:
    print(\\"unreachable\\")
"'''
