"""The loop of the door with real journal and cache, and the working fakes of eye, relay and screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate.cache import CacheReader
from gate.clock import Clock
from gate.decide import Policy
from gate.desk import Desk
from gate.door import Door, DoorSettings
from gate.errors import HardwareError
from gate.journal import Journal
from gate.mending import RETRY_MS, Mending
from gate.model import Reason, Ruling
from gate.ports import Turnstile
from gate.screen import Answer, Idle, Notice, OutOfOrder, Part, Screen
from hardware.fakes import RecordingTurnstile, ScriptedEye
from sync.cache import Cache, LinkNote
from sync.wire import GateConfig
from tests.factories import StoppedClock, an_admission, an_event, code_id


class RecordingDisplay:
    """A working `Display` that keeps what it was shown."""

    def __init__(self) -> None:
        self.screens: list[Screen] = []

    def show(self, screen: Screen) -> None:
        self.screens.append(screen)

    def trouble(self) -> HardwareError | None:
        return None

    def close(self) -> None:
        pass


class Bench:
    """A door on the bench."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = StoppedClock()
        self.eye = ScriptedEye()
        self.display = RecordingDisplay()
        self.relay = RecordingTurnstile()
        self.relay_is_there = True
        self.hub = Cache(folder / "cache.db")
        self.hub.put_config(
            GateConfig(gate_id="gate-1", gate_name="GATE 1", venue="maguey", events=(an_event(),))
        )
        self.hub.put_snapshot("event-1", 1, [an_admission(), an_admission(code_id(2))], self.clock.wall)
        self.cache = CacheReader(folder / "cache.db")
        self.journal = Mending("journal", self._open_journal, lambda journal: journal.close())
        self.door = Door(
            settings=DoorSettings(gate_name="GATE 1"),
            eye=self.eye,
            display=self.display,
            turnstile=Mending[Turnstile]("turnstile", self._open_relay, lambda relay: relay.close()),
            journal=self.journal,
            make_desk=lambda journal: make_desk(journal, self.cache, self.clock),
            cache=self.cache,
            clock=self.clock,
        )

    def _open_journal(self) -> Journal:
        return Journal(self.folder / "journal.db", "gate-1", "epoch-1")

    def _open_relay(self) -> Turnstile:
        if not self.relay_is_there:
            raise HardwareError("turnstile", "No GPIO here.", "Check the wiring")
        return self.relay

    def show(self, *codes: str, seconds: float = 2.0) -> Screen:
        """Hold codes up, then take them away for `seconds`; the screen right after the scan."""
        self.eye.show(*(code.encode() for code in codes))
        self.door.step()
        answer = self.display.screens[-1]
        self.wait(seconds)
        return answer

    def wait(self, seconds: float) -> None:
        for _ in range(int(seconds * 20)):
            self.clock.forward(0.05)
            self.eye.show()
            self.door.step()


def make_desk(journal: Journal, cache: CacheReader, clock: Clock) -> Desk:
    return Desk(
        gate_id="gate-1",
        journal=journal,
        cache=cache,
        clock=clock,
        random=os.urandom,
        policy=Policy(),
        keys={},
        isolated_after=10.0,
    )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.door.close()
    bench.hub.close()


def reason(screen: Screen) -> Reason:
    assert isinstance(screen, Answer), screen
    return screen.verdict.reason


def test_an_admission_releases_once_and_a_refusal_never(bench: Bench) -> None:
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY
    assert len(bench.relay.releases) == 1
    assert reason(bench.show(code_id())) is Reason.ALREADY_USED
    assert reason(bench.show("https://example.org")) is Reason.MALFORMED
    assert len(bench.relay.releases) == 1


def test_the_relay_moves_only_for_what_is_committed(bench: Bench) -> None:
    bench.show(code_id())
    committed = [row for row in _rows(bench) if row[1] == "admit"]
    assert len(committed) == len(bench.relay.releases) == 1


def _rows(bench: Bench) -> list[tuple[int, str]]:
    journal = bench.journal.get(bench.clock.monotonic_ms)
    assert journal is not None
    return list(journal._db.execute("select seq, verdict from scans"))


def test_two_codes_at_once_show_one_at_a_time_and_move_nothing(bench: Bench) -> None:
    screen = bench.show(code_id(), code_id(2))
    assert isinstance(screen, Answer)
    assert (screen.verdict.ruling, screen.verdict.reason) == (Ruling.NONE, Reason.AMBIGUOUS)
    assert bench.relay.releases == []


def test_idle_comes_back_after_the_answer_had_its_time_and_counts_the_guest(bench: Bench) -> None:
    bench.show(code_id(), seconds=1.4)
    assert isinstance(bench.display.screens[-1], Answer)
    bench.wait(0.3)
    idle = bench.display.screens[-1]
    assert isinstance(idle, Idle)
    assert (idle.event, idle.inside, idle.capacity) == ("Perreo Fridays", 1, 500)
    assert (idle.link.online, idle.link.waiting) == (False, 1)


def test_a_new_scan_replaces_the_screen_at_once(bench: Bench) -> None:
    bench.show("https://example.org", seconds=0)
    assert reason(bench.show(code_id(), seconds=0)) is Reason.FIRST_ENTRY


def test_without_a_turnstile_nothing_is_decided_and_the_ticket_stays_good(bench: Bench) -> None:
    bench.relay_is_there = False
    screen = bench.show(code_id())
    assert isinstance(screen, Notice)
    assert screen.word == "see_staff"
    idle = bench.display.screens[-1]
    assert isinstance(idle, OutOfOrder)
    assert (idle.part, idle.step) == (Part.TURNSTILE, "Check the wiring")
    bench.relay_is_there = True
    bench.wait(RETRY_MS / 1000 + 0.1)
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY


def test_a_made_up_code_stuck_beside_the_camera_does_not_block_a_ticket(bench: Bench) -> None:
    assert reason(bench.show(code_id(), code_id(404))) is Reason.FIRST_ENTRY
    assert len(bench.relay.releases) == 1


class TreacherousTurnstile(RecordingTurnstile):
    """Seems well until it is to open."""

    def trouble(self) -> HardwareError | None:
        return None


def test_a_relay_that_fails_at_release_sends_the_guest_to_staff_and_not_in(bench: Bench) -> None:
    bench.relay = TreacherousTurnstile()
    bench.relay.break_down(HardwareError("turnstile", "The pin is gone.", "Check the wiring"))
    screen = bench.show(code_id())
    assert isinstance(screen, Notice)
    assert screen.word == "see_staff"


def test_a_relay_that_is_broken_decides_nothing_until_it_is_well(bench: Bench) -> None:
    bench.relay.break_down(HardwareError("turnstile", "The pin is gone.", "Check the wiring"))
    assert isinstance(bench.show(code_id(), seconds=4), Notice)
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert (shown.part, shown.step) == (Part.TURNSTILE, "Check the wiring")
    bench.relay.break_down(None)
    assert reason(bench.show(code_id())) is Reason.FIRST_ENTRY
    assert len(bench.relay.releases) == 1


def test_a_camera_that_is_gone_is_told_with_the_next_step(bench: Bench) -> None:
    bench.eye.break_down(HardwareError("camera", "No camera.", "Check the ribbon cable"))
    bench.wait(1.1)
    screen = bench.display.screens[-1]
    assert isinstance(screen, OutOfOrder)
    assert (screen.part, screen.step) == (Part.CAMERA, "Check the ribbon cable")
    bench.eye.break_down(None)
    bench.wait(1.1)
    assert isinstance(bench.display.screens[-1], Idle)


def test_a_part_comes_back_though_another_is_still_broken(bench: Bench) -> None:
    bench.relay_is_there = False
    bench.eye.break_down(HardwareError("camera", "No camera.", "Check the ribbon cable"))
    bench.wait(1.1)
    bench.relay_is_there = True
    bench.wait(RETRY_MS / 1000 + 1)
    bench.eye.break_down(None)
    bench.wait(1.1)
    assert isinstance(bench.display.screens[-1], Idle)


def test_a_damaged_journal_admits_nobody_and_says_so(bench: Bench) -> None:
    (bench.folder / "journal.db").write_bytes(b"no database" * 1000)
    screen = bench.show(code_id())
    assert isinstance(screen, Notice)
    assert bench.relay.releases == []
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert shown.part is Part.JOURNAL


def test_a_damaged_cache_admits_nobody_and_says_so(bench: Bench) -> None:
    bench.hub.close()
    for file in bench.folder.glob("cache.db*"):
        file.unlink()
    (bench.folder / "cache.db").write_bytes(b"no database" * 1000)
    bench.wait(1.1)
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert shown.part is Part.CACHE
    assert isinstance(bench.show(code_id()), Notice)
    assert bench.relay.releases == []


def test_a_cache_damaged_in_part_admits_nobody(bench: Bench) -> None:
    """What other gates admitted cannot be read: a silent admit would be a second one."""
    bench.hub._db.execute("drop table peer_entries")
    assert isinstance(bench.show(code_id()), Notice)
    assert bench.relay.releases == []
    shown = bench.display.screens[-1]
    assert isinstance(shown, OutOfOrder)
    assert shown.part is Part.CACHE


@pytest.mark.parametrize(
    "damage",
    [
        "update events set row = '{'",
        "update events set row = replace(row, 'scheduled', 'perhaps')",
        "update events set row = replace(row, 'Z\"', '\"')",
        "update feed set current_at = 'yesterday'",
        "update feed set current_at = '2026-11-20T22:00:00'",
        "update link set since_ms = 'x', beat_ms = 'y'",
    ],
)
def test_values_that_are_none_stop_no_door(bench: Bench, damage: str) -> None:
    bench.hub.put_link(
        LinkNote(
            connected=True, hub_heard=True, since_ms=0, beat_ms=0, boot_id="boot-1", epoch=None, acked_seq=0
        ),
        None,
    )
    bench.hub._db.execute(damage)
    bench.wait(2)
    assert bench.display.screens
    assert not bench.relay.releases


def test_no_pulse_at_start_and_the_relay_is_at_rest_at_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.wait(5)
    bench.door.close()
    bench.hub.close()
    assert bench.relay.releases == []
