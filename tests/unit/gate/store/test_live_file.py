"""The door's status file is whole, fresh or known to be old, and never stops the door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from gate.rules.passage import Way
from gate.store.live_file import FRESH_MS, Live, LiveWriter, PartsReport, percentile, read_live
from tests.factories import StoppedClock


def a_live(clock: StoppedClock, **changes: Any) -> Live:
    now = clock.now()
    live = Live(at=now.wall, monotonic_ms=now.monotonic_ms, boot_id=now.boot_id, pid=1, version="1")
    return msgspec.structs.replace(live, **changes)


def test_the_status_is_read_back_with_its_age(tmp_path: Path) -> None:
    clock, path = StoppedClock(), tmp_path / "run" / "door.json"
    live = a_live(clock, parts=PartsReport(screen="No screen answers."), way=Way.HELD_OPEN, p50_ms=0.2)
    LiveWriter(path).put(live)
    clock.forward(2)
    reading = read_live(path, clock.now())
    assert (reading.live, reading.age_ms, reading.is_fresh) == (live, 2_000, True)
    assert [one.name for one in path.parent.iterdir()] == ["door.json"]


def test_the_status_is_written_once_a_second_and_at_once_on_a_change(tmp_path: Path) -> None:
    clock, path = StoppedClock(), tmp_path / "door.json"
    writer, ages = LiveWriter(path), []
    for _ in range(20):
        writer.put(a_live(clock))
        ages.append(read_live(path, clock.now()).age_ms)
        clock.forward(0.1)
    assert ages == [*range(0, 1_000, 100)] * 2
    for change in ({"parts": PartsReport(camera="gone")}, {"way": Way.CLOSED}):
        clock.forward(0.01)
        writer.put(a_live(clock, **change))
        now = read_live(path, clock.now())
        assert now.age_ms == 0


def test_a_door_that_has_stopped_writing_is_not_fresh(tmp_path: Path) -> None:
    clock, path = StoppedClock(), tmp_path / "door.json"
    LiveWriter(path).put(a_live(clock))
    clock.forward(FRESH_MS / 1000)
    assert read_live(path, clock.now()).is_fresh
    clock.forward(0.001)
    assert not read_live(path, clock.now()).is_fresh


def test_a_status_of_another_boot_is_old_whatever_its_clock_says(tmp_path: Path) -> None:
    clock, path = StoppedClock(), tmp_path / "door.json"
    LiveWriter(path).put(a_live(clock, boot_id="the boot before"))
    reading = read_live(path, clock.now())
    assert (reading.is_fresh, reading.age_ms) == (False, None)


def test_a_door_that_ends_normally_removes_its_status(tmp_path: Path) -> None:
    clock, path = StoppedClock(), tmp_path / "door.json"
    writer = LiveWriter(path)
    writer.put(a_live(clock))
    writer.close()
    writer.close()
    assert read_live(path, clock.now()).why == "The door is not running."


@pytest.mark.parametrize("text", [b"", b"{", b'{"pid": 1}', b"\xff"])
def test_a_file_that_is_not_a_status_is_refused_in_words(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "door.json"
    path.write_bytes(text)
    reading = read_live(path, StoppedClock().now())
    assert (reading.live, reading.is_fresh) == (None, False)
    assert "same version" in reading.why


def test_a_folder_that_cannot_be_written_stops_nothing_and_is_logged_once(tmp_path: Path) -> None:
    clock, blocked = StoppedClock(), tmp_path / "file"
    blocked.write_text("in the way")
    writer = LiveWriter(blocked / "door.json")
    with capture_logs() as log:
        for _ in range(3):
            clock.forward(2)
            writer.put(a_live(clock))
    assert len(log) == 1
    blocked.unlink()
    clock.forward(2)
    with capture_logs() as log:
        writer.put(a_live(clock))
    assert ["recovered" in line["event"] for line in log] == [True]


def test_a_folder_that_vanished_is_made_again(tmp_path: Path) -> None:
    clock, path = StoppedClock(), tmp_path / "run" / "door.json"
    writer = LiveWriter(path)
    writer.put(a_live(clock))
    path.unlink()
    path.parent.rmdir()
    clock.forward(2)
    writer.put(a_live(clock))
    assert read_live(path, clock.now()).is_fresh


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.99) == 3.0
    values = [float(value) for value in range(200, 0, -1)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (100.0, 198.0)


def test_a_status_written_after_the_reader_read_its_clock_is_fresh(tmp_path: Path) -> None:
    """Its age is 0 and not, for example, -1 s."""
    path, clock = tmp_path / "door.json", StoppedClock()
    before = clock.now()
    for later_ms in (1, 500, 60_000):
        LiveWriter(path).put(a_live(clock, monotonic_ms=clock.monotonic_ms + later_ms))
        reading = read_live(path, before)
        assert (reading.age_ms, reading.is_fresh, reading.why) == (0, True, "")
