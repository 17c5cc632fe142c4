"""What a machine is, is asked of a real shell; what no release can run on is told in sentences."""

from __future__ import annotations

import subprocess

import msgspec
import pytest

from fleet.machine.ssh import MachineError, Ran
from fleet.setup.facts import MachineFacts, ask_facts, unfit_for_release

NOW = 1_796_000_000
PI = MachineFacts(
    system="debian 13", processor="aarch64", python="cp313", free_kib=8_000_000, clock_s=NOW, model="Pi 4"
)


class ThisMachine:
    """Runs what it is told on the machine of the tests; `instead`: that, whatever it is told."""

    name = "gate-1"
    host_key = "SHA256:x"

    def __init__(self, instead: str = "") -> None:
        self._instead = instead

    def run(self, command: str, given: bytes = b"", limit_s: float = 60) -> Ran:
        words = ["sh", "-c", self._instead or command]
        done = subprocess.run(words, input=given, capture_output=True, timeout=limit_s, check=False)
        return Ran(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def test_a_machine_says_what_it_is() -> None:
    facts = ask_facts(ThisMachine())
    assert facts.processor in ("x86_64", "aarch64")
    assert facts.free_kib > 0
    assert facts.system.partition(" ")[0]
    assert facts.python.startswith("cp3")


@pytest.mark.parametrize("instead", ["echo Welcome", "echo free_kib=many", "exit 1"])
def test_what_does_not_say_so_is_no_machine_for_us(instead: str) -> None:
    with pytest.raises(MachineError, match="gate-1: does not say what it is"):
        ask_facts(ThisMachine(instead))


def test_a_pi_with_debian_13_is_fit() -> None:
    assert list(unfit_for_release(PI, NOW)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"processor": "armv7l"}, "its system is for armv7l"),
        ({"system": "debian 11"}, "it runs debian 11"),
        ({"python": "cp311"}, "its python3 is cp311 instead of cp313"),
        ({"python": ""}, "its python3 is missing"),
        ({"free_kib": 500_000}, "488 MiB are free"),
        ({"clock_s": 0}, f"its clock is {NOW} s off"),
    ],
)
def test_what_is_in_the_way_is_told_with_the_next_step(change: dict[str, object], told: str) -> None:
    (problem,) = unfit_for_release(msgspec.structs.replace(PI, **change), NOW)
    assert told in problem
    assert len(problem.split(". ")) >= 2


def test_all_that_is_in_the_way_is_told_at_once() -> None:
    bad = MachineFacts(system="ubuntu 24.04", processor="i686", python="", free_kib=1, clock_s=0)
    assert len(list(unfit_for_release(bad, NOW))) == 4
