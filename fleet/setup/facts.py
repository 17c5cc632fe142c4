"""What a machine is, and whether a release can run on it. Pure, but for asking."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fleet.machine.ssh import MachineError, RootShell
from gate.common.value import Value

ASK_FOR_FACTS = r"""
. /etc/os-release
echo "system=$ID $VERSION_ID"
echo "processor=$(uname -m)"
echo "python=$(python3 -c 'import sys; print("cp%d%d" % sys.version_info[:2])' 2>/dev/null)"
echo "model=$(tr -d '\000' </proc/device-tree/model 2>/dev/null)"
echo "free_kib=$(df -Pk / | awk 'NR == 2 {print $4}')"
echo "clock_s=$(date +%s)"
release=$(readlink /opt/maguey/current) && echo "release=${release##*/}"
true
"""
SYSTEMS = {"debian 12": "cp311", "debian 13": "cp313", "raspbian 12": "cp311", "raspbian 13": "cp313"}
PROCESSORS = ("aarch64", "x86_64")
SPACE_KIB = 1536 * 1024
"""Three releases of a gate, and the one being installed."""
CLOCK_OFF_S = 60
_LONGEST = 200


class MachineFacts(Value, frozen=True):
    """`python`: such as ``cp313``. `clock_s`: Unix time. `release`: what runs; empty: none."""

    system: str
    processor: str
    python: str
    free_kib: int
    clock_s: int
    model: str = ""
    release: str = ""


def ask_facts(machine: RootShell) -> MachineFacts:
    """Ask a machine what it is. Changes nothing.

    :raises MachineError: it does not answer like a Linux machine.
    """
    ran = machine.run(ASK_FOR_FACTS)
    said = dict(line[:_LONGEST].partition("=")[::2] for line in ran.out.splitlines() if "=" in line)
    try:
        return msgspec.convert(said, MachineFacts, strict=False)
    except msgspec.ValidationError:
        raise MachineError(
            f"{machine.name}: does not say what it is, so it is no Debian that is set up from here. It said: "
            f"{ran.last_words[:_LONGEST]!r}"
        ) from None


def unfit_for_release(facts: MachineFacts, now_s: float) -> Iterator[str]:
    """Why no release can be installed there, a sentence each.

    :param now_s: the laptop's Unix time.
    """
    if facts.processor not in PROCESSORS:
        yield (
            f"its system is for {facts.processor}, and releases are for {' or '.join(PROCESSORS)}. Write the "
            "64-bit Raspberry Pi OS to its card."
        )
    python = SYSTEMS.get(facts.system)
    if python is None:
        yield f"it runs {facts.system}, and releases are for Debian 12 and 13. Install one of these."
    elif facts.python != python:
        yield f"its python3 is {facts.python or 'missing'} instead of {python}. Call: apt install python3"
    if facts.free_kib < SPACE_KIB:
        yield (
            f"{facts.free_kib // 1024} MiB are free, and releases need {SPACE_KIB // 1024}. Make room, or "
            "take a larger card."
        )
    if (off := abs(facts.clock_s - now_s)) > CLOCK_OFF_S:
        yield (
            f"its clock is {off:.0f} s off this laptop's, and certificates need the time. Set it: sudo date "
            "-s …, or give it a network with NTP."
        )
