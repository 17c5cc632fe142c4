"""A full disk and a read-only one, as real file systems: quality 7.1, invariant 12."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate.common.errors import Step
from gate.ports.screen import Idle, Notice, OutOfOrder, Part, Screen, VerdictScreen
from gate.rules.model import Reason
from tests.damage import root_of, set_aside, zero_page
from tests.doors import SENSOR, Bench, guests
from tests.factories import code_id


class Disk:
    """A small file system in memory, mounted for one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, options: str = "size=80m") -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        subprocess.run(command, check=True)

    def remount(self, how: str) -> None:
        """``ro`` or ``rw``."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)

    def fill(self) -> None:
        """Fill it to the last byte."""
        with (self.folder / "ballast").open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"x" * size)

    def free(self) -> None:
        (self.folder / "ballast").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid():
        pytest.fail("mounting needs root: run the tests with sudo")
    disk = Disk(tmp_path / "card")
    disk.folder.mkdir()
    disk.mount()
    yield disk
    disk.unmount()


@pytest.fixture
def bench(disk: Disk) -> Iterator[Bench]:
    bench = Bench(disk.folder, SENSOR, feed=guests(50))
    bench.wait(0.2)
    yield bench
    bench.close()


def reason(screen: Screen) -> Reason:
    assert isinstance(screen, VerdictScreen), screen
    return screen.verdict.reason


def shown(bench: Bench) -> tuple[Part, Step]:
    screen = bench.display.screens[-1]
    assert isinstance(screen, OutOfOrder), screen
    return screen.part, screen.step


def fill_up(bench: Bench, disk: Disk) -> int:
    """Fill the disk and scan until the journal's log has no room left; the guest who is not let in."""
    disk.fill()
    for n in range(1, 50):
        if isinstance(bench.show(code_id(n), seconds=0.2), Notice):
            return n
    raise AssertionError("everybody was let in")


def test_on_a_full_disk_nobody_is_admitted_and_the_screen_says_why(bench: Bench, disk: Disk) -> None:
    refused = fill_up(bench, disk)
    pulses = len(bench.relay.releases)
    bench.wait(3)
    assert shown(bench) == (Part.JOURNAL, Step.DISK_FULL)
    for n in range(refused, 50):
        assert isinstance(bench.show(code_id(n), seconds=0.5), Notice)
    assert len(bench.relay.releases) == pulses
    bench.wait(10)
    assert shown(bench) == (Part.JOURNAL, Step.DISK_FULL)


def test_once_there_is_room_again_the_door_carries_on_by_itself(bench: Bench, disk: Disk) -> None:
    refused = fill_up(bench, disk)
    before = bench.records()
    disk.free()
    bench.wait(5)
    assert isinstance(bench.display.screens[-1], Idle)
    assert reason(bench.show(code_id(refused))) is Reason.FIRST_ENTRY
    assert [record.seq for record in bench.records()] == list(range(1, len(bench.records()) + 1))
    assert bench.records()[: len(before)] == before
    assert set_aside(bench.folder) == []


def test_what_happened_while_the_disk_was_full_is_recorded_afterwards(bench: Bench, disk: Disk) -> None:
    fill_up(bench, disk)
    bench.inputs.fire()
    bench.wait(1)
    assert bench.relay.is_open
    bench.inputs.fire(on=False)
    bench.wait(1.5)
    disk.free()
    bench.wait(5)
    assert [what for what in bench.told() if what[0] == "event"] == [
        ("event", "free_passage"),
        ("event", "free_passage_over"),
    ]


def test_a_damaged_journal_on_a_full_disk_waits_where_it_is_until_there_is_room(
    bench: Bench, disk: Disk
) -> None:
    bench.show(code_id(1), seconds=0)
    bench.inputs.bodies()
    bench.wait(2)
    bench.journal.close()
    bench.cache.close()
    journal = bench.folder / "journal.db"
    zero_page(journal, root_of(journal, "meta"))
    damaged = journal.read_bytes()
    disk.fill()
    bench.start()
    bench.wait(1)
    assert shown(bench) == (Part.JOURNAL, Step.DISK_FULL)
    assert journal.read_bytes() == damaged
    disk.free()
    bench.wait(5)
    assert len(set_aside(bench.folder)) == 1
    assert reason(bench.show(code_id(1))) is Reason.ALREADY_USED


def test_on_a_read_only_card_nobody_is_admitted_until_it_can_be_written_again(
    bench: Bench, disk: Disk
) -> None:
    bench.show(code_id(1), seconds=0)
    bench.inputs.bodies()
    bench.wait(2)
    bench.journal.close()
    bench.cache.close()
    bench.hub.close()
    disk.remount("ro")
    bench.start()
    bench.wait(1)
    assert shown(bench) == (Part.JOURNAL, Step.DISK_READ_ONLY)
    pulses = len(bench.relay.releases)
    assert isinstance(bench.show(code_id(2), seconds=5), Notice)
    assert len(bench.relay.releases) == pulses
    disk.remount("rw")
    bench.wait(5)
    assert isinstance(bench.display.screens[-1], Idle)
    assert reason(bench.show(code_id(2))) is Reason.FIRST_ENTRY
    assert reason(bench.show(code_id(1))) is Reason.ALREADY_USED
