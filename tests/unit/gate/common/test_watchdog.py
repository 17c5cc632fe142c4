"""The whole door and its watchdog: pings while every loop runs, none while one is stuck (issue 3)."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest

from gate.common.errors import HardwareError
from gate.common.systemd import Notifier
from gate.common.watchdog import PINGS, Heart
from gate.door.loop import Door
from gate.door.parts import DoorSettings
from gate.store.live_file import LiveWriter
from tests.doors import Bench, make_desk
from tests.factories import code_id

WATCHDOG_MS = 3_000


class Watched:
    """A door on the bench, and the socket that receives its messages to systemd."""

    def __init__(self, folder: Path) -> None:
        self.bench = bench = Bench(folder)
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.heard.bind(str(folder / "notify"))
        self.heard.setblocking(False)
        bench.door = Door(
            DoorSettings(gate_name="GATE 1"),
            bench.parts,
            bench.turnstile,
            lambda journal: make_desk(journal, bench.cache, bench.clock, bench.keys),
            Heart(Notifier(str(folder / "notify")), WATCHDOG_MS),
            LiveWriter(folder / "run" / "door.json"),
            UTC,
        )

    def told(self, seconds: float) -> list[bytes]:
        """What systemd receives while the door runs for this long."""
        self.bench.wait(seconds)
        return self.hear()

    def hear(self) -> list[bytes]:
        """What systemd has received since the last call."""
        told = []
        while True:
            try:
                told.append(self.heard.recv(4096))
            except BlockingIOError:
                return told


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    watched = Watched(tmp_path)
    yield watched
    watched.bench.close()
    watched.heard.close()


def test_a_door_that_works_is_ready_and_pings_in_time(watched: Watched) -> None:
    told = watched.told(seconds=10)
    assert told[0] == b"READY=1"
    assert told[1:].count(b"WATCHDOG=1") == len(told) - 1 >= 10 * 1000 // WATCHDOG_MS * (PINGS - 1)
    watched.bench.show(code_id())
    assert b"WATCHDOG=1" in watched.told(seconds=2)


def test_the_door_is_ready_after_its_first_frame_or_once_the_camera_has_failed(tmp_path: Path) -> None:
    blind = Watched(tmp_path)
    blind.bench.door.step()  # waits for a frame, and none comes
    assert blind.hear() == []
    blind.bench.eye.break_down(HardwareError("camera", "Gone.", "Look."))
    blind.bench.door.step()
    assert blind.hear() == [b"READY=1"]
    blind.bench.close()
    blind.heard.close()


@pytest.mark.parametrize("part", ["eye", "relay"])
def test_one_stuck_loop_stops_the_pings_though_guests_are_still_answered(watched: Watched, part: str) -> None:
    watched.told(seconds=2)
    stalled = getattr(watched.bench, part)
    stalled.stall()
    watched.told(seconds=1.1)  # the ping that was due before
    assert watched.told(seconds=10) == []
    stalled.stall(stuck=False)
    assert b"WATCHDOG=1" in watched.told(seconds=2)


def test_a_missing_relay_does_not_stop_the_watchdog_pings(watched: Watched) -> None:
    watched.bench.relay_is_there = False
    assert b"WATCHDOG=1" in watched.told(seconds=3)
    assert watched.told(seconds=9).count(b"WATCHDOG=1") >= 5
