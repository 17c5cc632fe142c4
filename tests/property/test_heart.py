"""The watchdog is pinged while every loop turns, and only then."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gate.common.systemd import Notifier
from gate.common.watchdog import PINGS, Beats, Heart, Rhythm, pulse
from tests.patience import PATIENCE_S

NAMES = Beats.__struct_fields__
INTERVAL_MS = 1_000
WATCHDOG_MS = INTERVAL_MS * PINGS

turned = st.sets(st.sampled_from(NAMES))
readings = st.lists(st.tuples(st.integers(1, 700), turned), max_size=80)


@given(readings)
def test_no_ping_unless_all_four_have_turned_since_the_last(steps: list[tuple[int, set[str]]]) -> None:
    now, counts = 0, dict.fromkeys(NAMES, 0)
    rhythm, _ = pulse(Rhythm(interval_ms=INTERVAL_MS), now, counts)
    pinged_at, since = now, set[str]()
    for passed, names in steps:
        now += passed
        counts = {name: count + (name in names) for name, count in counts.items()}
        since |= names
        rhythm, told = pulse(rhythm, now, counts)
        assert told.ping == (since == set(NAMES) and now - pinged_at >= INTERVAL_MS)
        if told.ping:
            pinged_at, since = now, set()
        elif now - pinged_at >= INTERVAL_MS:
            assert set(told.hanging) == set(NAMES) - since


@given(st.lists(st.integers(1, INTERVAL_MS // 2), min_size=20, max_size=200))
def test_while_all_turn_the_pings_never_stop(steps: list[int]) -> None:
    now, turn = 0, 0
    rhythm, _ = pulse(Rhythm(interval_ms=INTERVAL_MS), now, dict.fromkeys(NAMES, 0))
    pinged_at = 0
    for passed in steps:
        now, turn = now + passed, turn + 1
        rhythm, told = pulse(rhythm, now, dict.fromkeys(NAMES, turn))
        pinged_at = now if told.ping else pinged_at
        assert now - pinged_at < WATCHDOG_MS / 2


def test_a_part_that_is_replaced_counts_from_0_and_has_turned() -> None:
    rhythm, _ = pulse(Rhythm(interval_ms=INTERVAL_MS), 0, {"relay": 900})
    _, told = pulse(rhythm, INTERVAL_MS, {"relay": 0})
    assert told.ping


class Manager:
    """A socket like systemd's, and a heart that reports to it."""

    def __init__(self, folder: Path) -> None:
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.listening.bind(str(folder / "notify"))
        self.listening.setblocking(False)
        self.heart = Heart(Notifier(str(folder / "notify")), WATCHDOG_MS)

    def told(self) -> list[bytes]:
        told = []
        while True:
            try:
                told.append(self.listening.recv(4096))
            except BlockingIOError:
                return told


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.heart.stopping()
    manager.listening.close()


def beats(turn: int, **standing: int) -> Beats:
    return Beats(**{**dict.fromkeys(NAMES, turn), **standing})


def test_a_service_reports_ready_once_then_pings_then_stopping(manager: Manager) -> None:
    for turn in range(4):
        manager.heart.ready()
        manager.heart.beat(turn * INTERVAL_MS, beats(turn))
    manager.heart.stopping()
    assert manager.told() == [b"READY=1", *[b"WATCHDOG=1"] * 3, b"STOPPING=1"]


@pytest.mark.parametrize("name", NAMES)
def test_one_loop_that_stands_still_stops_the_pings_and_is_named_once(manager: Manager, name: str) -> None:
    with capture_logs() as log:
        for turn in range(1, 9):
            manager.heart.beat(turn * INTERVAL_MS, beats(turn, **{name: 5}))
    assert manager.told() == []
    assert [line["loops"] for line in log] == [[name]]
    with capture_logs() as log:
        manager.heart.beat(9 * INTERVAL_MS, beats(9, **{name: 6}))
    assert manager.told() == [b"WATCHDOG=1"]
    assert [line["event"] for line in log] == ["loops turn again"]


def test_ready_is_sent_again_until_it_is_heard(tmp_path: Path) -> None:
    heart = Heart(Notifier(str(tmp_path / "notify")), None)
    heart.ready()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE_S)
        heart.beat(1, beats(1))
        assert listening.recv(64) == b"READY=1"
        heart.stopping()


def test_a_service_without_a_watchdog_sends_no_pings(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    heart = Heart(Notifier(str(tmp_path / "notify")), None)
    for turn in range(9):
        heart.beat(turn * INTERVAL_MS, beats(turn))
    assert manager.told() == []
    manager.listening.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_of_an_error_is_reported_and_stops_the_pings(manager: Manager) -> None:
    def fail() -> None:
        raise RecursionError("nobody thought of it")

    before = threading.excepthook
    with capture_logs() as log, manager.heart.watching_threads():
        thread = threading.Thread(target=fail, name="voice")
        thread.start()
        thread.join()
        for turn in range(1, 5):
            manager.heart.beat(turn * INTERVAL_MS, beats(turn))
    assert manager.told() == []
    assert [line["thread"] for line in log if "thread" in line] == ["voice"]
    assert threading.excepthook is before
