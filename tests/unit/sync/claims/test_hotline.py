"""Sync's end of the local socket to the door, with real sockets."""

from __future__ import annotations

import queue
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gate.hotline.messages import LONGEST, Ordered, Refetch, ToSync, to_door, to_packet
from gate.rules.first_entry import Claim, Grant, Returned
from sync.claims.hotline import MOST_DOORS, DoorSession, HotlineServer
from tests.patience import PATIENCE_S

LOOK_S = 0.02
Said = queue.SimpleQueue["tuple[DoorSession, ToSync]"]


class Place:
    """A hotline and the peers at its other end."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run" / "sync.sock"
        self.said: Said = queue.SimpleQueue()
        self.hotline = self.open()
        self._lines: list[socket.socket] = []

    def open(self) -> HotlineServer:
        hotline = HotlineServer(self.path, lambda door, message: self.said.put((door, message)), LOOK_S)
        hotline.start()
        return hotline

    def connect(self) -> socket.socket:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lines.append(line)
        line.settimeout(PATIENCE_S)
        line.connect(str(self.path))
        return line

    def hear(self) -> tuple[DoorSession, ToSync]:
        return self.said.get(timeout=PATIENCE_S)

    def await_true(self, condition: Callable[[], bool]) -> None:
        """Check the condition after each turn of the hotline's loop."""
        for _ in range(round(PATIENCE_S / LOOK_S)):
            if condition():
                return
            threading.Event().wait(LOOK_S)
        pytest.fail("it never became true")

    def await_turn(self, turns: int) -> None:
        """Wait until everybody who has connected by then was accepted or refused."""
        self.await_true(lambda: self.hotline.turns > turns + 1)

    def close(self) -> None:
        for line in self._lines:
            line.close()
        self.hotline.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.close()


def test_a_packet_is_passed_on_with_its_line_and_answered_on_it(place: Place) -> None:
    first, second = place.connect(), place.connect()
    second.send(to_packet(Returned(scan_id="scan-2")))
    door, message = place.hear()
    assert message == Returned(scan_id="scan-2")
    answer = Grant(scan_id="scan-2", answer="granted")
    assert door.send(to_packet(answer))
    assert to_door(second.recv(LONGEST)) == answer
    first.send(to_packet(Refetch()))
    assert place.hear()[1] == Refetch()


def test_a_message_for_the_door_goes_to_every_line(place: Place) -> None:
    assert place.hotline.tell(b"x") == 0
    lines = [place.connect(), place.connect()]
    for line in lines:
        line.send(to_packet(Refetch()))
        place.hear()
    order = Ordered(envelope="{}")
    assert place.hotline.tell(to_packet(order)) == 2
    assert [to_door(line.recv(LONGEST)) for line in lines] == [order, order]


def test_only_the_two_users_may_use_the_socket(place: Place) -> None:
    mode = place.path.stat().st_mode
    assert (stat.S_ISSOCK(mode), oct(mode & 0o777)) == (True, "0o660")
    assert oct(place.path.parent.stat().st_mode & 0o7777) == "0o2770"


def test_a_socket_that_a_killed_sync_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run" / "sync.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(str(path))
    place = Place(tmp_path)
    place.connect().send(to_packet(Refetch()))
    assert place.hear()[1] == Refetch()
    place.close()
    assert not path.exists()


def test_a_socket_or_folder_that_is_removed_is_made_again(place: Place) -> None:
    place.path.unlink()
    place.await_true(place.path.exists)
    place.connect().send(to_packet(Refetch()))
    assert place.hear()[1] == Refetch()
    place.path.unlink()
    place.path.parent.rmdir()
    place.await_true(place.path.exists)


def test_an_unusable_folder_stops_nothing_and_is_logged_once(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("no folder")
    with capture_logs() as lines:
        place = Place(tmp_path)
        before = place.hotline.turns
        place.await_true(lambda: place.hotline.turns > before + 3)
    assert [line["log_level"] for line in lines] == ["warning"]
    (tmp_path / "run").unlink()
    place.await_true(place.path.exists)
    place.close()


def test_a_second_sync_leaves_the_socket_to_the_first_until_that_ends(place: Place) -> None:
    first = place.hotline
    with capture_logs() as lines:
        place.hotline = place.open()
    assert "another maguey-sync" in lines[0]["reason"]
    inode = place.path.stat().st_ino
    place.connect().send(to_packet(Refetch()))
    place.hear()
    assert place.path.stat().st_ino == inode
    first.close()
    place.await_true(place.path.exists)


@pytest.mark.parametrize(
    "packet", [b"\xff{", b"{}", b"x" * (LONGEST + 100), to_packet(Grant(scan_id="a", answer="granted"))]
)
def test_an_unreadable_packet_is_dropped_and_the_line_goes_on(place: Place, packet: bytes) -> None:
    line = place.connect()
    with capture_logs() as lines:
        line.send(packet)
        line.send(to_packet(Refetch()))
        assert place.hear()[1] == Refetch()
    assert [line["log_level"] for line in lines] == ["warning"]


def test_a_door_that_does_not_read_is_disconnected_and_blocks_nobody(place: Place) -> None:
    place.connect().send(to_packet(Refetch()))
    door, _ = place.hear()
    while door.send(b"x" * 4096):
        pass
    assert not door.send(b"x")
    other = place.connect()
    other.send(to_packet(Refetch()))
    assert place.hear()[0].send(b"{}")
    place.await_true(lambda: place.hotline.tell(b"{}") == 1)


def test_a_line_that_is_closed_is_seen_at_the_other_end_at_once(place: Place) -> None:
    line = place.connect()
    line.send(to_packet(Refetch()))
    door, _ = place.hear()
    door.close()
    assert line.recv(LONGEST) == b""
    door.close()
    assert not door.send(b"x")


CLAIM = Claim(scan_id="scan-1", code_hash="ab" * 32, event_id="event-1", epoch="epoch-1")


@pytest.mark.parametrize("said", [(), (b"junk",), (to_packet(Refetch()),)])
def test_lines_without_a_claim_keep_no_door_out(place: Place, said: tuple[bytes, ...]) -> None:
    with capture_logs() as logs:
        door = place.connect()
        door.send(to_packet(CLAIM))
        place.hear()
        for _ in range(2 * MOST_DOORS):
            line, turns = place.connect(), place.hotline.turns
            for packet in said:
                line.send(packet)
            place.await_turn(turns)
        late, turns = place.connect(), place.hotline.turns
        place.await_turn(turns)
        late.send(to_packet(Returned(scan_id="scan-2")))
        while place.hear()[1] != Returned(scan_id="scan-2"):
            pass
        assert len(place.hotline._doors) <= MOST_DOORS
        door.send(to_packet(Returned(scan_id="scan-3")))
        while place.hear()[1] != Returned(scan_id="scan-3"):
            pass
    assert [entry["event"] for entry in logs if "room" in entry["event"]][1:] == []


def test_the_number_of_lines_is_bounded(place: Place) -> None:
    lines = [place.connect() for _ in range(MOST_DOORS)]
    for line in lines:
        line.send(to_packet(CLAIM))
        place.hear()
    assert place.connect().recv(LONGEST) == b""
    lines[0].close()
    place.await_true(lambda: len(place.hotline._doors) == MOST_DOORS - 1)
    place.connect().send(to_packet(Refetch()))
    place.hear()


def test_deeply_nested_packets_are_logged_once_and_the_line_goes_on(place: Place) -> None:
    line = place.connect()
    with capture_logs() as logs:
        for _ in range(3):
            line.send(b'{"zz":' + b"[" * 1_500)
        line.send(to_packet(Refetch()))
        assert place.hear()[1] == Refetch()
    assert [entry["event"] for entry in logs].count("packet rejected") == 1
