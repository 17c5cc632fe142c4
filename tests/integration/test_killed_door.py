"""The door is killed at every statement between decode and screen: quality 7.1, invariants 6 and 11.

Each time a real process is killed with SIGKILL in the middle of one step of the door's loop, and
the gate is started again on what that left on the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType

import pytest

import gate
from gate.ports.screen import VerdictScreen
from gate.rules.model import EventKind, ScanRecord
from gate.rules.passage import Rules, Way
from tests.deaths import Doom
from tests.doors import SENSOR, Bench
from tests.factories import code_id
from tests.fakes import RecordingTurnstile
from tests.lean import lean
from tests.staff import Staff

GATE = str(Path(gate.__file__).parent)
BLIND = Rules(sensor=False)


class Relay(RecordingTurnstile):
    """Records every pulse at once, with how many admissions were on the disk when it was given."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._folder = folder

    def release(self) -> None:
        with (self._folder / "pulses").open("ab", buffering=0) as file:
            file.write(b"%d\n" % len(admissions(self._folder)))
        super().release()


def admissions(folder: Path) -> list[tuple[str, int]]:
    """Committed admissions that were to move the turnstile, and whether each was annulled."""
    with sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True) as db:
        rows = db.execute(
            "select code_hash, exists (select 1 from scans a where a.refers_to = s.scan_id"
            " and a.record = 'annulled') from scans s where verdict = 'admit' and released = 1"
        ).fetchall()
    return [(code_hash, annulled) for code_hash, annulled in rows]


def pulses(folder: Path) -> list[int]:
    file = folder / "pulses"
    return [int(line) for line in file.read_bytes().split()] if file.exists() else []


def a_gate(folder: Path, rules: Rules) -> Bench:
    bench = Bench(folder, rules)
    bench.relay = Relay(folder, lambda: bench.clock.monotonic_ms / 1000)
    return bench


def is_of_the_gate(code: CodeType) -> bool:
    return code.co_filename.startswith(GATE)


Scene = Callable[[Bench], None]


def a_guest_is_scanned(bench: Bench) -> None:
    bench.eye.show(code_id().encode())


def a_guest_walks_in(bench: Bench) -> None:
    bench.show(code_id(), seconds=1)
    bench.inputs.bodies()
    bench.eye.show()


def nobody_walks(bench: Bench) -> None:
    bench.show(code_id(), seconds=6.95)
    bench.clock.forward(0.1)
    bench.eye.show()


def in_a_process(folder: Path, rules: Rules, scene: Scene, fatal: int | None) -> list[int]:
    """Play a scene and kill it in its last step, at statement `fatal`; if None, find where a kill matters."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            bench = a_gate(folder, rules)
            bench.wait(0.1)  # the journal is open and the idle screen has been shown
            scene(bench)
            doom = Doom(folder, is_of_the_gate, fatal)
            sys.settrace(doom.called)
            bench.door.step()
            sys.settrace(None)
            assert doom.statements > 50
            os.write(writing, json.dumps(doom.different).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        told = said.read()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) == (fatal is not None), f"statement {fatal}"
    different: list[int] = json.loads(told or "[]")
    return different


class Folders:
    """Copies of one gate's files, each thrown away when the next is made."""

    def __init__(self, place: Path) -> None:
        self._template, self._copy = place / "template", place / "copy"
        self._template.mkdir()
        bench = Bench(self._template)
        bench.wait(0.1)
        bench.close()

    def copy(self) -> Path:
        shutil.rmtree(self._copy, ignore_errors=True)
        return Path(shutil.copytree(self._template, self._copy))


def the_promise_holds(folder: Path, at: int) -> list[ScanRecord]:
    """Start again, show the ticket once more, and compare pulses with admissions."""
    before = pulses(folder)
    bench = a_gate(folder, SENSOR)
    bench.wait(0.1)
    assert pulses(folder) == before, f"a pulse at the restart after statement {at}"
    screen = bench.show(code_id(), seconds=0)
    assert isinstance(screen, VerdictScreen), f"statement {at}: {screen}"
    records = bench.records()
    bench.close()
    assert [record.seq for record in records] == list(range(1, len(records) + 1)), f"a gap after {at}"
    given = pulses(folder)
    assert all(committed > n for n, committed in enumerate(given)), f"a pulse before its commit at {at}"
    standing = [code_hash for code_hash, annulled in admissions(folder) if not annulled]
    assert len(standing) <= 1, f"admitted twice after statement {at}"
    annulled = sum(record.reason is EventKind.EXPIRED for record in records)
    assert len(given) <= 1 + annulled, f"let through twice after statement {at}"
    return records


@pytest.mark.parametrize(
    ("scene", "rules"),
    [
        (a_guest_is_scanned, BLIND),
        (a_guest_is_scanned, SENSOR),
        (a_guest_walks_in, SENSOR),
        (nobody_walks, SENSOR),
    ],
)
def test_killed_at_any_statement_the_door_never_admits_twice_or_pulses_uncommitted(
    tmp_path: Path, scene: Scene, rules: Rules
) -> None:
    seen = lean(killed_at_each, tmp_path, scene, rules)
    if scene is a_guest_is_scanned:
        # nothing recorded; recorded, but certainly not let through; recorded and let through
        assert ("first_entry",) in seen
        assert ("first_entry", "not_opened", "first_entry") in seen
        assert ("first_entry", "already_used") in seen


def killed_at_each(place: Path, scene: Scene, rules: Rules) -> set[tuple[str, ...]]:
    """The reasons of what is recorded afterwards, over all cases."""
    folders = Folders(place)
    fatals = in_a_process(folders.copy(), rules, scene, None)
    assert fatals
    seen: set[tuple[str, ...]] = set()
    for fatal in fatals:
        folder = folders.copy()
        in_a_process(folder, rules, scene, fatal)
        records = the_promise_holds(folder, fatal)
        seen.add(tuple(record.reason.value for record in records))
    return seen


def staff_closes_the_gate(bench: Bench) -> None:
    """The next step follows the order."""
    bench.clock.synced = True
    staff = Staff(bench)
    staff.send(staff.sealed("close"))


def test_killed_anywhere_in_an_order_the_gate_afterwards_is_as_recorded(tmp_path: Path) -> None:
    assert lean(killed_in_an_order, tmp_path) == {(Way.NORMAL, False), (Way.CLOSED, True)}


def killed_in_an_order(place: Path) -> set[tuple[Way, bool]]:
    """The gate's way after the restart, and whether that is recorded, over all cases."""
    folders = Folders(place)
    seen: set[tuple[Way, bool]] = set()
    for fatal in in_a_process(folders.copy(), SENSOR, staff_closes_the_gate, None):
        folder = folders.copy()
        in_a_process(folder, SENSOR, staff_closes_the_gate, fatal)
        bench = a_gate(folder, SENSOR)
        bench.wait(0.1)
        is_recorded = EventKind.CLOSED in {record.reason for record in bench.records()}
        assert (bench.turnstile.state.way is Way.CLOSED) is is_recorded, f"statement {fatal}"
        seen.add((bench.turnstile.state.way, is_recorded))
        bench.close()
    return seen
