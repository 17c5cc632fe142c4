"""Whether a release on probation works, judged from what was read of it. Pure.

A judgement is a complaint that ends the probation at once (`fatal`: it has crashed, it decides wrongly, it
eats the memory), or one that only has to be over by the end of it (`missing`: no frame yet, nothing
acknowledged yet), or none. What did not work before the update is not asked of the new release: a camera
that was unplugged yesterday says nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterator

from fleet.release.services import UnitReading
from gate.common.value import Value

FRAME_MS = 2_000
FRESH_MS = 5_000
"""As `gate.store.live_file.FRESH_MS`: a door that has written nothing for so long hangs."""
MEMORY_SHARE = 0.6
"""Of the machine's memory; the kernel ends a door at 0.75 (systemd/maguey-gate.service)."""
GROWTH = 128 * 1024 * 1024
"""Bytes a service may grow by after its first third of the probation; a door that works grows by some 10
MiB."""
_MIB = 1024 * 1024


class Complaint(Value, frozen=True):
    """What is wrong, at most one of both."""

    fatal: str = ""
    missing: str = ""


class SelfTest(Value, frozen=True):
    """What became of the made-up code: the verdict and the record's number in the journal, or why there is
    none."""

    verdict: str = ""
    reason: str = ""
    seq: int | None = None
    error: str = ""


class UnitsBefore(Value, frozen=True):
    """What the services had used when the probation began. `memory`: None until they have settled."""

    restarts: dict[str, int]
    memory: dict[str, int] | None = None


class GateBefore(Value, frozen=True):
    """What worked under the release before."""

    had_frames: bool
    was_online: bool


class DoorReading(Value, frozen=True):
    """What the door says. `age_ms`: since it was written; `frame_age_ms`: of its newest frame, None before
    one."""

    version: str
    age_ms: int
    frame_age_ms: int | None


class GateReading(Value, frozen=True):
    """A gate at one moment. `door`: None if there is nothing it wrote in this boot. `test`: None until it was
    presented. `acked`: the number up to which the hub has acknowledged the journal, None if unknown."""

    door: DoorReading | None = None
    test: SelfTest | None = None
    acked: int | None = None


class HubReading(Value, frozen=True):
    """A hub at one moment. `web`: empty, or why its web interface is not ready."""

    web: str = ""


def first_complaint(complaints: Iterator[Complaint]) -> Complaint:
    """The first fatal one, otherwise the first that says anything."""
    found = [one for one in complaints if one.fatal or one.missing]
    fatal = [one for one in found if one.fatal]
    return (fatal or found or [Complaint()])[0]


def units_complaints(
    units: tuple[UnitReading, ...], before: UnitsBefore, machine_memory: int
) -> Iterator[Complaint]:
    """What is wrong with the services themselves.

    :param machine_memory: bytes.
    """
    for unit in units:
        yield from _unit(unit, before.restarts.get(unit.name, 0))
        yield from _memory(unit, (before.memory or {}).get(unit.name), machine_memory)


def _unit(unit: UnitReading, restarts_before: int) -> Iterator[Complaint]:
    if unit.restarts > restarts_before:
        yield Complaint(fatal=f"{unit.name} ended and was started again.")
    if unit.state == "failed":
        yield Complaint(fatal=f"{unit.name} has failed.")
    elif unit.state != "active":
        yield Complaint(missing=f"{unit.name} is not ready: {unit.state}.")
    elif unit.watchdog_ms and unit.ping_age_ms is not None and unit.ping_age_ms > unit.watchdog_ms:
        yield Complaint(missing=f"{unit.name} does not answer its watchdog.")


def _memory(unit: UnitReading, settled: int | None, machine_memory: int) -> Iterator[Complaint]:
    if unit.memory is None:
        return
    if unit.memory > machine_memory * MEMORY_SHARE:
        have = f"{unit.memory // _MIB} of this machine's {machine_memory // _MIB} MiB"
        yield Complaint(fatal=f"{unit.name} uses {have} of memory.")
    if settled is not None and unit.memory - settled > GROWTH:
        grown = (unit.memory - settled) // _MIB
        yield Complaint(fatal=f"{unit.name} keeps taking memory: {grown} MiB more since it settled.")


def gate_complaints(reading: GateReading, before: GateBefore, version: str) -> Iterator[Complaint]:
    """What is wrong with the door and its link."""
    yield from _door(reading.door, before, version)
    yield from _self_test(reading.test)
    seq = reading.test.seq if reading.test else None
    if before.was_online and seq is not None and (reading.acked is None or reading.acked < seq):
        yield Complaint(missing="The hub does not acknowledge the scan of the self-test, and did before.")


def _door(door: DoorReading | None, before: GateBefore, version: str) -> Iterator[Complaint]:
    if door is None or door.age_ms > FRESH_MS:
        yield Complaint(missing="The door says nothing of itself.")
    elif door.version != version:
        yield Complaint(fatal=f"The door that runs is {door.version} and not {version}.")
    elif before.had_frames and (door.frame_age_ms is None or door.frame_age_ms > FRAME_MS):
        have = "none at all" if door.frame_age_ms is None else f"the last {door.frame_age_ms // 1000} s ago"
        yield Complaint(missing=f"The door sees no new frame ({have}), and did before.")


def _self_test(test: SelfTest | None) -> Iterator[Complaint]:
    if test is None:
        yield Complaint(missing="The self-test's code was not presented yet.")
    elif test.error:
        yield Complaint(fatal=f"The self-test's code was not decided: {test.error}")
    elif (test.verdict, test.seq is not None) != ("deny", True):
        said = f"{test.verdict or 'no verdict'} {test.reason}".strip()
        record = "" if test.seq is not None else ", and not recorded"
        yield Complaint(fatal=f"The self-test's code, which is no ticket, was answered with {said}{record}.")


def hub_complaints(reading: HubReading) -> Iterator[Complaint]:
    """What is wrong with the hub's web interface."""
    if reading.web:
        yield Complaint(missing=f"The hub's web interface is not ready: {reading.web}")
